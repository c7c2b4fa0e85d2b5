#!/bin/bash
# FAULTS 27, 51: the target loses power after the source's commit, before the target has written it. The guest belongs
# to the target: the source does not start it, and it runs on the target once that is back.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 8 --autostart
stop_after_commit node1 node2
begin node1 100 node2 --restart
wait_until "the commit is written" 60 committed node1
lab kill node2
go_on_after_commit
[ "$(state node1 100)" = "shut off" ] || fail "the source has started it"
expect 1 on node1 virsh start vm100
lab boot node2
finish 0
runs_on node2 100
gone_from node1 100
lab records node2 100
wait_until "nothing is left" 30 is_clean
second_try node2 100 --restart
lab records node1 100
