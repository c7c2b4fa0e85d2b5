#!/bin/bash
# FAULTS 42: hard links, ACLs, attributes, capabilities, devices, sparse files, large uids and unusual names arrive
# unchanged, with everything else in the container's directory. No record that was written before the stop is lost,
# there and back.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200 --odd --data 8 --autostart
on node1 sh -c 'mkdir -m 750 /var/lib/lxc/200/hooks; echo "#!/bin/true" >/var/lib/lxc/200/hooks/mine; chmod 751 /var/lib/lxc/200/hooks/mine
    echo "lxc.group = web" >>/var/lib/lxc/200/config; chmod 711 /var/lib/lxc/200'
before=$(lab odd node1 200; on node1 sh -c 'cat /var/lib/lxc/200/config; stat -c "%n %a %u %g %s" /var/lib/lxc/200/hooks /var/lib/lxc/200/hooks/mine')
on node1 lxc-start -n 200
lab wait-ticks 200 10
migrate 0 node1 200 node2
says "rootfs: round 1"
runs_on node2 200
gone_from node1 200
lab records node2 200
after=$(lab odd node2 200; on node2 sh -c 'cat /var/lib/lxc/200/config; stat -c "%n %a %u %g %s" /var/lib/lxc/200/hooks /var/lib/lxc/200/hooks/mine')
[ "$after" = "$before" ] || fail "the tree has changed: $(diff <(echo "$before") <(echo "$after"))"
second_try node2 200 --keep-seed --json
tail -n 1 <<<"$said" | jq -e '.type == "result" and .exit == 0 and .statistics.downtime_ms > 0' >/dev/null || fail "no result in JSON"
jq -es 'any(.[]; .type == "progress" and .object == "rootfs" and .files_total > 100)' <<<"$said" >/dev/null || fail "no progress in files"
lab records node1 200
