#!/bin/bash
# FAULTS 9: the link is down for more than 30 s while memory moves: the guest goes on running on the source.
. "$(dirname "$0")/../lab/live.sh"

no_job() { on node1 virsh domjobinfo vm100 | grep 'None' >/dev/null; }

fresh_lab
vm node1 100
begin_slowly node1 100
lab link node2 drop
wait_until "libvirt gives up" 120 no_job
[ "$(state node1 100)" = running ] || fail "guest 100 is $(state node1 100) on node1"
lab link node2 up
finish 1
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online
