#!/bin/bash
# A VM with checkpoints moves live, there and back: their records and bitmaps arrive, and an incremental backup goes on from
# them. With a snapshot it is refused, and what the refusal advises works: by restart the snapshot goes along.
. "$(dirname "$0")/../lab/live.sh"

image=/mnt/shared/vm100.qcow2
checkpoints() { on "$1" sh -ec 'for name in first second; do virsh checkpoint-dumpxml vm100 $name --security-info; done'; }
unchanged() { [ "$(checkpoints "$1")" = "$before" ] || fail "they have changed: $(diff <(echo "$before") <(checkpoints "$1"))"; }
no_records() {
    local left
    left=$(on "$1" sh -c 'ls -A /var/lib/libvirt/qemu/checkpoint/vm100 2>/dev/null' | grep xml || true)
    [ -z "$left" ] || fail "left on $1: $left"
}
# backup_from NODE CHECKPOINT: an incremental backup begins there, and is ended.
backup_from() {
    on "$1" sh -ec "cat >/root/backup.xml; virsh backup-begin vm100 /root/backup.xml; virsh domjobabort vm100" <<XML
<domainbackup mode='pull'><incremental>$2</incremental><server transport='unix' socket='/run/backup'/>
<disks><disk name='vda' type='file'><scratch file='/root/scratch'/></disk></disks></domainbackup>
XML
}

fresh_lab --gluster
vm node1 100 --disk gluster --format qcow2 --size 256M --records 10
on node1 sh -ec 'virsh checkpoint-create-as vm100 first; sleep 2; virsh checkpoint-create-as vm100 second'
before=$(checkpoints node1)

migrate 0 node1 100 node2 --online
moved node2 100
unchanged node2
no_records node1
backup_from node2 first
backup_from node2 second
second_try node2 100 --online
unchanged node1
no_records node2
backup_from node1 first
booted_once 100

on node1 virsh snapshot-create-as vm100 now
migrate 3 node1 100 node2 --online
says "has the snapshot now"
says "or move the guest with --restart"
second_try node1 100 --restart
[ "$(on node2 virsh snapshot-current vm100 --name)" = now ] || fail "the snapshot is not there"
unchanged node2
lab records node2 100 --file qcow2 "$image"
