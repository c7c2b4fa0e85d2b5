#!/bin/bash
# FAULTS 21, 32, 33, 44: while a container's tree crosses - the link goes, the agent is killed, the target's disk fills, somebody
# cancels - it goes on where it was, and nothing is left.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
ct node1 200 --autostart --data 48
begin node1 200 node2 --bwlimit 4096
until_says "precopy rootfs:"
on node2 pkill -KILL -f "rsync --server"
finish 1
as_it_was node1 200

begin node1 200 node2 --no-precopy --bwlimit 4096
until_says "copy rootfs:"
on node1 pkill -INT -x vmmigrate
finish 7
as_it_was node1 200

on node2 sh -c 'mount -t tmpfs -o size=30M none /var/lib/lxc'
begin node1 200 node2 --ignore space-short
finish 3
on node2 umount /var/lib/lxc
as_it_was node1 200
second_try node1 200
lab records node2 200
