#!/bin/bash
# FAULTS 24: the guest writes memory faster than the link carries it: the migration gives up with an error code of its
# own, and the guest is untouched. With --on-stall=suspend the same migration completes.
. "$(dirname "$0")/../lab/live.sh"

# begin_too_fast: the guest writes to 2 MiB of its memory all the time. Once most of the memory has moved, the rate is limited to
# 1 MiB/s, which is less than the guest writes even when auto-converge has slowed it down to a hundredth.
begin_too_fast() {
    begin_slowly node1 100 --bwlimit 20480 --max-downtime 10 "$@"
    on node1 sh -c 'until virsh domjobinfo vm100 --rawstats | grep -E "^memory_remaining: [0-9]{1,7}$|^memory_remaining: 1[0-9]{7}$" >/dev/null; do sleep 0.1; done
        virsh -q migrate-setspeed vm100 1'
}

fresh_lab
vm node1 100 --dirty 400 --dirty-set 2
begin_too_fast
finish 1
says "the guest writes memory faster than it crosses"
says "--on-stall=suspend"
on node1 sh -c 'grep -q "\"code\":\"does-not-converge\"" /var/lib/vmmigrate/tasks/*/result' || fail "another code"
stayed node1 100

begin_too_fast --on-stall suspend
finish 0
moved node2 100
second_try node2 100 --non-live
