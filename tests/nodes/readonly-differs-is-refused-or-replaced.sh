#!/bin/bash
# FAULTS 78: a read-only volume of which the target has a file of that path already: the same one is used, another one is
# refused with both sizes, or replaced, never silently used.
. "$(dirname "$0")/../lab/testing.sh"

seed=/srv/seed.iso
fresh_lab
lab guest node1 100 --disk dir --size 16M
on node1 sh -ec "head -c 374784 /dev/urandom >$seed; virsh -q attach-disk vm100 $seed sdb --type cdrom --mode readonly --config"
sum=$(on node1 sha256sum "$seed")

# Another size, then the same size and other content.
on node2 sh -ec "echo other >$seed"
migrate 3 node1 100 node2
says "sdb: $seed is another file on node2 (366.0 KiB here, 6 bytes there; 374784 and 6 bytes)"
says "--replace"
on node2 sh -ec "head -c 374784 /dev/urandom >$seed"
migrate 3 node1 100 node2
says "sdb: $seed has another content on node2 (366.0 KiB on both nodes)"
[ "$(on node2 sha256sum "$seed")" != "$sum" ] || fail "it was replaced unasked"

# Another guest of the target needs the file: it is not replaced.
lab guest node2 101 --disk none
on node2 virsh -q attach-disk vm101 "$seed" sdb --type cdrom --mode readonly --config
migrate 3 node1 100 node2 --replace
says "$seed on node2 is needed by guest 101 there"
on node2 virsh -q undefine vm101

migrate 0 node1 100 node2 --replace
[ "$(on node2 sha256sum "$seed")" = "$sum" ] || fail "it was not replaced"
[ "$(on node1 sha256sum "$seed")" = "$sum" ] || fail "the source's is gone"
nothing_left

# The same content on both nodes now.
migrate 0 node2 100 node1
nothing_left

# A kernel that is another one on the target is another guest.
kernel=/var/lib/libvirt/boot/vmmigrate-lab-vmlinuz
on node2 sh -ec "cp $kernel $kernel.own; echo >>$kernel.own; mv $kernel.own $kernel"
migrate 3 node1 100 node2
says "reads $kernel for its kernel, and has another one on node2"
on node1 cat "$kernel" | on node2 sh -ec "cat >$kernel"
migrate 0 node1 100 node2
