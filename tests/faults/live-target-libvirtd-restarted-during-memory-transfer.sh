#!/bin/bash
# FAULTS 14: the target's libvirtd is restarted while memory moves: the guest goes on running on the source.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
lab libvirtd node2 restart
finish 1
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online
