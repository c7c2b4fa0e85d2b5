#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# Arguments and options in every form; what is wrong is named, and the name that was probably meant is suggested.
. "$(dirname "$0")/lib.sh"

run --max_downtime=100 qemu/100 --ignore a,b node2 --online --ignore=c --targetstorage fast,slow=fast -q
expect_status 0
expect "$asked" '"guest":"qemu/100","target":"node2"' '"online":true' '"max_downtime":100' '"ignore":["a","b","c"]' \
	'"targetstorage":["fast","slow=fast"]'

run 100 node2 --online=no --migration_type insecure
expect_status 0
expect "$asked" '"migration_type":"insecure"' '"online":false'

run -- list node2
expect_status 0
expect "$asked" 'start' '"guest":"list"'

run qemu/list node2
expect_status 0
expect "$asked" '"guest":"qemu/list"'

wrong()
{
	piece=$1
	shift
	run "$@"
	expect_status 2
	expect "$err" "$piece" "help"
	refuse "$asked" start
	[ -z "$out" ] || fail "something is on stdout"
}

wrong 'unknown option --onlin; did you mean --online?' 100 node2 --onlin
wrong 'did you mean --max-downtime?' 100 node2 --max-down 3
wrong 'unknown option --zzzzzz' 100 node2 --zzzzzz
wrong 'unknown option -z' 100 node2 -z
wrong '--max-downtime takes a number (MS)' 100 node2 --max-downtime=soon
wrong '--max-downtime needs a value: MS' 100 node2 --max-downtime
wrong 'did you mean secure?' 100 node2 --migration-type sekure
wrong '--online takes yes or no' 100 node2 --online=perhaps
wrong '--json takes no value' 100 node2 --json=yes
wrong "did you mean 'list'" lst
wrong "no target is given for '100'" 100
wrong "one argument too many: 'node3'" 100 node2 node3
wrong "--online does not go with 'list'" list --online
wrong "--keep does not go with 'list'" list --keep source
wrong "usage: vmmigrate log TASK" log
wrong "did you mean 'add'" node ad
wrong "--keep takes source or target" recover "$task" --keep both
wrong "--keep needs the task or guest" recover --keep source
wrong "did you mean 'status'" help staus
wrong "Try 'vmmigrate --help'" help nonsense
wrong '--targetstorage needs a value: STORAGE|FROM=TO,...' 100 node2 --targetstorage ''
wrong 'usage: vmmigrate GUEST TARGET'
