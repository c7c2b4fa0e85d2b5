#!/bin/bash
# FAULTS 73: a stopped container cannot be started by hand while it is copied: from the lock on its config is not under
# the name that lxc-start looks for. Whatever comes of the migration, it has its name again where it belongs.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200 --data 24
on node1 sh -ec 'cat >/etc/vmmigrate/hooks.d/pre-migrate.d/50-start; chmod 755 /etc/vmmigrate/hooks.d/pre-migrate.d/50-start' <<'HOOK'
#!/bin/sh
lxc-start -n 200 2>/run/start-said || echo refused >/run/start-was
exit 0
HOOK
migrate 0 node1 200 node2
[ "$(on node1 cat /run/start-was)" = refused ] || fail "it was started while it was to be moved"
[ "$(state node2 200)" = "shut off" ] || fail "it is $(state node2 200) on node2"
gone_from node1 200
on node2 lxc-start -n 200
lab wait-ticks 200 5
on node2 lxc-stop -n 200 -t 10

# Cancelled, it is the source's again and can be started there.
begin node2 200 node1 --bwlimit 2048
until_says "copy "
migrate 0 node2 cancel 200
finish 7
on node2 lxc-start -n 200
[ "$(state node2 200)" = running ] || fail "it is $(state node2 200) on node2 and cannot be started"
