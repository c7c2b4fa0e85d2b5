#!/bin/bash
# FAULTS 24: the guest writes faster than the link carries: given up with a code of its own, the guest untouched; with
# --on-stall=suspend the same migration comes to its end.
. "$(dirname "$0")/../lab/live.sh"

# Writes to 2 MiB all the time, over a link that carries 1 MiB/s once most of the memory has crossed: more than what is left of the guest
# when auto-converge has slowed it to a hundredth.
begin_in_vain() {
    begin_slowly node1 100 --bwlimit 20480 --max-downtime 10 "$@"
    on node1 sh -c 'until virsh domjobinfo vm100 --rawstats | grep -qE "^memory_remaining: [0-9]{1,7}$|^memory_remaining: 1[0-9]{7}$"; do sleep 0.1; done
        virsh -q migrate-setspeed vm100 1'
}

fresh_lab
vm node1 100 --dirty 400 --dirty-set 2
begin_in_vain
finish 1
says "the guest writes memory faster than it crosses"
says "--on-stall=suspend"
on node1 sh -c 'grep -q "\"code\":\"does-not-converge\"" /var/lib/vmmigrate/tasks/*/result' || fail "another code"
stayed node1 100

begin_in_vain --on-stall suspend
finish 0
moved node2 100
second_try node2 100 --non-live
