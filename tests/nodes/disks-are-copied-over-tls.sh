#!/bin/bash
# --data=tls copies a VM's disk over a port of the target's range. If no port of the range is free, the migration is
# refused with the remedy. If the copy is cut, the guest stays on the source and the next try completes.
. "$(dirname "$0")/../lab/testing.sh"

ports() { on "$1" sh -ec "printf '\n[migration]\ndata_ports = $2\n' >>/etc/vmmigrate/vmmigrate.conf"; }
over_the_port() { on "$1" ss -Htn state established | awk '{ print $3 }' | grep -E ':4930[0-3]$' >/dev/null; }

fresh_lab
ports node2 49300-49303
ports node1 22
vm node1 100 --disk dir --size 256M --data 60

begin node1 100 node2 --restart --data tls --bwlimit 8192
wait_until "data go over a port of the range" 60 over_the_port node2
until_says "precopy vda: 1"
on node2 pkill -KILL vmmigrate-agent
finish 1
as_it_was node1 100 disable

begin node1 100 node2 --restart --data tls
wait_until "data go over a port of the range" 60 over_the_port node2
finish 0
runs_on node2 100
gone_from node1 100
lab records node2 100
! on node2 ss -Htnl | grep -E ':4930[0-3] ' >/dev/null || fail "it still listens"

migrate 3 node2 100 node1 --restart --data tls
says "no port of 22 is free for data"
says "data_ports in [migration]"
as_it_was node2 100 disable
second_try node2 100 --restart
lab records node1 100
