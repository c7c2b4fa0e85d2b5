#!/bin/bash
# --bwlimit holds on the other ways that disks take, too: over TLS, over several connections at once, and for a container's tree.
. "$(dirname "$0")/../lab/containers.sh"

limit=10240
# keeps NODE ID [options]: its copy takes the limit, and then it is on the other node.
keeps() {
    local from=$1 id=$2 quiet
    shift 2
    quiet=$(received "$(other "$from")")
    begin "$from" "$id" "$(other "$from")" --bwlimit "$limit" "$@"
    keeps_to "$limit" "$(other "$from")" "$quiet"
    finish 0
    no_seeds
}

fresh_lab
lab guest node1 100 --disk dir --size 256M --data 180
keeps node1 100 --data=tls
keeps node2 100 --parallel-connections 3
lab container node1 200 --data 180
keeps node1 200
nothing_left
