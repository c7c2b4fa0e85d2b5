#!/bin/bash
# A container whose root is on shared storage moves by restart, there and back, and no byte of it is copied.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab --gluster
lab container node1 200 --data 80 --autostart
on node1 sh -ec 'cd /var/lib/lxc/200; mv rootfs /mnt/shared/200
    sed -i "s|^lxc.rootfs.path = .*|lxc.rootfs.path = dir:/mnt/shared/200|" config; lxc-start -n 200'
lab wait-ticks 200 5
# Some bytes arrive: GlusterFS reads the programs that the container starts, and the records.
bytes=$(received node2)
second_try node1 200
bytes=$(($(received node2) - bytes))
[ "$bytes" -lt $((60 << 20)) ] || fail "node2 received $bytes bytes"
records node2 200
[ "$(autostart node2 200)" = enable ] || fail "autostart is off on node2"
second_try node2 200
records node1 200
