#!/bin/bash
# FAULTS 53: a directory that is configured as local is the same network mount on both nodes. A copy would overwrite
# its own source: it is refused, and the disk is intact.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab --gluster
vm node1 100 --disk gluster --size 64M --data 8 --autostart
for node in node1 node2; do
    on "$node" sh -c "printf '\n[storage shared]\npath = /mnt/shared\nshared = no\n' >>/etc/vmmigrate/vmmigrate.conf"
done
migrate 3 node1 100 node2 --restart
says "the same on both nodes"
says "shared = yes"
migrate 3 node1 100 node2 --restart --replace
# No advice that would destroy the disk, nor any that would be refused.
migrate 3 node1 100 node2 --online
says "shared = yes"
! grep -qE "remove or rename|--replace|--restart.* works" <<<"$said" || fail "it advises what would be refused, or worse"
as_it_was node1 100
lab records node1 100
for node in node1 node2; do on "$node" sed -i 's/^shared = no/shared = yes/' /etc/vmmigrate/vmmigrate.conf; done
second_try node1 100 --restart
lab records node2 100
