#!/bin/bash
# FAULTS 21: a migration of a running guest is cancelled while memory moves, or as soon as the target waits for it: exit status 7, the
# guest goes on running on the source, and the target has nothing of it, the socket for its memory included.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
on node1 vmmigrate cancel 100
finish 7
says "guest 100 is running on node1"
stayed node1 100

begin node1 100 node2 --non-live --bwlimit 2048
until_says "handover 100"
on node1 vmmigrate cancel 100
finish 7
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online
