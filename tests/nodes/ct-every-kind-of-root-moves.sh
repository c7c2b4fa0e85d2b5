#!/bin/bash
# Containers on a loop-mounted image, on an overlay, with an unprivileged tree and on a btrfs subvolume move, and every
# record that was written before the stop arrives.
. "$(dirname "$0")/../lab/containers.sh"

starts() { # ID: starts it on node1
    on node1 lxc-start -n "$1"
    lab wait-ticks "$1" 5
}
moves() { # ID: moves it to node2; nothing is lost, nothing is left
    second_try node1 "$1"
    records node2 "$1"
}
root='lxc.rootfs.path = '

fresh_lab --images btrfs --images-size 1G
lab container node1 201
on node1 sh -ec "cd /var/lib/lxc/201; truncate -s 64M rootdev; mkfs.ext4 -q -d rootfs rootdev; rm -r rootfs; mkdir rootfs
    sed -i 's|^$root.*|${root}loop:/var/lib/lxc/201/rootdev|' config"
starts 201
moves 201
[ "$(on node2 sh -c 'ls /var/lib/lxc/201')" = "$(printf 'config\nrootdev\nrootfs')" ] || fail "other files are on node2: $(on node2 ls /var/lib/lxc/201)"

lab container node1 202
on node1 sh -ec "cd /var/lib/lxc/202; mkdir -p /srv/base delta0; cp -a rootfs/. /srv/base; rm -r rootfs; mkdir rootfs
    sed -i 's|^$root.*|${root}overlay:/srv/base:/var/lib/lxc/202/delta0|' config"
starts 202
moves 202
says "lower: read-only, has crossed while the guest ran"
on node1 test -d /srv/base/bin || fail "the lower tree is gone from node1"
# Both nodes have the lower tree now: the same one is used, another one is refused, or replaced.
second_try node2 202
on node2 touch /srv/base/other
migrate 3 node1 202 node2
says "lower: /srv/base has another content on node2"
second_try node1 202 --replace
on node2 test ! -e /srv/base/other || fail "the lower tree was not replaced"
records node2 202

lab container node1 203 --unprivileged
starts 203
on node2 sh -c 'echo someone:120000:65536 >>/etc/subuid'
migrate 3 node1 203 node2
says "another user's in /etc/subuid"
on node2 sed -i /^someone/d /etc/subuid
moves 203
[ "$(on node2 stat -c %u:%g /var/lib/lxc/203/rootfs/bin)" = 100000:100000 ] || fail "its files have other owners"

lab container node1 204
on node1 sh -ec "cd /var/lib/lxc/204; images=/var/lib/libvirt/images; btrfs -q subvolume create \$images/204
    cp -a rootfs/. \$images/204; rm -r rootfs; sed -i \"s|^$root.*|${root}btrfs:\$images/204|\" config"
starts 204
moves 204
[ "$(on node2 stat -c %i /var/lib/libvirt/images/204)" = 256 ] || fail "it is no subvolume on node2"
on node1 test ! -e /var/lib/libvirt/images/204 || fail "the subvolume is still on node1"

# Subvolumes in a root would become directories: refused; what the hint says lifts it.
on node2 lxc-stop -n 204 -t 10
migrate 0 node2 204 node1
on node1 sh -ec 'cd /var/lib/libvirt/images/204; mkdir -p var/lib; btrfs -q subvolume create var/lib/machines; echo kept >var/lib/machines/file
    btrfs -q subvolume snapshot -r var/lib/machines var/lib/frozen'
for place in var/lib/frozen var/lib/machines; do
    migrate 3 node1 204 node2
    says "has a subvolume in it, which would become a directory"
    hint=$(grep -o "cd /var/lib/libvirt/images/204; mv .*old'" <<<"$said")
    on node1 sh -ec "$hint"
done
[ "$(on node1 cat /var/lib/libvirt/images/204/var/lib/frozen/file)" = kept ] || fail "the hint has lost what was in $place"
migrate 0 node1 204 node2
[ "$(on node2 cat /var/lib/libvirt/images/204/var/lib/machines/file)" = kept ] || fail "a file is missing on node2"

# What is mounted in a root on the node is no part of it.
on node2 sh -ec 'mkdir /var/lib/libvirt/images/204/mnt/usb; mount -t tmpfs tmpfs /var/lib/libvirt/images/204/mnt/usb'
migrate 3 node2 204 node1
says "something is mounted in /var/lib/libvirt/images/204"
on node2 sh -ec "$(grep -o "umount '[^']*'" <<<"$said")"
migrate 0 node2 204 node1
