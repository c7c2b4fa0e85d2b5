#!/bin/bash
# FAULTS 8, 21: the migration is cancelled while the disk is copied: by Ctrl-C while the guest runs, by `vmmigrate
# cancel` while it is off. The guest goes on running on the source. A second migration of it meanwhile is refused as
# busy.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 48 --autostart
begin node1 100 node2 --restart --bwlimit 8192
until_says "precopy vda:"
migrate 6 node1 100 node2 --restart
says "task"
on node1 pkill -INT -x vmmigrate
finish 7
says "cancelled"
as_it_was node1 100
no_seeds

begin node1 100 node2 --restart --no-precopy --bwlimit 8192
until_says "copy vda:"
[ "$(state node1 100)" = "shut off" ] || fail "it is $(state node1 100) during the last round"
migrate 0 node1 cancel 100
finish 7
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
