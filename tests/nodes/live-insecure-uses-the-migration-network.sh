#!/bin/bash
# --migration-network: the memory of an insecure live migration crosses eth1, the network that is named, and not eth0;
# the target receives it on its address there and on no other. A network in which a node has no address is refused.
. "$(dirname "$0")/../lab/testing.sh"

# came INTERFACE: bytes that node2 has received on it.
came() { lab counters node2 | awk -v interface="$1" '$1 == interface { print $5 }'; }

fresh_lab
vm node1 100 --dirty 8 --dirty-set 64
migrate 3 node1 100 node2 --online --migration-type insecure --migration-network 192.0.2.0/24
says "node1 has no address in the migration network 192.0.2.0/24"
says "node2 has no address in the migration network 192.0.2.0/24"
says "10.78.0.2"
as_it_was node1 100 disable

eth0=$(came eth0) eth1=$(came eth1)
begin node1 100 node2 --online --migration-type insecure --migration-network 10.78.0.0/24 --bwlimit 20480
wait_until "memory crosses" 60 has_received node2 $((eth0 + eth1 + 30 * 1024 * 1024))
listens=$(on node2 ss -Htln 'sport >= 49152 and sport <= 49215'; on node2 ss -Htn state established 'sport >= 49152 and sport <= 49215')
grep -q '10\.78\.0\.2:49' <<<"$listens" || fail "QEMU does not receive on 10.78.0.2: $listens"
! grep -qE '(\*|0\.0\.0\.0|\[::\]|10\.77\.0\.2):49' <<<"$listens" || fail "QEMU receives on other addresses as well: $listens"
finish 0
eth0=$(($(came eth0) - eth0)) eth1=$(($(came eth1) - eth1))
echo "eth0 $eth0 bytes, eth1 $eth1 bytes"
[ "$eth1" -gt $((30 * 1024 * 1024)) ] || fail "only $eth1 bytes came over the migration network"
[ "$eth0" -lt $((eth1 / 10)) ] || fail "$eth0 bytes came over the other network"
runs_on node2 100

# As a setting, there and back.
for node in node1 node2; do on "$node" sh -c "printf '\n[migration]\nnetwork = 10.78.0.0/24\ntype = insecure\n' >>/etc/vmmigrate/vmmigrate.conf"; done
eth1=$(lab counters node1 | awk '$1 == "eth1" { print $5 }')
migrate 0 node2 100 node1 --online
[ $(($(lab counters node1 | awk '$1 == "eth1" { print $5 }') - eth1)) -gt $((30 * 1024 * 1024)) ] || fail "the setting does nothing"
runs_on node1 100
