#!/bin/bash
# FAULTS 2: the target's hypervisor cannot give a CPU feature that the guest's CPU requires: moving its memory is refused, and the
# feature is named. Both nodes of the lab have one QEMU, so node2's libvirt is told that its QEMU lacks the feature.
. "$(dirname "$0")/../lab/live.sh"

feature=smap
# has_feature NODE true|false: what libvirt there has noted about its QEMU, from its next start on.
has_feature() {
    on "$1" sh -ec "virsh -q domcapabilities --virttype qemu >/dev/null
        sed -i \"/<hostCPU type='tcg'/,/<.hostCPU>/s|name='$feature' type='boolean' value='[a-z]*'|name='$feature' type='boolean' value='$2'|\" \
            /var/cache/libvirt/qemu/capabilities/*.xml"
    lab libvirtd "$1" restart
}
refused() {
    migrate 3 node1 100 node2 "$@"
    says "it lacks $feature"
    says "hypervisor-cpu-baseline"
    runs_on node1 100
    gone_from node2 100
    nothing_left
}

fresh_lab
lab guest node1 100
on node1 sh -ec "virsh -q dumpxml vm100 | sed \"s|<model fallback='forbid'>qemu64</model>|&<feature policy='require' name='$feature'/>|\" |
    virsh -q define /dev/stdin
    virsh -q start vm100"
lab wait-ticks 100 10
has_feature node2 false
refused --online
refused --non-live
booted_once 100
has_feature node2 true
second_try node1 100 --online
booted_once 100
lab records node2 100
