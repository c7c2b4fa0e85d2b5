#!/bin/bash
# The space of seeds counts as free: a guest that fits only without another guest's seed moves, and the seed is
# removed. A storage's section keeps seeds without an option. A file that is not ours is left alone.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab --images ext4 --images-size 700M
for node in node1 node2; do
    on "$node" sh -ec "printf '\n[storage images]\npath = /var/lib/libvirt/images\nkeep_seed = 30\n' >>/etc/vmmigrate/vmmigrate.conf"
done
seeds() { on node1 vmmigrate seeds --json; }

lab guest node2 101 --disk dir --size 256M --data 200
migrate 0 node2 101 node1
seeds | grep '"state":"whole"' >/dev/null || fail "no seed is listed: $(seeds)"
on node2 sh -c 'echo precious >/var/lib/libvirt/images/.vmmigrate-seed-other.img'
on node2 fallocate -l 200M /var/lib/libvirt/images/ballast
on node1 virsh -q undefine vm101
on node1 rm -f /var/lib/libvirt/images/vm101.img

lab guest node1 102 --disk dir --size 300M --data 250
free=$(on node2 df --output=avail -B1 /var/lib/libvirt/images | tail -n 1)
[ "$free" -lt $((250 * 1024 * 1024)) ] || fail "the guest would fit without removing the seed: $free bytes are free"
migrate 0 node1 102 node2
[ "$(state node2 102)" = "shut off" ] || fail "it is $(state node2 102) on node2"
seeds | grep vm101 >/dev/null && fail "the seed is still there: $(seeds)"
[ "$(on node2 cat /var/lib/libvirt/images/.vmmigrate-seed-other.img)" = precious ] || fail "the file that is no seed is gone"
nothing_left
