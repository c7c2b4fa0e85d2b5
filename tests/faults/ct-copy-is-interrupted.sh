#!/bin/bash
# FAULTS 21, 32, 33, 44: while a container's tree is copied, ssh is cut, the receiver or the agent is killed, somebody
# cancels, or the target's disk fills up. The container stays on the source as it was, and nothing is left on the
# target.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
ct node1 200 --autostart --data 32

# during_copy PHASE COMMAND...: runs it on node2 once files of the tree arrive; the migration fails, and all is as it was.
during_copy() {
    local phase=$1 options=(--bwlimit 8192)
    shift
    [ "$phase" = precopy ] || options+=(--no-precopy)
    begin node1 200 node2 "${options[@]}"
    files_arrive node2
    on node2 "$@"
    finish 1
    says "guest 200 is running on node1"
    says "$phase rootfs: "
    as_it_was node1 200
    no_seeds
}
during_copy precopy pkill -KILL -f '^sshd: root'
during_copy precopy pkill -KILL -f 'rsync --server'
says "the receiving rsync: killed by SIGKILL"
# The end of the agent is noticed at once, not at the next call.
during_copy copy pkill -KILL vmmigrate-agent
says "the agent there has ended"

begin node1 200 node2 --no-precopy --bwlimit 8192
files_arrive node2
on node1 pkill -INT -x vmmigrate
finish 7
as_it_was node1 200
no_seeds

# First there is space for the whole tree, then for half of it.
on node2 mount -t tmpfs -o size=120M none /var/lib/lxc
begin node1 200 node2 --bwlimit 8192
files_arrive node2
on node2 sh -c 'fallocate -l 100M /var/lib/lxc/filler || cat /dev/zero >/var/lib/lxc/filler || true'
finish 1
says "no space left on the target"
as_it_was node1 200
on node2 umount /var/lib/lxc

second_try node1 200
records node2 200
