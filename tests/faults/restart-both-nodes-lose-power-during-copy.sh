#!/bin/bash
# FAULTS 26, 31: both nodes lose power during the copy and boot again; the guest has autostart. It runs once, on the
# source.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 48 --autostart
begin node1 100 node2 --restart --bwlimit 8192
until_says "precopy vda:"
lab kill node1
lab kill node2
wait "$begun" || true
lab boot node2
gone_from node2 100
lab boot node1
until_recovered node1 100
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
