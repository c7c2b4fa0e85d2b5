#!/bin/bash
# FAULTS 17: the answer to libvirt's Finish is lost: the target has all of the memory, the source does not know. One of them runs.
. "$(dirname "$0")/../../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
# Finish arrives where nobody answers until the link is gone.
on node2 pkill -STOP -x libvirtd
memory_has_crossed node1 100
lab link node2 drop
on node2 pkill -CONT -x libvirtd
wait_until "the target has it whole" 20 reason_is node2 100 "paused (user)"
wait_until "the source's libvirt gives up" 120 reason_is node1 100 "running (migration canceled)"
lab link node2 up
finish 1
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online
