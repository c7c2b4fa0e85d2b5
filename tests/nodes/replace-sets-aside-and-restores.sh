#!/bin/bash
# FAULTS 4: --replace puts a stopped guest and a file out of the way on the target - back again when the migration fails, for good
# when it has succeeded. A guest that runs is never replaced.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images kernel=/var/lib/libvirt/boot/vmmigrate-lab-vmlinuz
fresh_lab
vm node1 100 --disk dir --size 64M --data 8 --autostart
on node1 virsh -q dumpxml --inactive vm100 >/tmp/"$LAB.xml"
on node2 sh -ec "echo precious >$images/vm100.img"
sed 's/<vcpu[^>]*>1</<vcpu>2</' /tmp/"$LAB.xml" | on node2 virsh -q define /dev/stdin
rm /tmp/"$LAB.xml"
theirs=$(on node2 virsh dumpxml --inactive vm100)
migrate 3 node1 100 node2 --restart
says "--replace"

# It cannot be started there: all that was set aside comes back.
on node2 sh -ec "mv $kernel $kernel.away; mkdir $kernel"
migrate 1 node1 100 node2 --restart --replace
runs_on node1 100
wait_until "nothing is left" 30 settled
[ "$(on node2 cat "$images/vm100.img")" = precious ] || fail "their file is gone"
[ "$(on node2 virsh dumpxml --inactive vm100)" = "$theirs" ] || fail "their guest is not what it was"
on node2 sh -ec "rmdir $kernel; mv $kernel.away $kernel"

second_try node1 100 --restart --replace
lab records node2 100
[ "$(on node2 find "$images" -type f | wc -l)" = 1 ] || fail "something is left: $(on node2 find "$images" -type f)"
