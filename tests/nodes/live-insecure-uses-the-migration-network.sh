#!/bin/bash
# The memory of an insecure migration crosses the network that --migration-network names, and no other; the target
# listens at its address in that network only. A node that has no address in it is refused. IPv4 and IPv6.
. "$(dirname "$0")/../lab/live.sh"

# sent NODE INTERFACE: bytes that the node has sent over it.
sent() { lab counters "$1" | awk -v name="$2" '$1 == name { print $3 }'; }

# listening NODE: the addresses with the ports that libvirt takes for incoming memory.
listening() { on "$1" ss -Hltn | awk '$4 ~ /:49(1[5-9]|20)[0-9]$|:4921[0-5]$/ { print $4 }'; }
listens() { [ -n "$(listening "$1")" ]; }

# crosses FROM NETWORK ADDRESS LISTENS: a live migration from FROM over the network. FROM cannot connect to the target's
# ADDRESS until we have seen that the target listens there alone (LISTENS, as ss prints it).
crosses() {
    local from=$1 to eth0 eth1
    to=$(other "$from")
    eth0=$(sent "$from" eth0) eth1=$(sent "$from" eth1)
    on "$from" ip neigh replace "$3" lladdr 02:00:00:00:00:01 dev eth1 nud permanent
    begin "$from" 100 "$to" --online --migration_type insecure --migration_network "$2"
    wait_until "QEMU on $to listens" 30 listens "$to"
    [ "$(listening "$to" | sed 's/:[0-9]*$//' | sort -u)" = "$4" ] || fail "$to listens at $(listening "$to")"
    on "$from" ip neigh del "$3" dev eth1
    finish 0
    eth0=$(($(sent "$from" eth0) - eth0)) eth1=$(($(sent "$from" eth1) - eth1))
    echo "$from has sent $eth0 bytes over eth0, $eth1 over eth1"
    [ "$eth1" -gt $((64 * 1024 * 1024)) ] || fail "the guest's memory has not crossed eth1"
    [ "$eth0" -lt $((4 * 1024 * 1024)) ] || fail "the guest's memory has crossed eth0"
    moved "$to" 100
}

fresh_lab
for node in node1 node2; do
    on "$node" ip -6 address add "fd00:78::${node#node}/64" dev eth1 nodad
done
# It has 64 MiB of random data in memory.
vm node1 100 --disk none --dirty 20 --dirty-set 64

migrate 3 node1 100 node2 --online --migration_type insecure --migration_network 192.0.2.0/24
says "node1 has no address in the migration network 192.0.2.0/24"
says "10.78.0.1"
on node2 ip address del 10.78.0.2/24 dev eth1
migrate 3 node1 100 node2 --non-live --migration_type insecure --migration_network 10.78.0.0/24
says "node2 has no address in the migration network 10.78.0.0/24"
on node2 ip address add 10.78.0.2/24 dev eth1
migrate 2 node1 100 node2 --online --migration_network 10.78.0.0/24
says "--migration-type insecure"
stayed node1 100

crosses node1 10.78.0.0/24 10.78.0.2 10.78.0.2
crosses node2 fd00:78::/64 fd00:78::1 '[fd00:78::1]'
# As settings.
on node1 sh -c 'printf "\n[migration]\nnetwork = 10.78.0.0/24\ntype = insecure\n" >>/etc/vmmigrate/vmmigrate.conf'
eth1=$(sent node1 eth1)
second_try node1 100 --non-live
[ $(($(sent node1 eth1) - eth1)) -gt $((64 * 1024 * 1024)) ] || fail "the settings do nothing"
