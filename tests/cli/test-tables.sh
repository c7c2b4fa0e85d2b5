#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# Replies are shown as tables.
. "$(dirname "$0")/lib.sh"

reply guests 0 '{"api":1,"guests":[{"id":"100","name":"web","kind":"qemu","state":"running","node":"node1","memory":4294967296,"vcpus":2},
{"id":"2000","name":"日本","kind":"lxc","state":"stopped","node":"node2"}]}'
run list node1
[ "$out" = "ID    NAME  KIND  STATE    NODE   MEMORY   VCPUS
100   web   qemu  running  node1  4.0 GiB  2
2000  日本  lxc   stopped  node2" ] || fail "another table"
expect "$asked" 'guests {"api":1,"node":"node1"}'

reply guests 0 '{"api":1,"guests":[]}'
run list
expect "$out" 'There are no guests.'

reply nodes 0 '{"api":1,"nodes":[{"name":"node1","address":"10.0.0.1","self":true,"reachable":true},
{"name":"node2","address":"10.0.0.2","reachable":true,"maintenance":true},
{"name":"node3","address":"10.0.0.3","reachable":false,"error":{"message":"no answer"}}]}'
for verb in nodes "node list"; do
	run $verb
	[ "$out" = "NODE   ADDRESS   STATE          ERROR
node1  10.0.0.1  this node
node2  10.0.0.2  maintenance
node3  10.0.0.3  not reachable  no answer" ] || fail "another table"
done

reply targets 0 '{"api":1,"guest":{"id":"100","name":"web","state":"running","node":"node1"},"targets":[
{"node":"node2","eligible":true,"mode":"live","findings":[]},
{"node":"node3","eligible":false,"mode":"live","findings":[{"code":"w","severity":"warning","object":"","message":"w"},
{"code":"bridge-missing","severity":"override","object":"vmbr1","message":"is not there"},{"code":"b","severity":"error","object":"","message":"c"}]}]}'
for verb in check targets; do
	run $verb 100
	[ "$out" = "100 (web) is running
NODE   CAN TAKE IT  HOW   WHY NOT
node2  yes          live
node3  no           live  bridge-missing: is not there (and 1 more)" ] || fail "another table"
done

export TZ=UTC
reply tasks 0 "{\"api\":1,\"tasks\":[{\"task\":\"$task\",\"guest\":\"100\",\"source\":\"node1\",\"target\":\"node2\",\"mode\":\"live\",\"state\":\"ended\",\"started\":1700000000000000,\"result\":{\"exit\":0,\"message\":\"TASK OK\"}},{\"task\":\"t2\",\"guest\":\"101\",\"state\":\"running\"}],\"errors\":[{\"message\":\"node3 is away\"}]}"
run tasks --all 100
[ "$out" = "TASK           GUEST  FROM   TO     HOW   STATE    STARTED              RESULT
$task  100    node1  node2  live  ended    2023-11-14 22:13:20  TASK OK
t2             101                        running" ] || fail "another table"
expect "$err" 'warning: node3 is away'
expect "$asked" 'tasks {"api":1,"guest":"100","all":true}'

# Without an argument, status shows the tasks of all nodes that have not ended.
run status
[ "$out" = "TASK  GUEST  STATE
t2    101    running" ] || fail "another table"
expect "$asked" '"all":true'

reply status 0 "{\"api\":1,\"task\":{\"task\":\"$task\",\"guest\":\"100\",\"source\":\"node1\",\"target\":\"node2\",\"state\":\"running\",\"started\":1700000000000000},
\"progress\":{\"phase\":\"copy\",\"object\":\"vda\",\"percent\":52}}"
run status "$task"
expect_status 0
expect "$out" "Task     $task" 'State    running, copy vda, 52 %'
refuse "$asked" follow
run status "$task" --follow
expect_status 0
expect "$(last_line "$out")" 'TASK OK'

reply recover 0 "{\"api\":1,\"recovered\":[{\"task\":\"$task\",\"outcome\":\"undone\",\"message\":\"guest runs on node1\"}]}"
run recover "$task" --keep source
expect_status 0
expect "$out" "$task  undone   guest runs on node1"
expect "$asked" "recover {\"api\":1,\"task\":\"$task\",\"keep\":\"source\"}"
reply recover 0 "{\"api\":1,\"recovered\":[{\"task\":\"$task\",\"outcome\":\"unsettled\",\"message\":\"node2 is away\",\"exit\":9}]}"
run recover
expect_status 9
expect "$out" 'unsettled  node2 is away'
expect "$asked" 'recover {"api":1}'
