#!/bin/bash
# --bwlimit in KiB a second is what a copy takes over ten seconds, within five in a hundred, by the counters of the target's cables.
. "$(dirname "$0")/../lab/testing.sh"

limit=10240
fresh_lab
lab guest node1 100 --disk dir --size 256M --data 180
quiet=$(received node2)
begin node1 100 node2 --bwlimit "$limit"
keeps_to "$limit" node2 "$quiet"
finish 0
[ "$(state node2 100)" = "shut off" ] || fail "it is $(state node2 100) on node2"
nothing_left
