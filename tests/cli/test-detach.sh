#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# --detach starts the task, names it, and returns.
. "$(dirname "$0")/lib.sh"

for option in --detach --background; do
	run 100 node2 $option
	expect_status 0
	expect "$out" "task $task runs on node1; follow it with: vmmigrate status $task"
	refuse "$asked" 'follow'
done
run 100 node2 --detach --json
[ "$out" = "{\"api\":1,\"task\":\"$task\",\"node\":\"node1\"}" ] || fail "not the reply"
