#!/bin/bash
# FAULTS 26, 28, 31: nodes lose power while memory moves. The target: the guest goes on running on the source. The
# source: the target starts nothing, not even by hand, and the source starts the guest when it is back. Both: the
# source alone starts nothing, and starts the guest when the target is back too.
. "$(dirname "$0")/../lab/live.sh"

no_job() { on node1 virsh domjobinfo vm100 | grep 'None' >/dev/null; }
starts_again() {
    wait_until "guest 100 is started on $1" 90 runs "$1" 100
    runs_on "$1" 100
    gone_from "$(other "$1")" 100
    wait_until_clean
    [ "$(autostart "$1" 100)" = enable ] || fail "autostart is off"
}

fresh_lab
vm node1 100 --autostart
on node1 virsh dumpxml --inactive vm100 | on node2 tee /root/vm100.xml | on node1 tee /root/vm100.xml >/dev/null

begin_slowly node1 100
lab kill node2
wait_until "libvirt gives up" 90 no_job
[ "$(state node1 100)" = running ] || fail "guest 100 is $(state node1 100) on node1"
lab wait-ticks 100 5
lab boot node2
finish 1
says "guest 100 is running on node1"
stayed node1 100
[ "$(autostart node1 100)" = enable ] || fail "autostart is off"
second_try node1 100 --online

begin_slowly node2 100
lab kill node2
wait "$begun" || true
wait_until "libvirt removes the incoming guest" 60 gone node1 100
expect 1 on node1 sh -c 'virsh -q define /root/vm100.xml && virsh -q start vm100'
says "is being moved by task"
on node1 virsh -q undefine vm100
lab boot node2
starts_again node2
second_try node2 100 --online

begin_slowly node1 100
lab kill node1
lab kill node2
wait "$begun" || true
lab boot node1
expect 1 on node1 virsh -q start vm100
says "is being moved by task"
lab boot node2
starts_again node1
second_try node1 100 --online
lab records node2 100
