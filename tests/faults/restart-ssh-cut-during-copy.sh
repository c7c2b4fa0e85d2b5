#!/bin/bash
# FAULTS 33, 44: while the disk is copied, the target's sshd processes of our connections are killed; in a second try,
# with the guest off, the agent is killed. Both times the guest runs on the source afterwards.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 48 --autostart
begin node1 100 node2 --restart --bwlimit 8192
until_says "precopy vda:"
on node2 pkill -KILL -f '^sshd: root'
finish 1
says "TASK ERROR"
as_it_was node1 100
no_seeds

begin node1 100 node2 --restart --no-precopy --bwlimit 8192
until_says "copy vda:"
on node2 pkill -KILL vmmigrate-agent
finish 1
says "TASK ERROR"
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
