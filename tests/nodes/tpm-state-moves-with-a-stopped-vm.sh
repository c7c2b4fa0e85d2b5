#!/bin/bash
# The state of an emulated TPM is a directory: it moves with a VM that is off or restarts, with all that is in it, and the
# TPM of the VM works with it.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
lab guest node1 100 --disk dir --size 16M
on node1 sh -ec "virsh -q dumpxml vm100 |
        sed 's|</devices>|<tpm model=\"tpm-crb\"><backend type=\"emulator\" version=\"2.0\"/></tpm></devices>|' |
        virsh -q define /dev/stdin"
tpm=/var/lib/libvirt/swtpm/$(on node1 virsh domuuid vm100 | tr -d '[:space:]')
state() { on "$1" sh -ec "cd $tpm; find . ! -name .lock -printf '%P %y %m %U:%G\n' | sort; sha256sum tpm2/tpm2-00.permall"; }
on node1 virsh -q start vm100
lab wait-ticks 100 10
on node1 virsh -q destroy vm100
before=$(state node1)

on node2 mkdir -p /var/lib/libvirt/swtpm
migrate 0 node1 100 node2
[ "$(state node2)" = "$before" ] || fail "not the same: $(diff <(echo "$before") <(state node2))"
on node1 sh -ec "! ls -d $tpm 2>/dev/null"
on node2 virsh -q start vm100
lab wait-ticks 100 10
migrate 0 node2 100 node1 --restart
lab wait-ticks 100 10
on node1 virsh -q destroy vm100
state node1 >/dev/null
on node2 sh -ec "! ls -d $tpm 2>/dev/null"
nothing_left
