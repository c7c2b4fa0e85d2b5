#!/bin/bash
# FAULTS 15: the source's libvirtd is restarted while memory moves: the guest goes on running on the source.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
lab libvirtd node1 restart
finish 1
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online
