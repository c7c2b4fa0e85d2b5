#!/bin/bash
# --bwlimit in KiB a second is what a live migration takes, within five in a hundred, by the counters of the source's cables and the
# migration's own clock.
. "$(dirname "$0")/../lab/live.sh"

limit=5632 least_ms=10000
sent() { lab counters node1 | awk '{ sum += $3 } END { print sum }'; }
elapsed() { on node1 virsh domjobinfo vm100 --rawstats | sed -n 's/^time_elapsed: //p'; }

# look: what the clock says, between two looks at the counters.
look() { before=$(sent) at_ms=$(elapsed) after=$(sent); }
over() { [ "$(elapsed)" -ge $((first_ms + least_ms)) ]; }

fresh_lab
vm node1 100 --records 1
begin_slowly node1 100 --bwlimit "$limit"
look
first_before=$before first_after=$after first_ms=$at_ms
wait_until "$least_ms ms of it are over" 120 over
look
ms=$((at_ms - first_ms))
most=$(((after - first_before) * 1000 / 1024 / ms)) least=$(((before - first_after) * 1000 / 1024 / ms))
echo "$least to $most KiB a second in $ms ms, $limit allowed"
[ "$least" -le $((limit * 105 / 100)) ] || fail "$least KiB a second or more is more than $limit"
[ "$most" -ge $((limit * 95 / 100)) ] || fail "$most KiB a second or less is less than $limit"
finish 0
moved node2 100
second_try node2 100 --online
