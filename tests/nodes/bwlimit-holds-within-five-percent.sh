#!/bin/bash
# A copy keeps to --bwlimit, in KiB per second, within 5 percent over ten seconds, by the counters of the target's
# network devices.
. "$(dirname "$0")/../lab/testing.sh"

limit=10240
fresh_lab
lab guest node1 100 --disk dir --size 256M --data 180
before=$(received node2)
begin node1 100 node2 --bwlimit "$limit"
holds_rate "$limit" node2 "$before"
finish 0
[ "$(state node2 100)" = "shut off" ] || fail "it is $(state node2 100) on node2"
nothing_left
