#!/bin/bash
# FAULTS 18: the worker is killed while the target starts the guest held: the held guest is destroyed, and the guest
# runs on the source.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 8 --autostart
start_waits node2
begin node1 100 node2 --restart
until_it_starts node2
on node1 pkill -KILL -f '^vmmigrate-engine worker'
until_says "recover: the worker is gone"
start_goes_on node2
finish 1
says "interrupted"
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
