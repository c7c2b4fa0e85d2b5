#!/bin/bash
# Containers whose definitions are in one directory that both nodes see are refused, also with --replace, and the refusal
# says nothing of removing the target's container, since that is this very one. With a directory for each node they move,
# their roots still on the shared storage.
. "$(dirname "$0")/../lab/containers.sh"

stays() {
    migrate 3 node1 200 node2 "$@"
    says "its definition is the same one on both nodes"
    says "lxc.lxcpath"
    ! grep -E 'remove|set it aside' <<<"$said" || fail "it advises to remove or replace what is the source's own"
    on node1 test -e /var/lib/lxc/200/config || fail "the config is gone"
    [ "$(state node1 200)" = running ] || fail "it is $(state node1 200) on node1"
}

fresh_lab --gluster
ct node1 200
on node1 sh -ec 'lxc-stop -n 200 -t 10; mkdir /mnt/shared/lxc; mv /var/lib/lxc/200 /mnt/shared/lxc'
for node in node1 node2; do on "$node" mount --bind /mnt/shared/lxc /var/lib/lxc; done
on node1 lxc-start -n 200
lab wait-ticks 200 5
stays
stays --replace
migrate 2 node1 200 node2 --replace --ignore name-taken,ct-shared-definition

# What the hint says: a directory for each node.
on node1 lxc-stop -n 200 -t 10
for node in node1 node2; do on "$node" umount /var/lib/lxc; done
on node1 sh -ec 'mkdir /var/lib/lxc/200; mv /mnt/shared/lxc/200/config /var/lib/lxc/200
    sed -i "s|^lxc.rootfs.path = .*|lxc.rootfs.path = dir:/mnt/shared/lxc/200/rootfs|" /var/lib/lxc/200/config; lxc-start -n 200'
lab wait-ticks 200 5
second_try node1 200

# A container's directory that is a link to shared storage is the same case.
on node2 lxc-stop -n 200 -t 10
lab container node1 201
on node1 sh -ec 'mv /var/lib/lxc/201 /mnt/shared/lxc'
for node in node1 node2; do on "$node" ln -s /mnt/shared/lxc/201 /var/lib/lxc/201; done
migrate 3 node1 201 node2 --replace
says "its definition is the same one on both nodes"
on node1 test -e /var/lib/lxc/201/config || fail "the config of 201 is gone"
