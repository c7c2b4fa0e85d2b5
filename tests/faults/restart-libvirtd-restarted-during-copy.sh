#!/bin/bash
# FAULTS 14, 15: libvirtd is restarted on both nodes while the disk is copied: the migration completes.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 48 --autostart
begin node1 100 node2 --restart --bwlimit 8192
until_says "precopy vda:"
lab libvirtd node1 restart
lab libvirtd node2 restart
finish 0
runs_on node2 100
gone_from node1 100
lab records node2 100
second_try node2 100 --restart
lab records node1 100
