#!/bin/bash
# A VM that was never started has no NVRAM file and no TPM state yet: it moves all the same, unless the target has a file in
# their place, which the VM would use.
. "$(dirname "$0")/../lab/testing.sh"

nvram=/var/lib/libvirt/qemu/nvram/vm100_VARS.fd firmware=/var/lib/libvirt/boot/firmware.fd
fresh_lab
lab guest node1 100 --disk dir --size 16M
for node in node1 node2; do on "$node" truncate -s 256K "$firmware"; done
on node1 sh -ec "virsh -q dumpxml vm100 |
        sed 's|<os>|<os><loader readonly=\"yes\" type=\"pflash\">$firmware</loader><nvram>$nvram</nvram>|
             s|</devices>|<tpm model=\"tpm-crb\"><backend type=\"emulator\" version=\"2.0\"/></tpm></devices>|' |
        virsh -q define /dev/stdin"
tpm=/var/lib/libvirt/swtpm/$(on node1 virsh domuuid vm100 | tr -d '[:space:]')
on node1 sh -ec "! ls $nvram $tpm 2>/dev/null"

on node2 sh -ec "mkdir -p ${nvram%/*}; echo another >$nvram"
migrate 3 node1 100 node2
says "nvram: VM 100 has none yet, and $nvram is on node2 already: it would use that"
on node2 rm "$nvram"
migrate 0 node1 100 node2
on node2 sh -ec "! ls $nvram $tpm 2>/dev/null"
nothing_left
migrate 0 node2 100 node1
