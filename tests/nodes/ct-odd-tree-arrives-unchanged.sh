#!/bin/bash
# FAULTS 42: hard links, ACLs, attributes, capabilities, devices, sparse files, large uids and unusual names arrive
# unchanged, with everything else in the container's directory. No record that was written before the stop is lost,
# there and back.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200 --odd --data 8 --autostart
on node1 sh -c 'mkdir -m 750 /var/lib/lxc/200/hooks; echo "#!/bin/true" >/var/lib/lxc/200/hooks/mine; chmod 751 /var/lib/lxc/200/hooks/mine
    printf "lxc.group = web" >>/var/lib/lxc/200/config; chmod 640 /var/lib/lxc/200/config; chmod 711 /var/lib/lxc/200
    echo hidden >/var/lib/lxc/200/.hidden; mkdir /var/lib/lxc/200/.hiddens; echo two >/var/lib/lxc/200/.hiddens/two; echo old >/var/lib/lxc/200/old.log'
everything() { lab odd "$1" 200; on "$1" sh -c 'cd /var/lib/lxc/200; od -c config; cat .hidden .hiddens/two; stat -c "%n %a %u %g %s" config hooks/mine .hidden .hiddens/two; stat -c "%n %a %u %g" hooks .hiddens'; }
before=$(everything node1)
on node1 lxc-start -n 200
lab wait-ticks 200 10
migrate 0 node1 200 node2
says "rootfs: round 1"
says "has logs in its directory, which stay on node1: old.log"
[ "$(on node1 find /var/lib/lxc -mindepth 2)" = /var/lib/lxc/200/old.log ] || fail "on node1 are $(on node1 find /var/lib/lxc)"
runs_on node2 200
gone_from node1 200
lab records node2 200
after=$(everything node2)
[ "$after" = "$before" ] || fail "the tree has changed: $(diff <(echo "$before") <(echo "$after"))"
second_try node2 200 --keep-seed --json
tail -n 1 <<<"$said" | jq -e '.type == "result" and .exit == 0 and .statistics.downtime_ms > 0' >/dev/null || fail "no result in JSON"
jq -es 'any(.[]; .type == "progress" and .object == "rootfs" and .files_total > 100)' <<<"$said" >/dev/null || fail "no progress in files"
lab records node1 200
