#!/bin/bash
# FAULTS 77: --targetstorage leads to the source's own file, which node2 has mounted elsewhere. A token in that very
# directory proves it: refused, with --replace as well, and the disk is intact.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab --gluster
vm node1 100 --disk gluster --size 64M --data 8 --autostart
on node2 sh -ec 'mkdir -p /mnt/other; mount --bind /mnt/shared /mnt/other; umount /mnt/shared'
for node in node1 node2; do
    on "$node" sh -c "mkdir -p /mnt/shared /mnt/other
        printf '\n[storage shared]\npath = /mnt/shared\nshared = no\n[storage other]\npath = /mnt/other\nshared = no\n' >>/etc/vmmigrate/vmmigrate.conf"
done
for option in --restart --replace; do
    migrate 3 node1 100 node2 --restart --targetstorage other $option
    says "is the very file that is read here"
    ! grep -q "remove or rename" <<<"$said" || fail "it advises to remove the source's own disk"
done
as_it_was node1 100
lab records node1 100
on node2 umount /mnt/other
second_try node1 100 --restart --targetstorage other
