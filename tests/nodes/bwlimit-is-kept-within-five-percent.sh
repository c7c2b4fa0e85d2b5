#!/bin/bash
# --bwlimit in KiB a second is what a copy takes over ten seconds, within five in a hundred, by the counters of the target's cables.
. "$(dirname "$0")/../lab/testing.sh"

limit=10240 seconds=10
fresh_lab
lab guest node1 100 --disk dir --size 256M --data 180
quiet=$(received node2)
begin node1 100 node2 --bwlimit "$limit"
wait_until "bytes cross" 30 sh -c "[ \$(LAB=$LAB $TOP/tests/lab/lab counters node2 | awk '{ sum += \$5 } END { print sum }') -gt $((quiet + 4 * 1024 * 1024)) ]"
began=$(date +%s%N) bytes=$(received node2)
sleep "$seconds"
bytes=$(($(received node2) - bytes)) took=$(($(date +%s%N) - began))
rate=$((bytes * 1000000 / (took / 1000) / 1024))
echo "$rate KiB a second, $limit allowed"
[ "$rate" -le $((limit * 105 / 100)) ] || fail "$rate KiB a second is more than $limit"
[ "$rate" -ge $((limit * 95 / 100)) ] || fail "$rate KiB a second is less than $limit"
finish 0
[ "$(state node2 100)" = "shut off" ] || fail "it is $(state node2 100) on node2"
nothing_left
