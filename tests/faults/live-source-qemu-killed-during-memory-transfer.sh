#!/bin/bash
# FAULTS 13: the source's QEMU is killed while memory moves: the guest is off on the source and can be started again,
# and nothing of it is on the target.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
signal node1 KILL "$(qemu_of 100)"
finish 1
says "guest 100 is shutoff on node1"
[ "$(state node1 100)" = "shut off" ] || fail "guest 100 is $(state node1 100)"
gone_from node2 100
[ "$(autostart node1 100)" = enable ] || fail "autostart is off"
wait_until_clean
on node1 virsh -q start vm100
lab wait-ticks 100 10
second_try node1 100 --online
lab records node2 100
