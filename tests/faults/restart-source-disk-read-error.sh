#!/bin/bash
# FAULTS 25: the source's storage gives an I/O error while the disk is read, first while the guest runs, then while it
# is off. The guest runs on the source, and the message names the disk and the node whose storage fails.
. "$(dirname "$0")/../lab/testing.sh"

pool=/srv/disks images=/var/lib/libvirt/images size=96M readable=80M

# The guest's disk is a loop device over an image: once the image is truncated, reading beyond its end gives an I/O error. The
# device disappears with the node, since only a process of the node keeps it open.
fresh_lab
for node in node1 node2; do
    on "$node" sh -ec "mkdir -p $pool
        printf '\n[storage images]\npath = $images\n[storage disks]\nkind = block\npath = $pool\nshared = no\n' >>/etc/vmmigrate/vmmigrate.conf"
done
lab guest node1 100 --disk dir --size "$size" --data 16 --autostart
on node1 sh -ec "loop=\$(losetup --find --show $images/vm100.img)
    ln -s \$loop $pool/vm100
    exec 3<\$loop
    sleep 10000 >/dev/null 2>&1 &
    losetup --detach \$loop
    virsh -q dumpxml vm100 | sed \"s|<disk type='file'|<disk type='block'|; s|file='$images/vm100.img'|dev='$pool/vm100'|\" |
        virsh -q define /dev/stdin
    virsh -q start vm100"
lab wait-ticks 100 10

fails() {
    migrate 1 node1 100 node2 --restart --targetstorage disks:images "$@"
    says "$pool/vm100: reading at offset"
    says "Input/output error"
    says "the storage of node1 fails"
    says "guest 100 is running on node1"
    as_it_was node1 100
}
boots() { lab ticks 100 | tr ' ' '\n' | grep ^boots=; }

on node1 truncate -s "$readable" "$images/vm100.img"
fails
[ "$(boots)" = boots=1 ] || fail "it was shut down: $(boots)"
fails --no-precopy
[ "$(boots)" = boots=2 ] || fail "it was not shut down: $(boots)"
on node1 truncate -s "$size" "$images/vm100.img"
second_try node1 100 --restart --targetstorage disks:images
lab records node2 100
