#!/bin/bash
# A loop-mounted image, an overlay whose lower tree is on both nodes, an unprivileged container, and a btrfs subvolume move, and their
# records with them.
. "$(dirname "$0")/../lab/containers.sh"

moves() { # ID OPTIONS...: there, alive, nothing lost
    local id=$1
    shift
    migrate 0 node1 "$id" node2 "$@"
    runs_on node2 "$id"
    gone_from node1 "$id"
}

fresh_lab --images btrfs --images-size 1G
root='lxc.rootfs.path = '
lab container node1 201
on node1 sh -ec "cd /var/lib/lxc/201; truncate -s 64M rootdev; mkfs.ext4 -q -d rootfs rootdev; rm -r rootfs; mkdir rootfs
    sed -i 's|^$root.*|${root}loop:/var/lib/lxc/201/rootdev|' config; lxc-start -n 201"
lab wait-ticks 201 5
moves 201
[ "$(on node2 sh -c 'ls /var/lib/lxc/201')" = "$(printf 'config\nrootdev\nrootfs')" ] || fail "it lies otherwise on node2"

lab container node1 202
on node1 sh -ec "cd /var/lib/lxc/202; mkdir -p /srv/base delta0; cp -a rootfs/. /srv/base; rm -r rootfs; mkdir rootfs
    sed -i 's|^$root.*|${root}overlay:/srv/base:/var/lib/lxc/202/delta0|' config; lxc-start -n 202"
lab wait-ticks 202 5
moves 202
on node1 test -d /srv/base/bin || fail "the lower tree is gone from node1"
on node2 test -d /srv/base/bin || fail "the lower tree did not come to node2"
on node2 test -s /var/lib/lxc/202/delta0/records || fail "the upper tree did not come to node2"

lab container node1 203
on node1 sh -ec "cd /var/lib/lxc/203; find rootfs -depth -exec chown -h 100000:100000 {} +; chmod 755 .
    printf 'lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n' >>config; lxc-start -n 203"
lab wait-ticks 203 5
on node2 sh -c 'echo someone:120000:65536 >>/etc/subuid'
migrate 3 node1 203 node2
says "another user's in /etc/subuid"
on node2 sh -c 'sed -i /^someone/d /etc/subuid'
moves 203
[ "$(on node2 stat -c %u:%g /var/lib/lxc/203/rootfs/bin)" = 100000:100000 ] || fail "its files have other owners"

lab container node1 204
on node1 sh -ec "cd /var/lib/lxc/204; images=/var/lib/libvirt/images; btrfs -q subvolume create \$images/204
    cp -a rootfs/. \$images/204; rm -r rootfs; sed -i \"s|^$root.*|${root}btrfs:\$images/204|\" config; lxc-start -n 204"
lab wait-ticks 204 5
moves 204
[ "$(on node2 stat -c %i /var/lib/libvirt/images/204)" = 256 ] || fail "it is no subvolume on node2"
