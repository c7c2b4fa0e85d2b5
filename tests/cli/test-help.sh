#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# Help, manual and completion are generated from the tables.
. "$(dirname "$0")/lib.sh"

run --help
expect_status 0
expect "$out" 'vmmigrate 100 node2 --online' '--max-downtime MS' '--migration-type secure|insecure' 'Default: 2000.' 'Options: mode' '--dry-run' 'recover [TASK|GUEST]' \
	'needs an administrator' 'containers cannot move live'
refuse "$out" '--words' '--background'
longest=$(printf '%s\n' "$out" | awk '{ if (length($0) > most) most = length($0) } END { print most }')
[ "$longest" -le 82 ] || fail "help has a line of $longest columns"

run help recover
expect "$out" 'usage: vmmigrate recover' '--keep source|target'
run nodes --help
[ "$(printf '%s\n' "$out" | sed -n 1p)" = 'usage: vmmigrate nodes' ] || fail 'another usage'
run recover --help
expect "$out" 'usage: vmmigrate recover'
run version
expect "$out" 'vmmigrate 0.1.0' 'engine 0.1.0, node node1'
run --version
expect "$out" 'vmmigrate 0.1.0'

run help --man
expect_status 0
expect "$out" '.SH OPTIONS' '\-\-max\-downtime' 'Default: 2000.' '.SH CHECKS' 'bridge\-missing' 'overridden by \fB\-\-map\-network'

run help --completion
expect_status 0
expect "$out" '--migration-type) COMPREPLY' '--dry-run'
printf '%s\n' "$out" >"$fake/completion"
reply guests 0 '{"api":1,"guests":[{"id":"100"},{"id":"200"}]}'
reply nodes 0 '{"api":1,"nodes":[{"name":"node1"},{"name":"node2"}]}'
completed()
{
	PATH="$BUILD:$PATH" bash -c '. "$0"; COMP_WORDS=(vmmigrate "$@"); COMP_CWORD=$#; _vmmigrate; echo "${COMPREPLY[@]}"' \
		"$fake/completion" "$@"
}
[ "$(completed 1)" = 100 ] || fail "guests are not completed: $(completed 1)"
[ "$(completed 100 n)" = "node1 node2" ] || fail "nodes are not completed: $(completed 100 n)"
[ "$(completed 100 node1 --onl)" = "--online" ] || fail "options are not completed"
[ "$(completed 100 node1 --migration-type s)" = "secure" ] || fail "choices are not completed"
[ "$(completed help rec)" = "recover" ] || fail "verbs are not completed: $(completed help rec)"
