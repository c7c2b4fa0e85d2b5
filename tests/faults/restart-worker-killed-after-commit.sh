#!/bin/bash
# FAULTS 19: the worker is killed after the commit, before the guest is released: recover starts it on the target.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 8 --autostart
stop_after_commit node1 node2
begin node1 100 node2 --restart
wait_until "the commit is written" 60 committed node1
[ "$(state node2 100)" = paused ] || fail "it is $(state node2 100) on node2"
on node1 pkill -KILL -f '^vmmigrate-engine worker'
go_on_after_commit
finish 0
runs_on node2 100
gone_from node1 100
[ "$(autostart node2 100)" = enable ] || fail "autostart did not come along"
lab records node2 100
wait_until "nothing is left" 30 is_clean
second_try node2 100 --restart
lab records node1 100
