#!/bin/bash
# FAULTS 21: a live migration is cancelled while memory moves: exit status 7, the guest goes on running on the source.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
on node1 vmmigrate cancel 100
finish 7
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online
