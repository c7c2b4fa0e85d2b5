#!/bin/bash
# A clone that stands on another container (lxc-copy -s -B overlay) moves, there and back; the other one stays as it is.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200
lab container node1 201
on node1 sh -ec 'rm -r /var/lib/lxc/201; lxc-copy -n 200 -N 201 -s -B overlay'
on node1 sh -ec 'cd /var/lib/lxc/201; sed -i "s|200.log|201.log|; s|52:54:00:4d:00:c8|52:54:00:4d:00:c9|; s|10.77.0.200|10.77.0.201|" config
    sed -i "s|record 200|record 201|" ../200/rootfs/etc/inittab'
on node1 lxc-start -n 201
lab wait-ticks 201 5
on node1 lxc-attach -n 201 -- sh -c 'echo mine >/mine'
second_try node1 201
[ "$(on node2 lxc-attach -n 201 -- cat /mine)" = mine ] || fail "what it wrote is gone"
records node2 201
[ "$(on node1 ls -A /var/lib/lxc)" = 200 ] || fail "left on node1: $(on node1 find /var/lib/lxc/201)"
on node1 test -d /var/lib/lxc/200/rootfs/bin || fail "the container that it stands on is damaged"
second_try node2 201
[ "$(on node1 lxc-attach -n 201 -- cat /mine)" = mine ] || fail "what it wrote is gone"
on node2 test ! -e /var/lib/lxc/201 || fail "left on node2: $(on node2 find /var/lib/lxc/201)"
on node1 sh -ec 'lxc-stop -n 201 -t 10; lxc-start -n 200'
