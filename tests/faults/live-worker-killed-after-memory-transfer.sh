#!/bin/bash
# FAULTS 20: the worker is killed after all memory has moved, before the commit: the guest runs on the target.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
signal node1 STOP "$worker"
wait_until "libvirt has moved it" 60 reason_is node1 100 "shut off (migrated)"
reason_is node2 100 "paused (user)" || fail "guest 100 is $(reason node2 100) on node2"
expect 1 on node1 virsh -q start vm100
signal node1 KILL "$worker"
finish 0
moved node2 100
[ "$(autostart node2 100)" = enable ] || fail "autostart is off"
second_try node2 100 --online
