#!/bin/bash
# FAULTS 32: the migration is refused if the target has too little space. If the space goes during the copy, the
# migration is undone.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images
fresh_lab --images ext4 --images-size 200M
vm node1 100 --disk dir --size 100M --data 60 --autostart
on node2 fallocate -l 140M "$images/filler"
migrate 3 node1 100 node2 --restart
says "which has"
as_it_was node1 100

on node2 rm "$images/filler"
begin node1 100 node2 --restart --bwlimit 8192
until_says "precopy vda:"
on node2 sh -c "fallocate -l 150M $images/filler || cat /dev/zero >$images/filler" || true
finish 1
says "space"
as_it_was node1 100

on node2 rm "$images/filler"
second_try node1 100 --restart
lab records node2 100
