#!/bin/bash
# A node's key starts the agent from the node's own address only; over it nothing is relayed while no task moves a guest, and no
# verb of our own processes or of an administrator is run. A node that is removed is not let in any more.
. "$(dirname "$0")/../lab/testing.sh"

# over_the_key STATUS MACHINE COMMAND: what node2 does when node1's key asks for it.
over_the_key() {
    expect "$1" on "$2" sh -c "ssh -n -o BatchMode=yes -o IdentitiesOnly=yes -i /root/key root@10.77.0.2 '$3' </dev/null"
}

fresh_lab
for machine in node1 store; do
    on node1 cat /etc/vmmigrate/id_vmmigrate | on "$machine" sh -c 'umask 077; cat >/root/key'
done
over_the_key 0 node1 "verb info"
says '"node":"node2"'
over_the_key 255 store "verb info"
says "Permission denied"
over_the_key 4 node1 "relay /run/libvirt/libvirt-sock"
over_the_key 4 node1 "verb node-add"
for verb in worker relay recover-task; do
    over_the_key 1 node1 "verb $verb"
    says "does not know the verb"
done
over_the_key 2 node1 "cat /etc/shadow"
says "this key is for vmmigrate"

# Streams of a live migration are relayed, over the same key.
vm node1 100
migrate 0 node1 100 node2 --online
runs_on node2 100

# With joins = administrator a second `node add` needs the administrator's own access, which the lab has.
on node2 sh -c 'printf "[cluster]\njoins = administrator\n" >>/etc/vmmigrate/vmmigrate.conf'
migrate 0 node1 node add node2 10.77.0.2
on node2 sh -c 'mv /root/.ssh/authorized_keys /root/all; grep vmmigrate@ /root/all >/root/.ssh/authorized_keys'
migrate 3 node1 node add node2 10.77.0.2
says "your own ssh access"
on node2 mv /root/all /root/.ssh/authorized_keys

migrate 0 node2 node remove node1
says "node2  removed"
over_the_key 255 node1 "verb info"
migrate 5 node2 100 node1
says "no node"
on node2 sh -c '! grep -q vmmigrate@node1 /root/.ssh/authorized_keys' || fail "the key is still there"
migrate 0 node1 node add node2 10.77.0.2
second_try node2 100 --online
