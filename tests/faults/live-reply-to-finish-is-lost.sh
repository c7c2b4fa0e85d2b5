#!/bin/bash
# FAULTS 16, 17: the target has all of the memory, and libvirt's Finish is not answered: the link is cut at that moment, or the source's
# libvirtd is restarted. One of the two runs, and it says which.
. "$(dirname "$0")/../lab/live.sh"

# Finish arrives where nobody answers.
begin_unanswered() {
    begin_slowly "$1" 100
    on "$(other "$1")" pkill -STOP -x libvirtd
    memory_has_crossed "$1" 100
}
answer() { on "$1" pkill -CONT -x libvirtd; }

fresh_lab
vm node1 100
begin_unanswered node1
lab link node2 drop
answer node2
wait_until "the target has it whole" 20 reason_is node2 100 "paused (user)"
wait_until "the source's libvirt gives up" 120 reason_is node1 100 "running (migration canceled)"
lab link node2 up
finish 1
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online

begin_unanswered node2
lab libvirtd node2 restart
answer node1
status=0
wait "$begun" || status=$?
said=$(cat "$output")
printf '%s\n' "$said"
case $status in
    0) end=node1 ;;
    1) end=node2 && says "guest 100 is running on node2" ;;
    *) fail "the migration ended with $status" ;;
esac
stayed "$end" 100
second_try "$end" 100 --online
