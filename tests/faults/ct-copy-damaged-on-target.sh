#!/bin/bash
# FAULTS 34: a byte of a file is changed on the target's storage while the tree is copied, with size and time as
# before. --verify=full finds it before the commit, and the file is sent again.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
ct node1 200 --data 24 --autostart
begin node1 200 node2 --no-precopy --bwlimit 8192 --verify=full
files_arrive node2
on node2 sh -ec 'cd /var/lib/lxc/200/.vmmigrate-*/*/data; touch -r aaaaa /run/time
    printf X | dd of=aaaaa bs=1 seek=1000 conv=notrunc status=none; touch -r /run/time aaaaa'
was=$(on node1 sh -c 'cat /var/lib/lxc/200/rootfs/data/* | sha256sum')
finish 0
says "the trees differ"
is=$(on node2 sh -c 'cat /var/lib/lxc/200/rootfs/data/* | sha256sum')
[ "$was" = "$is" ] || fail "what arrived is not what was sent"
runs_on node2 200
records node2 200
second_try node2 200 --verify=full
