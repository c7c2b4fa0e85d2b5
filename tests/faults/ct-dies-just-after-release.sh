#!/bin/bash
# FAULTS 38: the init of a container ends just after the container was released on the target. The task ends with
# status 9 and waits for an administrator's decision; the source keeps the volumes; the command that goes back is
# named, and works.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200 --autostart
on node1 sh -ec 'cd /var/lib/lxc/200; sed -i "1i::sysinit:/bin/sh -c \"[ -e /mnt/die/now ] \&\& poweroff -f\"" rootfs/etc/inittab
    mkdir /srv/die rootfs/mnt/die; echo "lxc.mount.entry = /srv/die mnt/die none bind 0 0" >>config; lxc-start -n 200'
lab wait-ticks 200 5
on node2 sh -c 'mkdir /srv/die; touch /srv/die/now'
migrate 9 node1 200 node2
says "--keep source"
on node1 test -d /var/lib/lxc/200/rootfs || fail "the source's root is gone"
for node in node1 node2; do
    on "$node" lxc-autostart || true
    [ "$(state "$node" 200)" != running ] || fail "autostart has started it on $node"
done
[ "$(state node1 200)" = aside ] || fail "it is $(state node1 200) on node1"
task=$(on node1 vmmigrate tasks --json | jq -r '.tasks[0].task')
migrate 0 node1 recover "$task" --keep source
wait_until "it is back" 30 is_running node1 200
as_it_was node1 200
on node2 rm /srv/die/now
second_try node1 200
records node2 200
