#!/bin/bash
# A qcow2 image that stands on another file moves if the target has the same file, or if that is on proven shared storage.
# Else it is refused, and each remedy that the refusal names lifts it when it is followed to the letter.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images base=/var/lib/libvirt/images/base.qcow2
# The command that the last refusal names, after these words.
remedy() { sed -n "s/.*$1//p" <<<"$said" | sed 's/; --ignore.*//' | sed -n 1p; }
# clone ID: a VM whose disk stands on the base image.
clone() {
    lab guest node1 "$1" --disk dir --format qcow2 --size 64M
    on node1 qemu-img create -q -f qcow2 -F qcow2 -b "$base" "$images/vm$1.qcow2"
}

fresh_lab --gluster
on node1 qemu-img create -q -f qcow2 "$base" 64M
on node1 qemu-io -f qcow2 -c "write -P 7 40M 4k" "$base"

# Another file of that name is there; then the same one is put there.
clone 100
on node2 qemu-img create -q -f qcow2 "$base" 64M
migrate 3 node1 100 node2
says "its backing file $base is another file on node2"
says "put the same file there"
on node2 rm "$base"
migrate 3 node1 100 node2
says "node2 has no $base"
says "copy that file to $base on node2"
on node1 cat "$base" | on node2 sh -ec "cat >$base"
migrate 0 node1 100 node2
on node2 qemu-io -r -f qcow2 -c "read -P 7 40M 4k" "$images/vm100.qcow2"
on node2 rm "$base"

# Off: rebase.
clone 101
migrate 3 node1 101 node2
on node1 sh -ec "$(remedy 'one file: ')"
migrate 0 node1 101 node2
on node2 qemu-io -r -f qcow2 -c "read -P 7 40M 4k" "$images/vm101.qcow2"

# Running: blockpull.
clone 102
on node1 virsh -q start vm102
migrate 3 node1 102 node2 --restart
on node1 sh -ec "$(remedy 'one file: ')"
migrate 0 node1 102 node2 --restart
on node2 virsh -q destroy vm102
on node2 qemu-io -r -f qcow2 -c "read -P 7 40M 4k" "$images/vm102.qcow2"

# A data file: one file by convert.
lab guest node1 103 --disk dir --format qcow2 --size 64M
on node1 sh -ec "rm $images/vm103.qcow2; cd $images; qemu-img create -q -f qcow2 -o data_file=vm103.data vm103.qcow2 64M"
on node1 sh -ec "cd $images; qemu-io -f qcow2 -c 'write -P 7 40M 4k' vm103.qcow2"
migrate 3 node1 103 node2
says "its data are in another file, $images/vm103.data"
on node1 sh -ec "$(remedy 'one file: ')"
migrate 0 node1 103 node2
on node2 qemu-io -r -f qcow2 -c "read -P 7 40M 4k" "$images/vm103.qcow2"

# A backing file on storage that both nodes share stays where it is.
lab guest node1 104 --disk dir --format qcow2 --size 64M
on node1 sh -ec "mv $base /mnt/shared/base.qcow2
    qemu-img create -q -f qcow2 -F qcow2 -b /mnt/shared/base.qcow2 $images/vm104.qcow2"
migrate 0 node1 104 node2
on node2 qemu-io -r -f qcow2 -c "read -P 7 40M 4k" "$images/vm104.qcow2"
nothing_left
