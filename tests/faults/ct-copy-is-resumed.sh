#!/bin/bash
# FAULTS 33: files of a container's tree that had arrived when the copy was cut are not sent again. Nor are those that
# a seed holds, on the way back and on the next way there. The tree that arrives is always the one that was sent.
. "$(dirname "$0")/../lab/containers.sh"

# sent_less_than NODE MIB: the container moves from NODE; the other node has an earlier copy and receives less than MIB.
sent_less_than() {
    local to bytes
    to=$(other "$1")
    bytes=$(received "$to")
    second_try "$1" 200 --keep-seed
    says "$to has"
    says "of an earlier copy; only what differs is sent"
    bytes=$(($(received "$to") - bytes))
    [ "$bytes" -lt $(($2 << 20)) ] || fail "$to received $bytes bytes"
    records "$to" 200
}

fresh_lab
ct node1 200 --data 32 --autostart
begin node1 200 node2 --bwlimit 8192
wait_until "20 MiB of files have arrived" 60 on node2 sh -c 'ls /var/lib/lxc/*/.vmmigrate-*/*/data/aaadc'
on node2 pkill -KILL -f 'rsync --server'
finish 1
says "node2 keeps"
as_it_was node1 200
sent_less_than node1 24
sent_less_than node2 8
on node1 sh -c 'rm /var/lib/lxc/200/rootfs/data/aaaab; echo other >/var/lib/lxc/200/rootfs/data/aaaac; touch -d yesterday /var/lib/lxc/200/rootfs/data/aaaad
    cd /var/lib/lxc/200/rootfs/data; touch -r aaaae /run/time; printf X | dd of=aaaae bs=1 seek=99 conv=notrunc status=none; touch -r /run/time aaaae'
was=$(on node1 sh -c 'cd /var/lib/lxc/200/rootfs/data; ls -l --time-style=full-iso; cat * | sha256sum')
sent_less_than node1 8
is=$(on node2 sh -c 'cd /var/lib/lxc/200/rootfs/data; ls -l --time-style=full-iso; cat * | sha256sum')
[ "$was" = "$is" ] || fail "what arrived is not what was sent"
