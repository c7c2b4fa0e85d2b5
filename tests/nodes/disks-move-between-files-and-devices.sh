#!/bin/bash
# --targetstorage between a directory and block devices (loop devices here), both ways, and from device to device: what
# the guest had synced arrives although the device had other content, zeros are zeros, and the definition names what is
# there. A device that is too small, another guest's or mounted is refused, and so is a qcow2 image.
. "$(dirname "$0")/../lab/testing.sh"

pool=/srv/disks images=/var/lib/libvirt/images

# device NODE NAME SIZE: a link in the node's pool to a loop device full of old content. The device disappears with the node, since
# only a process of the node keeps it open.
device() {
    on "$1" sh -ec 'mkdir -p "$1"
        head -c "$3" /dev/zero | tr "\0" x >"'$images'/backing-$2"
        loop=$(losetup --find --show "'$images'/backing-$2")
        ln -s "$loop" "$1/$2"
        exec 3<"$loop"
        sleep 10000 >/dev/null 2>&1 &
        losetup --detach "$loop"' - "$pool" "$2" "$3"
}
source_of() { on "$1" virsh dumpxml --inactive vm100 | grep -o "<source .*'/>" | sed -n 1p; }
type_of() { on "$1" virsh dumpxml --inactive vm100 | grep -o "<disk type='[a-z]*'"; }
# defined_as NODE TYPE SOURCE: how the definition there names the disk.
defined_as() {
    [ "$(type_of "$1")" = "<disk type='$2'" ] || fail "the definition says $(type_of "$1") instead of $2"
    grep -qF "'$3'" <<<"$(source_of "$1")" || fail "the definition says $(source_of "$1") instead of $3"
}

fresh_lab
for node in node1 node2; do
    on "$node" sh -ec "printf '\n[storage images]\npath = $images\n[storage disks]\nkind = block\npath = $pool\nshared = no\n' >>/etc/vmmigrate/vmmigrate.conf"
    device "$node" vm100 96M
done
device node2 vm101 64M
lab guest node1 101 --disk dir --size 128M
lab guest node1 102 --disk dir --format qcow2 --size 128M
migrate 3 node1 101 node2 --targetstorage disks
says "needs 128.0 MiB, and the block device $pool/vm101 of node2 has 64.0 MiB"
migrate 3 node1 102 node2 --targetstorage disks
says "vm102.qcow2" && says "qemu-img convert -O raw"

vm node1 100 --disk dir --size 96M --data 20
on node2 sh -ec "mkfs.ext4 -q $pool/vm100 && mkdir /mnt/old && mount $pool/vm100 /mnt/old"
migrate 3 node1 100 node2 --restart --targetstorage disks
says "it is mounted at /mnt/old"
on node2 umount /mnt/old
lab guest node2 103 --disk none
on node2 virsh -q attach-disk vm103 "$(on node2 realpath $pool/vm100)" vda --sourcetype block --config
migrate 3 node1 100 node2 --restart --targetstorage disks
says "is a disk of guest 103"
on node2 virsh -q undefine vm103
as_it_was node1 100 disable

echo "== file to device, while it runs"
migrate 0 node1 100 node2 --restart --targetstorage disks
runs_on node2 100
gone_from node1 100
defined_as node2 block $pool/vm100
lab records node2 100
[ "$(on node2 cmp -n $((8 << 20)) -i $((64 << 20)):0 "$pool/vm100" /dev/zero 2>&1)" = "" ] || fail "old content where zeros should be"
nothing_left

echo "== device to device, while it runs"
migrate 0 node2 100 node1 --restart
says "$pool/vm100 stays on node2 with what it held"
runs_on node1 100
gone_from node2 100
defined_as node1 block $pool/vm100
lab records node1 100

echo "== device to file, while it runs"
second_try node1 100 --restart --targetstorage disks:images
defined_as node2 file $images/vm100.raw
lab records node2 100
[ -b "$(on node1 realpath $pool/vm100)" ] || fail "the device is gone"
