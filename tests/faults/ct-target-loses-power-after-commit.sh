#!/bin/bash
# FAULTS 27, 51: the target loses power after the source's commit, before the target has written it. The container
# belongs to the target: nothing starts it on the source, and it runs on the target once that is back.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200 --autostart
slow_to_be_set_up node1 200
on node1 lxc-start -n 200
lab wait-ticks 200 10
stop_after_commit node1 node2
begin node1 200 node2
wait_until "the commit is written" 60 committed node1
on node2 test -e /run/vmmigrate/lxc/200/held || fail "its start is not held until the commit"
lab serial 200 | tail -n 1 | grep ' node1 ' >/dev/null || fail "it has run on node2 before the commit"
lab kill node2
go_on_after_commit
on node1 lxc-autostart || true
expect 1 on node1 lxc-start -n 200
[ "$(state node1 200)" = aside ] || fail "it is $(state node1 200) on node1"
lab boot node2
finish 0
runs_on node2 200
gone_from node1 200
[ "$(autostart node2 200)" = enable ] || fail "autostart is off on node2"
records node2 200
wait_until_clean
second_try node2 200
records node1 200
