#!/bin/bash
# FAULTS 74, 75: while its disk is copied an administrator saves the guest or shuts it down, its user powers it off, somebody
# edits its definition, takes a snapshot or a checkpoint, or begins a backup. The migration is undone, says what it has found, and what they did stands.
. "$(dirname "$0")/../lab/testing.sh"

# interrupted MESSAGE COMMAND...: a restart migration of guest 100 during whose first round the command runs; it fails with that message.
interrupted() {
    local message=$1
    shift
    no_seeds
    begin node1 100 node2 --restart --bwlimit 8192
    until_says "precopy vda:"
    "$@"
    finish 1
    says "$message"
    gone_from node2 100
    wait_until_clean
}

fresh_lab
vm node1 100 --disk dir --format qcow2 --size 256M --data 48 --records 10 --autostart

interrupted "had its definition changed" on node1 virsh desc vm100 --config "edited in the middle"
as_it_was node1 100

interrupted "had a snapshot or checkpoint made" on node1 virsh snapshot-create-as vm100 before-the-evening
as_it_was node1 100
on node1 virsh snapshot-delete vm100 before-the-evening

interrupted "had a snapshot or checkpoint made" on node1 virsh checkpoint-create-as vm100 evening
as_it_was node1 100
on node1 virsh checkpoint-delete vm100 evening

begin_backup() {
    on node1 sh -ec 'cat >/root/backup.xml; virsh backup-begin vm100 /root/backup.xml' <<'XML'
<domainbackup mode='pull'><server transport='unix' socket='/run/backup'/>
<disks><disk name='vda' type='file'><scratch file='/var/lib/libvirt/images/scratch'/></disk></disks></domainbackup>
XML
}
interrupted "backup has begun during the migration" begin_backup
as_it_was node1 100
on node1 virsh domjobabort vm100
grep -q boots=1 <<<"$(lab ticks 100)" || fail "it was stopped: $(lab ticks 100)"

# The saved memory is lost if anybody starts the guest anew.
interrupted "was saved (managed save)" on node1 virsh managedsave vm100
[ "$(state node1 100)" = "shut off" ] || fail "it is $(state node1 100)"
grep -q "Managed save: *yes" <<<"$(on node1 virsh dominfo vm100)" || fail "its memory is no longer saved"
on node1 virsh start vm100
runs_on node1 100
grep -q boots=1 <<<"$(lab ticks 100)" || fail "its memory was lost: $(lab ticks 100)"

interrupted "that was not this migration" lab tell 100 off
[ "$(state node1 100)" = "shut off" ] || fail "it was started although its user has powered it off"
on node1 virsh start vm100
runs_on node1 100

interrupted "that was not this migration" on node1 virsh shutdown vm100
[ "$(state node1 100)" = "shut off" ] || fail "it was started although it was shut down by hand"
on node1 virsh start vm100
runs_on node1 100
no_seeds
second_try node1 100 --restart
lab records node2 100
