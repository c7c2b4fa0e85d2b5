#!/bin/bash
# --bwlimit also holds for copies over TLS, over several connections at once, and for a container's tree.
. "$(dirname "$0")/../lab/containers.sh"

limit=10240
# holds NODE ID [options]: migrates the guest; its copy keeps to the limit.
holds() {
    local from=$1 id=$2 before
    shift 2
    before=$(received "$(other "$from")")
    begin "$from" "$id" "$(other "$from")" --bwlimit "$limit" "$@"
    holds_rate "$limit" "$(other "$from")" "$before"
    finish 0
    no_seeds
}

fresh_lab
lab guest node1 100 --disk dir --size 256M --data 180
holds node1 100 --data=tls
holds node2 100 --parallel-connections 3
lab container node1 200 --data 180
holds node1 200
nothing_left
