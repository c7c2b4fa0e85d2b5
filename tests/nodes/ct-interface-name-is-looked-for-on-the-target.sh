#!/bin/bash
# A container whose interface has a fixed name on the host (lxc.net.0.veth.pair) is not stopped for a target on which
# another interface has that name.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200
on node1 sh -ec 'echo "lxc.net.0.veth.pair = web0" >>/var/lib/lxc/200/config; lxc-start -n 200'
lab wait-ticks 200 10
on node2 ip link add web0 type veth peer name web0peer
migrate 3 node1 200 node2
says "the name web0, which an interface of node2 has already"
migrate 3 node1 200 node2 --online
says "no way is open: --restart is refused as well"
runs_on node1 200
on node2 ip link del web0
migrate 3 node1 200 node2 --online
says "vmmigrate lxc/200 node2 --restart"
second_try node1 200
