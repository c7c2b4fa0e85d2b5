#!/bin/bash
# A VM whose disk is on shared storage (iSCSI, GlusterFS) moves by restart, there and back, and no byte of the disk is
# copied.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab --gluster
vm node1 100 --disk iscsi --size 256M --data 50
vm node1 101 --disk gluster --format qcow2 --size 256M --data 50
for id in 100 101; do
    bytes=$(received node2)
    # All disks are shared, so three modes are possible, and one has to be named.
    migrate 3 node1 "$id" node2
    says --restart
    migrate 0 node1 "$id" node2 --restart
    runs_on node2 "$id"
    gone_from node1 "$id"
    bytes=$(($(received node2) - bytes))
    [ "$bytes" -lt $((25 << 20)) ] || fail "node2 received $bytes bytes"
    lab records node2 "$id"
    second_try node2 "$id" --restart
    lab records node1 "$id"
done
