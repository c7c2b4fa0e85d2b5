#!/bin/bash
# FAULTS 22: cancelled while the guest stands for the last of its memory: it says which side has it, and that is so.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
busy_vm node1 100
begin_standing node1 100
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
