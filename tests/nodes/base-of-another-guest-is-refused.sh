#!/bin/bash
# FAULTS 76: a disk or a container's root that another guest stands on - as a backing file, or as the lower layer of an
# overlay - is not moved away: refused, and both guests are named. A container that LXC would destroy at its stop is
# refused as well.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
images=/var/lib/libvirt/images
lab guest node1 100 --disk dir --format qcow2 --size 64M
lab guest node1 101 --disk dir --format qcow2 --size 64M
lab guest node1 102 --disk dir --format qcow2 --size 64M
on node1 qemu-img rebase -u -f qcow2 -F qcow2 -b "$images/vm100.qcow2" "$images/vm101.qcow2"
migrate 3 node1 100 node2
says "guest 101 needs $images/vm100.qcow2"

# By another path to the same file.
on node1 ln -s "$images" /srv/also-images
on node1 qemu-img rebase -u -f qcow2 -F qcow2 -b /srv/also-images/vm100.qcow2 "$images/vm101.qcow2"
migrate 3 node1 100 node2
says "guest 101 needs"

# What the hint says lifts it.
on node1 qemu-img rebase -f qcow2 -b "" "$images/vm101.qcow2"
migrate 0 node1 100 node2
on node2 virsh dominfo vm100 >/dev/null || fail "it has not arrived"
migrate 0 node1 102 node2

lab container node1 200
on node1 lxc-copy -n 200 -N 201 -s -B overlay
migrate 3 node1 200 node2
says "guest 201 needs /var/lib/lxc/200/rootfs"
on node1 lxc-destroy -n 201
migrate 0 node1 200 node2

lab container node1 203
on node1 lxc-copy -n 203 -N 204 -e
migrate 3 node1 204 node2
says "ephemeral"
