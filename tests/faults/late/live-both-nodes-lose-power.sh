#!/bin/bash
# FAULTS 31: both nodes lose power while memory crosses, autostart is on: the source alone starts nothing; when the other is back, the
# guest is started on the source by itself.
. "$(dirname "$0")/../../lab/live.sh"

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
lab kill node1
lab kill node2
wait "$begun" || true
lab boot node1
expect 1 on node1 virsh -q start vm100
says "is being moved by task"
lab boot node2
wait_until "guest 100 is started on node1" 90 runs node1 100
runs_on node1 100
gone_from node2 100
at_rest
[ "$(autostart node1 100)" = enable ] || fail "autostart is off"
second_try node1 100 --online
lab records node2 100
