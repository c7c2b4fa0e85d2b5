#!/bin/bash
# A node is who it was when it was added, by its name and its id, or nothing is asked of it: a renamed target, a renamed
# source, a node that was installed anew, and two nodes that were cloned from one image are found before a guest is
# touched. Following the hints helps.
. "$(dirname "$0")/../lab/containers.sh"

conf=/etc/vmmigrate/vmmigrate.conf
# renames NODE NAME: what changing its host name does.
renames() { on "$1" sh -c "sed -i '/^self = /d; /^\[migration\]/d' $conf; printf '[migration]\nself = %s\n' $2 >>$conf"; }
refused() {
    migrate 3 node1 200 node2
    says "$1"
    says "nothing was touched"
    runs_on node1 200
}

fresh_lab
ct node1 200
on node1 grep -q '^id = ' $conf || fail "the ids were not noted"
renames node2 renamed2
refused "is node renamed2, not node2"
says "set self = node2"
migrate 1 node1 node test
says "is node renamed2, not node2"
renames node2 node2
migrate 0 node1 node test

renames node1 renamed1
refused "node2 knows no node renamed1"
renames node1 node1
migrate 0 node1 node test

# node2 has another id, then that of node1.
on node2 sh -c 'cp /etc/vmmigrate/node-id /root; cat /proc/sys/kernel/random/uuid >/etc/vmmigrate/node-id'
refused "has another id than node2 had when it was added"
says "vmmigrate node add node2 10.77.0.2"
migrate 0 node1 node add node2 10.77.0.2
migrate 0 node1 200 node2
migrate 0 node2 200 node1
on node1 cat /etc/vmmigrate/node-id | on node2 tee /etc/vmmigrate/node-id >/dev/null
refused "node2 has the same id as this node"
migrate 1 node1 node test
says "same id"
migrate 3 node1 node add node2 10.77.0.2
says "same id"
on node2 rm /etc/vmmigrate/node-id /etc/vmmigrate/id_vmmigrate
migrate 0 node1 node add node2 10.77.0.2
second_try node1 200
