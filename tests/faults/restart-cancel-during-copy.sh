#!/bin/bash
# FAULTS 8, 21: cancelled while its disk is copied - by Ctrl-C while it runs, by the verb once it is off - the guest goes on
# where it was. A second migration of it meanwhile is busy.
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
[ "$(state node1 100)" = "shut off" ] || fail "it is $(state node1 100) while the last delta is copied"
migrate 0 node1 cancel 100
finish 7
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
