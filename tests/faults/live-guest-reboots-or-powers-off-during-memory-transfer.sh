#!/bin/bash
# FAULTS 23: the guest reboots while its memory moves: it comes up on the source. The guest powers off: it is off on
# the source. In both cases nothing of it is left on the target.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
lab tell 100 reboot
finish 1
says "the guest has rebooted"
says "guest 100 is running on node1"
runs_on node1 100
gone_from node2 100
wait_until_clean
second_try node1 100 --online

begin_slowly node2 100
lab tell 100 off
finish 1
says "guest 100 is shutoff on node2"
gone_from node1 100
[ "$(autostart node2 100)" = enable ] || fail "autostart is off"
wait_until_clean
on node2 virsh -q start vm100
lab wait-ticks 100 10
second_try node2 100 --online
lab records node1 100
