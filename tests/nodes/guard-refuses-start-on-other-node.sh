#!/bin/bash
# FAULTS 30: while a guest moves and after it has moved, libvirt on the node that does not own it refuses to start it,
# and says why.
. "$(dirname "$0")/../lab/live.sh"

# An administrator defines and starts the guest from a saved definition.
starts_by_hand() { on "$1" sh -c 'virsh -q define /root/vm100.xml && virsh -q start vm100'; }
undefines() { on "$1" virsh -q undefine vm100; }

fresh_lab
vm node1 100
for node in node1 node2; do on node1 virsh dumpxml --inactive vm100 | on "$node" tee /root/vm100.xml >/dev/null; done
migrate 0 node1 100 node2 --online
expect 1 starts_by_hand node1
says "vm100 belongs to node node2"
undefines node1
moved node2 100

# On the way back: the source's QEMU is killed in the middle, and neither node may start the guest.
begin_slowly node2 100
signal node2 STOP "$worker"
signal node2 KILL "$(qemu_of 100)"
wait_until "libvirt has noticed" 20 reason_is node2 100 "shut off (crashed)"
expect 1 on node2 virsh -q start vm100
says "vm100 is being moved by task"
says "vmmigrate recover"
wait_until "libvirt has noticed there" 60 test "$(state node1 100)" = absent
expect 1 starts_by_hand node1
says "vm100 is being moved by task"
undefines node1
signal node2 CONT "$worker"
finish 1
wait_until_clean

on node2 virsh -q start vm100
lab wait-ticks 100 10
second_try node2 100 --online
