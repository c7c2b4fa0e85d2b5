#!/bin/bash
# A disk that the definition names by a libvirt pool and a volume moves: off, by restart and live. It stays so named where the
# target has that pool at the same place, and becomes a file where it has not.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images
# by_pool NODE ID POOL DIRECTORY NAME: the VM's disk becomes that volume of the pool.
by_pool() {
    on "$1" sh -ec "virsh -q dumpxml --inactive vm$2 | sed \"s|<disk type='file'|<disk type='volume'|; s|<source file='$4/$5'/>|<source pool='$3' volume='$5'/>|\" |
        virsh -q define /dev/stdin; virsh -q pool-refresh $3"
}
# named NODE ID: how the definition names the disk.
named() { on "$1" virsh dumpxml --inactive "vm$2" | sed -n "s|^ *<source \(.*\)/>$|\1|p" | sed -n 1p; }
pool() { on "$1" sh -ec "virsh -q pool-define-as $2 dir --target $3; virsh -q pool-start $2"; }

fresh_lab --gluster
for node in node1 node2; do pool $node default "$images"; done
lab guest node1 100 --disk dir --format qcow2 --size 64M --data 8
by_pool node1 100 default "$images" vm100.qcow2
[ "$(named node1 100)" = "pool='default' volume='vm100.qcow2'" ] || fail "the test is wrong: $(named node1 100)"

# Off, and back by restart: the pool of the target does not know the file before.
migrate 0 node1 100 node2
[ "$(named node2 100)" = "pool='default' volume='vm100.qcow2'" ] || fail "it became $(named node2 100)"
on node2 virsh -q start vm100
lab wait-ticks 100 10
migrate 0 node2 100 node1 --restart
runs_on node1 100
lab records node1 100 --file qcow2 "$images/vm100.qcow2"
[ "$(named node1 100)" = "pool='default' volume='vm100.qcow2'" ] || fail "it became $(named node1 100)"

# The target has the pool elsewhere: the disk becomes a file.
on node2 sh -ec "virsh -q pool-destroy default; virsh -q pool-undefine default; mkdir /srv/elsewhere"
pool node2 default /srv/elsewhere
pool node2 other "$images"
migrate 0 node1 100 node2 --restart --ignore storage-missing
runs_on node2 100
[ "$(named node2 100)" = "file='$images/vm100.qcow2'" ] || fail "it became $(named node2 100)"
lab records node2 100

# Live, in a pool on shared storage.
for node in node1 node2; do pool $node shared /mnt/shared; done
lab guest node1 101 --disk gluster --size 64M
file=$(on node1 virsh domblklist vm101 | awk '$1 == "vda" { print $2 }')
by_pool node1 101 shared /mnt/shared "${file##*/}"
on node1 virsh -q start vm101
lab wait-ticks 101 10
migrate 0 node1 101 node2 --online
runs_on node2 101
[ "$(named node2 101)" = "pool='shared' volume='${file##*/}'" ] || fail "it became $(named node2 101)"
nothing_left
