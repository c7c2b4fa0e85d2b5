#!/bin/bash
# FAULTS 11: the target's QEMU is killed while memory moves: the guest goes on running on the source.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
signal node2 KILL "$(qemu_of 100)"
finish 1
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online
