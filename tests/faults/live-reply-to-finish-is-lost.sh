#!/bin/bash
# FAULTS 16, 17: the target has all memory, and libvirt's Finish gets no answer, because the link is cut at that
# moment, or the source's libvirtd is restarted. The guest runs on one of the nodes, and the exit status says on which.
. "$(dirname "$0")/../lab/live.sh"

# begin_without_answer NODE: all memory has moved, and the target's libvirtd is stopped when Finish arrives.
begin_without_answer() {
    begin_slowly "$1" 100
    on "$(other "$1")" pkill -STOP -x libvirtd
    memory_has_moved "$1" 100
}
answer() { on "$1" pkill -CONT -x libvirtd; }

fresh_lab
vm node1 100
begin_without_answer node1
lab link node2 drop
answer node2
wait_until "the target has all memory" 20 reason_is node2 100 "paused (user)"
wait_until "the source's libvirt gives up" 120 reason_is node1 100 "running (migration canceled)"
lab link node2 up
finish 1
says "guest 100 is running on node1"
stayed node1 100
second_try node1 100 --online

begin_without_answer node2
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
