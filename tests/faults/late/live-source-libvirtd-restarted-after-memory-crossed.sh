#!/bin/bash
# FAULTS 16: the source's libvirtd is restarted when the memory has crossed and Finish is not answered: one side has the guest, and
# it says which.
. "$(dirname "$0")/../../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
on node2 pkill -STOP -x libvirtd
memory_has_crossed node1 100
lab libvirtd node1 restart
on node2 pkill -CONT -x libvirtd
status=0
wait "$begun" || status=$?
said=$(cat "$output")
printf '%s\n' "$said"
case $status in
    0) end=node2 ;;
    1) end=node1 && says "guest 100 is running on node1" ;;
    *) fail "the migration ended with $status" ;;
esac
stayed "$end" 100
second_try "$end" 100 --online
