#!/bin/bash
# FAULTS 38: a container that cannot be set up on the target goes on running on the source.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200 --autostart
on node1 sh -ec 'mkdir /srv/data /var/lib/lxc/200/rootfs/mnt/data
    echo "lxc.mount.entry = /srv/data mnt/data none bind 0 0" >>/var/lib/lxc/200/config; lxc-start -n 200'
lab wait-ticks 200 5
# The path exists, so that the check passes, but it is no directory.
on node2 touch /srv/data
migrate 1 node1 200 node2
says "cannot be started"
as_it_was node1 200
on node2 sh -c 'rm /srv/data; mkdir /srv/data'
second_try node1 200
lab records node2 200
