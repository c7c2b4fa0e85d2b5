#!/bin/bash
# A stopped VM moves with all disks, NVRAM and autostart, and stays stopped; disks stay sparse.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
nvram=/var/lib/libvirt/qemu/nvram/vm100_VARS.fd firmware=/var/lib/libvirt/boot/firmware.fd
lab guest node1 100 --disk dir --format qcow2 --size 256M --data 20 --autostart
for node in node1 node2; do on "$node" truncate -s 256K "$firmware"; done
on node1 sh -ec "mkdir -p ${nvram%/*}; head -c 262144 /dev/urandom >$nvram
    qemu-img create -q -f raw /var/lib/libvirt/images/second.img 100M
    head -c 5M /dev/urandom | dd of=/var/lib/libvirt/images/second.img bs=1M seek=50 conv=notrunc status=none
    virsh -q dumpxml vm100 | sed 's|<os>|<os><loader readonly=\"yes\" type=\"pflash\">$firmware</loader><nvram>$nvram</nvram>|' |
        virsh -q define /dev/stdin >/dev/null
    virsh -q attach-disk vm100 /var/lib/libvirt/images/second.img vdb --config >/dev/null"
digest() { on "$1" sh -c "cd /; sha256sum $nvram /var/lib/libvirt/images/vm100.qcow2 /var/lib/libvirt/images/second.img"; }
blocks() { on "$1" stat -c %b /var/lib/libvirt/images/second.img; }
digest=$(digest node1) blocks=$(blocks node1)

migrate 0 node1 100 node2
[ "$(state node2 100)" = "shut off" ] || fail "it is $(state node2 100) on node2"
gone_from node1 100
[ "$(digest node2)" = "$digest" ] || fail "not the same bytes: $(digest node2)"
[ "$(blocks node2)" -le $((blocks + 64)) ] || fail "the copy is not sparse: $(blocks node2) blocks, $blocks before"
[ "$(autostart node2 100)" = enable ] || fail "autostart did not come along"
nothing_left
lab records node2 100

# The command is typed on the node that does not have the guest, with an option that makes no difference.
migrate 0 node1 vm100 node1 --online
[ "$(state node1 100)" = "shut off" ] || fail "it is $(state node1 100) on node1"
[ "$(digest node1)" = "$digest" ] || fail "not the same bytes: $(digest node1)"
gone_from node2 100
nothing_left
