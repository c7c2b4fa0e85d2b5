#!/bin/bash
# The disk of a VM that is off is open in another program on the source (qemu-nbd, a loop device), also only while it is
# copied; two disks are one file by a link: refused, and nothing moves away under the writer.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images
fresh_lab
lab guest node1 100 --disk dir --size 64M --data 32
inode=$(on node1 stat -c %i "$images/vm100.img")
unmoved() {
    [ "$(on node1 stat -c %i "$images/vm100.img")" = "$inode" ] || fail "it moved away under the writer"
    gone_from node2 100
}

on node1 sh -ec "qemu-nbd --fork --persistent --pid-file=/run/nbd.pid --socket=/run/nbd.sock -f raw $images/vm100.img"
migrate 3 node1 100 node2
says "$images/vm100.img is open on node1, and not by VM 100: QEMU or one of its tools"
unmoved
on node1 sh -ec 'kill $(cat /run/nbd.pid)'
device=$(on node1 losetup --find --show "$images/vm100.img")
migrate 3 node1 100 node2
says "the loop device $device uses it"
unmoved
on node1 losetup --detach "$device"

# Opened while it is copied.
begin node1 100 node2 --bwlimit 8192
until_says "copy vda: "
on node1 sh -ec "qemu-nbd --fork --persistent --pid-file=/run/nbd.pid --socket=/run/nbd.sock -f raw $images/vm100.img"
finish 1
says "volume $images/vm100.img is open on node1"
unmoved
on node1 sh -ec 'kill $(cat /run/nbd.pid)'
wait_until_clean

on node1 sh -ec "ln -s vm100.img $images/also.img; virsh -q attach-disk vm100 $images/also.img vdb --config"
migrate 3 node1 100 node2
says "vda ($images/vm100.img) and vdb ($images/also.img) are one and the same file"
on node1 sh -ec "virsh -q detach-disk vm100 vdb --config; rm $images/also.img"

migrate 0 node1 100 node2
lab records node2 100
nothing_left
