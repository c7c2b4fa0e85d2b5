#!/bin/bash
# FAULTS 58: libvirtd is restarted on both nodes while other guests run, while a guest moves, and while a guest record
# denies starts. No running guest is ended by that.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100
vm node2 101
vm node1 102
migrate 0 node1 100 node2 --online
begin_slowly node1 102
# A record that denies starts, of a guest that runs: a starting libvirtd asks the guard about running guests too.
on node2 sed -i 's/^guard=allow$/guard=deny/' /var/lib/vmmigrate/guests/qemu-100
lab libvirtd node2 restart
lab libvirtd node1 restart
finish 1
for id in 100 101; do
    runs_on node2 "$id"
    booted_once "$id"
done
stayed node1 102
on node2 sed -i 's/^guard=deny$/guard=allow/' /var/lib/vmmigrate/guests/qemu-100
second_try node1 102 --online
second_try node2 101 --online
