#!/bin/bash
# FAULTS 21, 32, 33, 44: while a container's tree crosses - the link goes, the receiver or the agent is killed, the target's disk
# fills, somebody cancels - the container goes on where it was, and nothing is left.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
ct node1 200 --autostart --data 32

# while_it_crosses PHASE COMMAND...: does it on node2 once the tree has begun to cross; the migration fails, and all is as it was.
while_it_crosses() {
    local phase=$1 options=(--bwlimit 8192)
    shift
    [ "$phase" = precopy ] || options+=(--no-precopy)
    begin node1 200 node2 "${options[@]}"
    it_crosses node2
    on node2 "$@"
    finish 1
    says "guest 200 is running on node1"
    says "$phase rootfs: "
    as_it_was node1 200
    no_seeds
}
while_it_crosses precopy pkill -KILL -f '^sshd: root'
while_it_crosses precopy pkill -KILL -f 'rsync --server'
says "the receiving rsync: killed by SIGKILL"
# Noticed at once, not when the agent is asked for something again.
while_it_crosses copy pkill -KILL vmmigrate-agent
says "the agent there has ended"

begin node1 200 node2 --no-precopy --bwlimit 8192
it_crosses node2
on node1 pkill -INT -x vmmigrate
finish 7
as_it_was node1 200
no_seeds

# Room for all of it, and then for half of it.
on node2 mount -t tmpfs -o size=120M none /var/lib/lxc
begin node1 200 node2 --bwlimit 8192
it_crosses node2
on node2 sh -c 'fallocate -l 100M /var/lib/lxc/filler || cat /dev/zero >/var/lib/lxc/filler || true'
finish 1
says "no space left on the target"
as_it_was node1 200
on node2 umount /var/lib/lxc

second_try node1 200
records node2 200
