#!/bin/bash
# FAULTS 4: --replace sets aside a stopped guest and a file that are in the way on the target. They come back if the
# migration fails, and are removed after it has succeeded.
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

# The guest cannot be started there: everything that was set aside comes back.
on node2 sh -ec "mv $kernel $kernel.away; mkdir $kernel"
migrate 1 node1 100 node2 --restart --replace --ignore host-file-differs
runs_on node1 100
wait_until "nothing is left" 30 is_clean
[ "$(on node2 cat "$images/vm100.img")" = precious ] || fail "the file that was set aside is gone"
[ "$(on node2 virsh dumpxml --inactive vm100)" = "$theirs" ] || fail "the guest that was set aside has changed"
on node2 sh -ec "rmdir $kernel; mv $kernel.away $kernel"

second_try node1 100 --restart --replace
lab records node2 100
[ "$(on node2 find "$images" -type f | wc -l)" = 1 ] || fail "something is left: $(on node2 find "$images" -type f)"
