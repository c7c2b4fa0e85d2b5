#!/bin/bash
# Storage that libvirt takes for local is declared shared, and a token proves it: the guest moves live, there and back, without
# --unsafe. With a cache mode that is not safe it is refused before anything is touched.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab --common
for node in node1 node2; do on "$node" sh -c "printf '\n[storage common]\npath = /mnt/common\nshared = yes\n' >>/etc/vmmigrate/vmmigrate.conf"; done
lab guest node1 100 --disk dir --format qcow2 --size 64M --records 10
on node1 sh -ec 'mv /var/lib/libvirt/images/vm100.qcow2 /mnt/common/
    virsh dumpxml vm100 | sed "s|/var/lib/libvirt/images/vm100|/mnt/common/vm100|" >/root/common.xml
    virsh define /root/common.xml; virsh start vm100'
lab wait-ticks 100 10

migrate 0 node1 100 node2 --online
moved node2 100
second_try node2 100 --online
booted_once 100
lab records node1 100 --file qcow2 /mnt/common/vm100.qcow2

on node1 virsh destroy vm100
on node1 sh -ec 'sed "s|cache=.[a-z]*.|cache=\"unsafe\"|; /cache=/!s|<driver name=.qemu. type=.qcow2.|& cache=\"unsafe\"|" /root/common.xml >/root/unsafe.xml
    grep -q "cache=\"unsafe\"" /root/unsafe.xml; virsh define /root/unsafe.xml; virsh start vm100'
migrate 3 node1 100 node2 --online
says "cache mode unsafe"
runs_on node1 100
