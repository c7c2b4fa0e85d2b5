#!/bin/bash
# FAULTS 23: the guest reboots while its memory crosses: it comes up on the source.
. "$(dirname "$0")/../../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
lab tell 100 reboot
finish 1
says "the guest has rebooted"
says "guest 100 is running on node1"
runs_on node1 100
gone_from node2 100
at_rest
second_try node1 100 --online
lab records node2 100
