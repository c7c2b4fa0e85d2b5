#!/bin/bash
# No other user of a node reaches a container's tree there: while it is copied, while it is set aside, as a seed, and where
# --targetstorage sends it. Containers whose root is another user on the node start there all the same.
. "$(dirname "$0")/../lab/containers.sh"

# reached NODE: what the user nobody can execute or read below the directories of containers.
reached() {
    on "$1" setpriv --reuid nobody --regid nogroup --clear-groups \
        find /srv/fast /var/lib/lxc \( -name secret -o -perm -4000 \) -print 2>/dev/null || true
}
nothing_is_reached() {
    local found
    found=$(reached "$1")
    [ -z "$found" ] || fail "on $1, $2, the user nobody reaches $found"
}

fresh_lab
for node in node1 node2; do
    on "$node" sh -ec 'mkdir -m 755 /srv/fast; printf "\n[storage fast]\npath = /srv/fast\n" >>/etc/vmmigrate/vmmigrate.conf; chmod 755 /var/lib/lxc'
done
lab container node1 200 --data 24
on node1 sh -ec 'cd /var/lib/lxc/200; echo s >rootfs/secret; chmod 644 rootfs/secret; cp rootfs/bin/busybox rootfs/bin/own; chmod 4755 rootfs/bin/own; chmod 755 . rootfs
    mkdir -m 755 /srv/fast/200-rootfs; ln -s / /srv/fast/elsewhere'
on node1 rmdir /srv/fast/200-rootfs
[ -n "$(reached node1)" ] || fail "the test finds nothing where all may look"

# While it is copied.
begin node1 200 node2 --targetstorage fast --bwlimit 4096
wait_until "files arrive" 60 on node2 sh -c 'ls /srv/fast/200-rootfs/.vmmigrate-*/*/data/aaaad'
wait_until "the root has its mode" 60 on node2 sh -c '[ "$(stat -c %a /srv/fast/200-rootfs/.vmmigrate-*/*)" = 755 ]'
nothing_is_reached node2 "while it is copied"
finish 0
[ "$(on node2 stat -c '%a %u' /srv/fast/200-rootfs)" = "700 0" ] || fail "its directory is $(on node2 stat -c '%a %u' /srv/fast/200-rootfs)"
nothing_is_reached node2 "on the storage that it was sent to"
[ "$(on node1 ls -A /var/lib/lxc /srv/fast)" = "$(printf '/srv/fast:\nelsewhere\n\n/var/lib/lxc:')" ] || fail "left on node1: $(on node1 ls -AR /var/lib/lxc)"

# As a seed, and back from there.
migrate 0 node2 200 node1 --keep-seed
nothing_is_reached node2 "as a seed"
nothing_is_reached node1 "on the storage that it was sent to"
on node2 test -d /srv/fast/200-rootfs/.vmmigrate-seed-rootfs || fail "there is no seed"
migrate 0 node1 200 node2
says "of an earlier copy"
nothing_is_reached node2 "after it began from a seed"
on node1 test ! -e /srv/fast/200-rootfs || fail "its directory is left on node1"

# While something of its name is set aside.
on node1 sh -ec 'mkdir -p /srv/fast/200-rootfs/rootfs/bin; chmod -R 755 /srv/fast; echo other >/srv/fast/200-rootfs/rootfs/secret; cp /bin/true /srv/fast/200-rootfs/rootfs/bin/own; chmod 4755 /srv/fast/200-rootfs/rootfs/bin/own
    printf "#!/bin/sh\nls -A /srv/fast/200-rootfs >/run/aside; setpriv --reuid nobody --regid nogroup --clear-groups find /srv/fast -name secret >/run/reached 2>/dev/null\n" >/etc/vmmigrate/hooks.d/post-migrate.d/50-look
    chmod 755 /etc/vmmigrate/hooks.d/post-migrate.d/50-look'
migrate 0 node2 200 node1 --replace
on node1 grep -q aside /run/aside || fail "nothing was set aside"
[ "$(on node1 cat /run/reached)" = /srv/fast/200-rootfs/rootfs/secret ] || fail "more is reached than the directory that was there before: $(on node1 cat /run/reached)"
[ "$(on node1 cat /srv/fast/200-rootfs/rootfs/secret)" = s ] || fail "it is not the container's root"

# Its root is the uid 100000 on the node.
lab container node1 201 --unprivileged
on node1 lxc-start -n 201
lab wait-ticks 201 5
second_try node1 201 --targetstorage fast
[ "$(on node2 stat -c '%a %u' /srv/fast/201-rootfs)" = "700 100000" ] || fail "its directory is $(on node2 stat -c '%a %u' /srv/fast/201-rootfs)"
second_try node2 201
records node1 201
on node2 test ! -e /srv/fast/201-rootfs || fail "its directory is left on node2"
