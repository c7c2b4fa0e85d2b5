#!/bin/bash
# While a guest moves, and after it has moved, libvirt on the node that does not have it refuses to start it, and says why.
. "$(dirname "$0")/../lab/live.sh"

# An administrator who still has the definition, and means well.
starts_by_hand() { on "$1" sh -c 'virsh -q define /root/vm100.xml && virsh -q start vm100'; }
forgets() { on "$1" virsh -q undefine vm100; }

fresh_lab
vm node1 100
for node in node1 node2; do on node1 virsh dumpxml --inactive vm100 | on "$node" tee /root/vm100.xml >/dev/null; done
migrate 0 node1 100 node2 --online
expect 1 starts_by_hand node1
says "vm100 belongs to node node2"
forgets node1
moved node2 100

# On the way back: the guest ends on the source in the middle, and neither node may start it.
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
forgets node1
signal node2 CONT "$worker"
finish 1
at_rest

on node2 virsh -q start vm100
lab wait-ticks 100 10
second_try node2 100 --online
