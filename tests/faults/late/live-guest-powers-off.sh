#!/bin/bash
# FAULTS 23: the guest powers off while its memory crosses: it is off on the source, and nothing of it is on the target.
. "$(dirname "$0")/../../lab/live.sh"

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
lab tell 100 off
finish 1
says "guest 100 is shutoff on node1"
gone_from node2 100
[ "$(autostart node1 100)" = enable ] || fail "autostart is off"
at_rest
on node1 virsh -q start vm100
lab wait-ticks 100 10
second_try node1 100 --online
lab records node2 100
