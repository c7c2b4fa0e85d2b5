#!/bin/bash
# The disk of a VM is encrypted (LUKS) with a key that is a libvirt secret: refused while the target does not have that
# secret, or has it without a value. The remedy, followed, lets the VM move and start. The value is never sent.
. "$(dirname "$0")/../lab/testing.sh"

image=/var/lib/libvirt/images/vm100.luks uuid=0f0c6f1e-8d3a-4f0e-9a4e-0123456789ab key=b3BlbiBzZXNhbWU=
secret="<secret ephemeral='no' private='no'><uuid>$uuid</uuid><usage type='volume'><volume>$image</volume></usage></secret>"
fresh_lab
lab guest node1 100 --disk none
on node1 sh -ec "qemu-img create -q -f luks --object secret,id=s,format=base64,data=$key -o key-secret=s,iter-time=10 $image 16M
    echo \"$secret\" >/root/secret; virsh -q secret-define /root/secret >/dev/null; virsh -q secret-set-value $uuid $key >/dev/null 2>&1
    echo \"<disk type='file'><driver name='qemu' type='raw'/><source file='$image'><encryption format='luks'>
        <secret type='passphrase' uuid='$uuid'/></encryption></source><target dev='vda' bus='virtio'/></disk>\" >/root/disk
    virsh -q attach-device vm100 /root/disk --config; virsh -q start vm100"
lab wait-ticks 100 10

migrate 3 node1 100 node2 --restart
says "vda needs the libvirt secret $uuid, which is not defined on node2"
on node1 virsh secret-dumpxml "$uuid" | on node2 virsh -q secret-define /dev/stdin
migrate 3 node1 100 node2 --restart
says "vda needs the libvirt secret $uuid, which has no value on node2"
on node2 sh -ec "virsh -q secret-set-value $uuid $key >/dev/null 2>&1"
migrate 0 node1 100 node2 --restart
runs_on node2 100
nothing_left
found=$(on node1 sh -c "grep -rl $key /var/lib/vmmigrate || true")
[ -z "$found" ] || fail "the key is in $found"
