#!/bin/bash
# --targetstorage: disks and NVRAM go to the named storage, the definition names them there, and FROM:TO brings them
# back. A:B,B:A exchanges two storages. A mistyped name is refused with a similar one.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
nvram=/var/lib/libvirt/images/vm100_VARS.fd firmware=/var/lib/libvirt/boot/firmware.fd
lab guest node1 100 --disk dir --format qcow2 --size 256M --data 20
for node in node1 node2; do
    on "$node" sh -ec "truncate -s 256K $firmware; mkdir -p /var/lib/libvirt/images/other
        printf '\n[storage images]\npath = /var/lib/libvirt/images\n[storage other]\npath = /var/lib/libvirt/images/other\n' >>/etc/vmmigrate/vmmigrate.conf"
done
on node1 sh -ec "head -c 262144 /dev/urandom >$nvram
    virsh -q dumpxml vm100 | sed 's|<os>|<os><loader readonly=\"yes\" type=\"pflash\">$firmware</loader><nvram>$nvram</nvram>|' |
        virsh -q define /dev/stdin >/dev/null"
disk=$(on node1 virsh dumpxml vm100 | sed -n "s|.*source file='\(/var[^']*qcow2\)'.*|\1|p" | sed -n 1p)
digest() { on "$1" sh -c "cd ${2%/} && sha256sum vm100_VARS.fd ${disk##*/}"; }
before=$(digest node1 "${disk%/*}")
definition=$(on node1 virsh dumpxml --inactive vm100)

migrate 3 node1 100 node2 --targetstorage othr
says "did you mean other?"
migrate 0 node1 100 node2 --targetstorage other
[ "$(digest node2 "${disk%/*}/other")" = "$before" ] || fail "not the same bytes: $(digest node2 "${disk%/*}/other")"
grep -qF "${disk%/*}/other/${disk##*/}" <<<"$(on node2 virsh dumpxml vm100)" || fail "the definition does not name the disk's new path"
grep -qF "${nvram%/*}/other/vm100_VARS.fd" <<<"$(on node2 virsh dumpxml vm100)" || fail "the definition does not name the NVRAM's new path"
gone_from node1 100
nothing_left

migrate 0 node2 100 node1 --targetstorage other:images
[ "$(digest node1 "${disk%/*}")" = "$before" ] || fail "not the same bytes: $(digest node1 "${disk%/*}")"
[ "$(on node1 virsh dumpxml --inactive vm100)" = "$definition" ] || fail "the definition has changed"
nothing_left

second=${disk%/*}/other/second.img
on node1 sh -ec "head -c 3M /dev/urandom >$second; virsh -q attach-disk vm100 $second vdb --config >/dev/null"
before="$(digest node1 "${disk%/*}") $(on node1 sh -c "sha256sum <$second")"
definition=$(on node1 virsh dumpxml --inactive vm100)
swap=images:other,other:images
migrate 0 node1 100 node2 --targetstorage "$swap"
[ "$(digest node2 "${disk%/*}/other") $(on node2 sh -c "sha256sum <${disk%/*}/second.img")" = "$before" ] || fail "not the same bytes"
grep -qF "'${disk%/*}/second.img'" <<<"$(on node2 virsh dumpxml vm100)" || fail "the definition does not name the second disk's new path"
migrate 0 node2 100 node1 --targetstorage "$swap"
[ "$(on node1 virsh dumpxml --inactive vm100)" = "$definition" ] || fail "the definition has changed"
nothing_left
