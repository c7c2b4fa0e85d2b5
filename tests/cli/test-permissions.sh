#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# What an operator with the polkit action may do, and what not: joining nodes and deciding where guests are have an
# action of their own, our own processes' verbs none. A refusal has status 4 and names an action that there is.
. "$(dirname "$0")/lib.sh"
policy=$here/../../plugin/org.vmmigrate.policy
engine=$BUILD/vmmigrate-engine
export VMMIGRATE_PKEXEC="$here/fake-pkexec"

# as ACTIONS ARGUMENTS...: the command, with the real engine behind pkexec, for a user who has these actions
as()
{
	actions=$1
	shift
	VMMIGRATE_ENGINE=$engine VMMIGRATE_ALLOWED=$actions run "$@"
}

as '' list
expect_status 4
expect "$err" 'you are not permitted to do this' 'Not authorized' 'org.vmmigrate.manage'
as org.vmmigrate.manage tasks
expect_status 0
for command in 'node add node2 192.0.2.7' 'node remove node2' 'recover T1 --keep source' 'recover 100 --forget' '200 node2 --map-mount /a=/b'; do
	# shellcheck disable=SC2086
	as org.vmmigrate.manage $command
	expect_status 4
	expect "$err" 'org.vmmigrate.administer'
done
as 'org.vmmigrate.manage org.vmmigrate.administer' recover no-such-guest --forget
[ "$status" != 4 ] || fail "an administrator may do this"

# asks STATUS REQUEST WORDS...: the engine as pkexec starts it, whatever word was asked for
asks()
{
	wanted=$1 request=$2
	shift 2
	out=$(echo "$request" | env -i PKEXEC_UID=1000 "$engine" "$@" 2>"$fake/err")
	status=$?
	err=$(cat "$fake/err")
	expect_status "$wanted"
}
asks 0 '{}' manage info
asks 4 '{}' manage node-accept
asks 4 '{}' administer node-accept
asks 4 '{"name":"n","address":"192.0.2.7"}' manage node-add
asks 4 '{"task":"T1","keep":"source"}' manage recover
expect "$out" 'recover --keep' 'org.vmmigrate.administer'
asks 4 '{"guest":"g","forget":true}' manage recover
asks 4 '{"guest":"g","target":"n","options":{"map_mount":["/a=/b"]}}' manage start
asks 4 '{"guest":"g","target":"n","options":{"map-mount":["/a=/b"]}}' manage start
for words in 'worker T1' 'recover-task T1' relay info start node-accept 'peer info' 'peer node-accept'; do
	# shellcheck disable=SC2086
	asks 4 '{}' $words
	expect "$err" 'only root itself may run this'
done

# over a node's key
asks 4 '{}' peer node-add

# every action that a message names is in the policy
for action in $(grep -rhoE 'org\.vmmigrate\.[a-z]+' "$here/../../plugin" "$here/../../cli" --include='*.c' --include='*.h' --include='*.in' | sort -u); do
	[ "$action" = org.vmmigrate.policy ] || grep -q "action id=\"$action\"" "$policy" || fail "there is no action $action"
done
