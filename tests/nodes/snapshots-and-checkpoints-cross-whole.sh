#!/bin/bash
# FAULTS 6: a VM with snapshots (with its memory and without) and checkpoints moves by restart and while it is off: both nodes say the same of
# them, the guest can be reverted to them, and an incremental backup goes on from them. What cannot cross is refused by its
# name, and what the refusal advises works. A migration that is undone leaves all of them on the source.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images
# moments NODE: what libvirt has recorded of the snapshots and checkpoints of vm100.
moments() {
    on "$1" sh -ec 'virsh snapshot-list vm100 --name | sort | while read -r name; do
            [ -z "$name" ] || virsh snapshot-dumpxml vm100 "$name" --security-info; done
        virsh snapshot-current vm100 --name
        virsh checkpoint-list vm100 --name | sort | while read -r name; do
            [ -z "$name" ] || virsh checkpoint-dumpxml vm100 "$name" --security-info; done'
}
unchanged() { [ "$(moments "$1")" = "$before" ] || fail "they have changed: $(diff <(echo "$before") <(moments "$1"))"; }
no_records() {
    local left
    left=$(on "$1" sh -c 'ls -A /var/lib/libvirt/qemu/snapshot/vm100 /var/lib/libvirt/qemu/checkpoint/vm100 2>/dev/null' | grep xml || true)
    [ -z "$left" ] || fail "left on $1: $left"
}
# backup_from NODE CHECKPOINT: an incremental backup begins there, and is ended.
backup_from() {
    on "$1" sh -ec "cat >/root/backup.xml; virsh backup-begin vm100 /root/backup.xml; virsh domjobabort vm100" <<XML
<domainbackup mode='pull'><incremental>$2</incremental><server transport='unix' socket='/run/backup'/>
<disks><disk name='vda' type='file'><scratch file='$images/scratch'/></disk></disks></domainbackup>
XML
}
# goes_on NODE: it runs there. (A guest that was reverted ticks again as it did before, which runs_on would take for a second guest.)
goes_on() {
    [ "$(state "$1" 100)" = running ] || fail "guest 100 is $(state "$1" 100) on $1"
    gone_from "$(other "$1")" 100
    lab wait-ticks 100 5
}

fresh_lab
vm node1 100 --disk dir --format qcow2 --size 256M --data 16 --records 10 --autostart
on node1 virsh snapshot-create-as vm100 "with-memory" "on monday"
on node1 virsh checkpoint-create-as vm100 first
on node1 virsh checkpoint-create-as vm100 second
on node1 virsh snapshot-create-as vm100 "after"
before=$(moments node1)

echo "--- undone: the target cannot start it"
on node2 sh -c 'printf "#!/bin/sh\n[ \"\$2\" != start ] || exit 1\n" >/etc/libvirt/hooks/qemu.d/refuse; chmod 755 /etc/libvirt/hooks/qemu.d/refuse'
lab libvirtd node2 restart
migrate 1 node1 100 node2 --restart
as_it_was node1 100
unchanged node1
no_records node2
on node2 rm /etc/libvirt/hooks/qemu.d/refuse
no_seeds

echo "--- by restart"
second_try node1 100 --restart
unchanged node2
no_records node1
backup_from node2 first
backup_from node2 second
# QEMU reverts no image that has bitmaps.
on node2 sh -ec 'virsh checkpoint-delete vm100 second; virsh checkpoint-delete vm100 first'
on node2 virsh snapshot-revert vm100 with-memory
goes_on node2
[ "$(on node2 virsh snapshot-current vm100 --name)" = with-memory ] || fail "it was not reverted"

echo "--- back, while it is off"
on node2 virsh destroy vm100
on node2 virsh snapshot-create-as vm100 off
before=$(moments node2)
migrate 0 node2 100 node1
unchanged node1
no_records node2
on node1 virsh start vm100
goes_on node1

echo "--- to another directory"
on node2 mkdir /srv/other
for node in node1 node2; do on "$node" sh -c "printf '\n[storage other]\npath = /srv/other\n[storage images]\npath = $images\n' >>/etc/vmmigrate/vmmigrate.conf"; done
migrate 0 node1 100 node2 --restart --targetstorage other
before=${before//"$images/vm100.qcow2"//srv/other/vm100.qcow2}
unchanged node2
before=${before//"/srv/other/vm100.qcow2"/"$images/vm100.qcow2"}
on node2 virsh snapshot-revert vm100 off --running
goes_on node2
migrate 0 node2 100 node1 --restart --targetstorage images
unchanged node1

echo "--- what cannot cross"
on node1 sh -ec 'for name in with-memory after off; do virsh snapshot-delete vm100 $name; done'
on node1 virsh snapshot-create-as vm100 outside --disk-only
migrate 3 node1 100 node2 --restart
says "the snapshot outside of VM 100 stands on $images/vm100.qcow2"
says "virsh snapshot-delete vm100 outside"
on node1 virsh snapshot-delete vm100 outside
migrate 0 node1 100 node2 --restart
goes_on node2
wait_until_clean
