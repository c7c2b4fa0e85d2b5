#!/bin/bash
# FAULTS 22: a live migration is cancelled while the guest is stopped for the last of its memory. The exit status says
# on which node the guest is, and it runs there.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
busy_vm node1 100
begin_until_guest_is_stopped node1 100
on node1 vmmigrate cancel 100
lab link node1 rate none
status=0
wait "$begun" || status=$?
said=$(cat "$output")
printf '%s\n' "$said"
case $status in
    0) end=node2 ;;
    7) end=node1 && says "guest 100 is running on node1" ;;
    *) fail "the migration ended with $status" ;;
esac
stayed "$end" 100
second_try "$end" 100 --non-live
