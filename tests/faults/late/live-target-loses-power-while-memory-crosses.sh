#!/bin/bash
# FAULTS 26: the target loses power while memory crosses: the guest goes on on the source, at once and for as long as the target is
# away; when that is back, nothing of the guest is left there.
. "$(dirname "$0")/../../lab/live.sh"

told_later() { on node1 vmmigrate recover && settled; }

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
lab kill node2
finish 1
says "guest 100 is running on node1"
runs_alone() { [ "$(state node1 100)" = running ] && lab wait-ticks 100 5; }
runs_alone || fail "guest 100 is $(state node1 100) on node1"
[ "$(autostart node1 100)" = enable ] || fail "autostart is off"
lab boot node2
wait_until "the target has been told" 60 told_later
stayed node1 100
second_try node1 100 --online
