#!/bin/bash
# Flags of chattr arrive with a container's files - immutable, append only, and those that protect nothing - there and back,
# onto an earlier copy too; what is protected is removed where the container has left.
. "$(dirname "$0")/../lab/containers.sh"

flags() { on "$1" sh -c 'cd /var/lib/lxc/200/rootfs && lsattr -Rad . | sort; lsattr -d srv/*/* srv/*/*/*' | grep -v '^-*e-* '; }

fresh_lab
lab container node1 200
on node1 sh -ec 'cd /var/lib/lxc/200/rootfs; mkdir -p srv/closed/below; echo one >srv/closed/below/file; echo two >srv/closed/fixed; echo three >srv/closed/log
    echo four >"srv/closed/odd
name"; chattr +i "srv/closed/odd
name" srv/closed/fixed; chattr +a srv/closed/log; chattr +dA srv/closed/below/file; chattr +i srv/closed/below srv; lxc-start -n 200'
lab wait-ticks 200 5
before=$(flags node1)
echo "$before"
second_try node1 200
[ "$(flags node2)" = "$before" ] || fail "the flags are others on node2: $(flags node2)"
[ "$(on node1 sh -c 'ls -A /var/lib/lxc')" = "" ] || fail "left on node1: $(on node1 find /var/lib/lxc)"
second_try node2 200 --keep-seed
[ "$(flags node1)" = "$before" ] || fail "the flags are others on node1: $(flags node1)"
second_try node1 200 --keep-seed
[ "$(flags node2)" = "$before" ] || fail "the flags are others on node2, from a seed: $(flags node2)"
records node2 200

# A copy that is undone after it got its flags, just before the commit, is removed or kept, and the next try begins from it.
on node1 sh -c 'printf "#!/bin/sh\nexit 1\n" >/srv/refuses; chmod 755 /srv/refuses'
on node2 sh -ec 'lxc-stop -n 200 -t 10; echo "lxc.hook.pre-start = /srv/refuses" >>/var/lib/lxc/200/config
    printf "#!/bin/sh\n" >/srv/refuses; chmod 755 /srv/refuses; lxc-start -n 200'
lab wait-ticks 200 5
migrate 1 node2 200 node1
on node1 sh -c 'printf "#!/bin/sh\n" >/srv/refuses'
runs_on node2 200
second_try node2 200
[ "$(flags node1)" = "$before" ] || fail "the flags are others on node1, after a failure: $(flags node1)"
