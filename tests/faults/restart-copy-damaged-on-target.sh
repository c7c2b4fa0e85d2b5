#!/bin/bash
# FAULTS 34, 35: a byte of the copy that changes on the target's storage is found before the commit, and so is a write
# to the source's disk after the stop.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images
fresh_lab
lab guest node1 100 --disk dir --size 64M --data 16 --autostart
# While the second disk is copied, the copy of the first one is complete, and not verified yet.
on node1 sh -ec "head -c 32M /dev/urandom >$images/second.img; virsh -q attach-disk vm100 $images/second.img vdb --config >/dev/null
    virsh -q start vm100 >/dev/null"
lab wait-ticks 100 10

begin node1 100 node2 --restart --no-precopy --bwlimit 8192
until_says "copy vdb:"
on node2 sh -ec "printf 'X' | dd of=\$(ls $images/.vmmigrate-*-vm100.img) bs=1 seek=40000000 conv=notrunc status=none"
finish 1
says "vda"
as_it_was node1 100
no_seeds

begin node1 100 node2 --restart --no-precopy --bwlimit 8192
until_says "copy vdb:"
on node1 sh -ec "printf 'X' | dd of=$images/vm100.img bs=1 seek=60000000 conv=notrunc status=none"
finish 1
says "vm100.img was written to while it was copied"
as_it_was node1 100

second_try node1 100 --restart
lab records node2 100
