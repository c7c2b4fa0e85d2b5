#!/bin/bash
# FAULTS 4, 39: a stopped container moves and stays stopped. --online is refused with the way that works. Another
# container of the same name on the target is not replaced. What the target lacks is refused, or mapped by an option.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200
on node2 sh -c 'mkdir -p /var/lib/lxc/200/rootfs && echo "lxc.rootfs.path = dir:/var/lib/lxc/200/rootfs" >/var/lib/lxc/200/config'
migrate 3 node1 200 node2
says "has a guest with the id 200 already"
on node2 test -e /var/lib/lxc/200/config || fail "the other container is gone"
on node2 rm -r /var/lib/lxc/200
migrate 0 node1 200 node2
[ "$(state node2 200)" = "shut off" ] || fail "it is $(state node2 200) on node2"
gone_from node1 200
migrate 0 node2 200 node1
[ "$(state node1 200)" = "shut off" ] || fail "it is $(state node1 200) on node1"
on node1 lxc-start -n 200
lab wait-ticks 200 5
migrate 3 node1 200 node2 --online
says "vmmigrate lxc/200 node2 --restart"
says "it is off for about 5."
migrate 0 node1 list
says "200  200   lxc   running  node1"
migrate 0 node1 200 node2 --dry-run
says " tree "

# Another container that was made on node2 after ours had left it is not replaced either.
on node2 sh -c 'mkdir -p /var/lib/lxc/200/rootfs && echo "lxc.rootfs.path = dir:/var/lib/lxc/200/rootfs" >/var/lib/lxc/200/config'
migrate 3 node1 200 node2
says "has a guest with the id 200 already"
on node2 rm -r /var/lib/lxc/200
runs_on node1 200

# What cannot be moved is refused.
lab container node1 201
on node1 sh -ec 'cd /var/lib/lxc/201; rm -r rootfs; sed -i "s|^lxc.rootfs.path.*|lxc.rootfs.path = zfs:tank/201|" config'
migrate 3 node1 201 node2
says "lxc-backend"
on node1 rm -r /var/lib/lxc/201
on node1 sh -ec 'lxc-stop -n 200 -t 10; lxc-snapshot -n 200; lxc-start -n 200'
migrate 3 node1 200 node2
says "1 snapshot, which do not come along"
says "lxc-snapshot -n"
on node1 sh -ec 'lxc-snapshot -n 200 -d snap0; rmdir /var/lib/lxc/200/snaps || true
    echo "lxc.hook.post-stop = /srv/tidy-up" >>/var/lib/lxc/200/config; printf "#!/bin/sh\n" >/srv/tidy-up; chmod 755 /srv/tidy-up'
migrate 3 node1 200 node2
says "needs /srv/tidy-up for lxc.hook.post-stop; node2 has no such file"
on node1 sed -i /tidy-up/d /var/lib/lxc/200/config
runs_on node1 200

# A mounted directory that the target lacks.
on node1 sh -ec 'lxc-stop -n 200 -t 10; mkdir /srv/here; echo one >/srv/here/file; mkdir /var/lib/lxc/200/rootfs/mnt/srv
    echo "lxc.mount.entry = /srv/here mnt/srv none bind 0 0" >>/var/lib/lxc/200/config; lxc-start -n 200'
lab wait-ticks 200 5
migrate 3 node1 200 node2
says "mounts /srv/here of its host, which is not on node2"
runs_on node1 200
on node2 sh -c 'mkdir /srv/there; echo one >/srv/there/file'
on node2 ip link add vmbr9 type bridge
second_try node1 200 --map-mount /srv/here=/srv/there --map-network vmbr0=vmbr9
on node2 grep -qx 'lxc.net.0.link = vmbr9' /var/lib/lxc/200/config || fail "its bridge is not the one that was named"
[ "$(on node2 lxc-attach -n 200 -- cat /mnt/srv/file)" = one ] || fail "the mapped directory is not mounted"

# Its root goes to the storage that --targetstorage names, into a directory of its own there.
for node in node1 node2; do
    on "$node" sh -c 'mkdir /srv/fast; printf "\n[storage fast]\npath = /srv/fast\n" >>/etc/vmmigrate/vmmigrate.conf'
done
migrate 3 node2 200 node1 --map-mount /srv/there=/srv/here --map-network vmbr9=vmbr0 --targetstorage nope
says nope
second_try node2 200 --map-mount /srv/there=/srv/here --map-network vmbr9=vmbr0 --targetstorage fast
on node1 test -d /srv/fast/200-rootfs/rootfs/bin || fail "its root is not on the named storage"
records node1 200
