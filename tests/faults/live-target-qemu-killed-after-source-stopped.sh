#!/bin/bash
# FAULTS 12: the target's QEMU is killed after the source has stopped the guest for the last of its memory: the guest
# goes on running on the source.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
busy_vm node1 100
begin_until_guest_is_stopped node1 100
signal node2 KILL "$(qemu_of 100)"
lab link node1 rate none
finish 1
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --non-live
