#!/bin/bash
# A path in a container's root that is too long for rsync is refused before the stop. One that is made during the migration
# ends it with the container where it was; the half copy is removed, and once the path is gone it moves.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200
on node1 sh -c 'cat >/srv/deep; chmod 755 /srv/deep' <<'HOOK'
#!/usr/bin/perl
chdir "/var/lib/lxc/200/rootfs/srv" or die;
for (1 .. $ARGV[0]) { mkdir "n" x 100 or die; chdir "n" x 100 or die }
HOOK
on node1 sh -c 'mkdir -p /var/lib/lxc/200/rootfs/srv; lxc-start -n 200'
lab wait-ticks 200 5
on node1 /srv/deep 200
migrate 3 node1 200 node2
says "a path in /var/lib/lxc/200/rootfs is too long"
[ "$(wc -c <<<"$said")" -lt 2000 ] || fail "it says too much"
runs_on node1 200
on node1 rm -r /var/lib/lxc/200/rootfs/srv
on node1 mkdir /var/lib/lxc/200/rootfs/srv

# In the middle of it: the last copy fails.
on node1 sh -c 'printf "#!/bin/sh\n/srv/deep 200\n" >/etc/vmmigrate/hooks.d/pre-switch.d/50-deep; chmod 755 /etc/vmmigrate/hooks.d/pre-switch.d/50-deep'
migrate 1 node1 200 node2
[ "$(wc -c <<<"$said")" -lt 4000 ] || fail "it says too much"
as_it_was node1 200 disable
on node1 sh -c 'rm -r /var/lib/lxc/200/rootfs/srv; mkdir /var/lib/lxc/200/rootfs/srv'

# As long as rsync takes it, but with the path of the root before it longer than a system call takes.
on node1 sh -c 'printf "#!/bin/sh\n/srv/deep 40\n" >/etc/vmmigrate/hooks.d/pre-switch.d/50-deep'
second_try node1 200
records node2 200
[ "$(on node1 sh -c 'ls -A /var/lib/lxc')" = "" ] || fail "left on node1: $(on node1 ls -AR /var/lib/lxc)"
