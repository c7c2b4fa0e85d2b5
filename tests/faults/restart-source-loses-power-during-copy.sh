#!/bin/bash
# FAULTS 28, 31: the source loses power while the disk is copied and the guest is off. Nothing starts on the target,
# whatever is typed there. When the source is back, recover undoes the migration and starts the guest there, once.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 48 --autostart
begin node1 100 node2 --restart --no-precopy --bwlimit 8192
until_says "copy vda:"
lab kill node1
wait "$begun" || true
gone_from node2 100
on node2 vmmigrate recover || true
gone_from node2 100
lab boot node1
until_recovered node1 100
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
