#!/bin/bash
# FAULTS 18, 45: the worker is killed while the disk is copied: while the guest runs, while it is off, and together
# with its supervisor and the agents. The supervisor, or recover, undoes what the worker has begun.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 48 --autostart
begin node1 100 node2 --restart --bwlimit 8192
until_says "precopy vda:"
on node1 pkill -KILL -f '^vmmigrate-engine worker'
finish 1
says "interrupted"
as_it_was node1 100
no_seeds

begin node1 100 node2 --restart --no-precopy --bwlimit 8192
until_says "copy vda:"
on node1 pkill -KILL -f '^vmmigrate-engine worker'
finish 1
says "interrupted"
as_it_was node1 100
no_seeds

begin node1 100 node2 --restart --no-precopy --bwlimit 8192
until_says "copy vda:"
on node1 pkill -KILL vmmigrate-engin
on node2 pkill -KILL vmmigrate-agent || true
wait "$begun" || true
[ "$(state node1 100)" = "shut off" ] || fail "something has started it: $(state node1 100)"
# Until recover runs, libvirt must not start the guest that the dead task has locked.
expect 1 on node1 virsh start vm100
migrate 0 node1 recover
says "settled"
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
