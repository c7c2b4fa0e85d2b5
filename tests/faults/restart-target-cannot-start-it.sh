#!/bin/bash
# FAULTS 37: the target cannot start the guest, which shows only after the copy: the guest runs on the source.
. "$(dirname "$0")/../lab/testing.sh"

kernel=/var/lib/libvirt/boot/vmmigrate-lab-vmlinuz
fresh_lab
vm node1 100 --disk dir --size 64M --data 8 --autostart
on node2 sh -ec "mv $kernel $kernel.away; mkdir $kernel"
# The check of what a guest reads on its host would find that beforehand.
migrate 3 node1 100 node2 --restart
migrate 1 node1 100 node2 --restart --ignore host-file-differs
says "TASK ERROR"
says "guest 100 is running on node1"
as_it_was node1 100
on node2 sh -ec "rmdir $kernel; mv $kernel.away $kernel"
second_try node1 100 --restart
lab records node2 100
