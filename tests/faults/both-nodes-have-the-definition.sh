#!/bin/bash
# FAULTS 30: both nodes have the guest's definition when they lose power, and boot without seeing each other: neither starts it, by
# itself (autostart) or by hand, until recover has seen both and has decided.
. "$(dirname "$0")/../lab/testing.sh"

defined() { [ "$(state "$1" 100)" = "shut off" ]; }
nobody_starts_it() {
    local node
    for node in node1 node2; do
        on "$node" vmmigrate recover || true
        defined "$node" || fail "guest 100 is $(state "$node" 100) on $node"
        expect 1 on "$node" virsh -q start vm100
        says "vm100 is being moved by task"
        says "vmmigrate recover"
    done
}

fresh_lab
vm node1 100 --autostart
start_waits node2
begin node1 100 node2 --restart
until_it_starts node2
lab kill node1
lab link node2 down
lab kill node2
wait "$begun" || true
lab boot node1
lab boot node2
start_goes_on node2
on node2 virsh -q autostart vm100
lab libvirtd node2 restart
nobody_starts_it
lab link node2 up
until_recovered node1 100
as_it_was node1 100
lab records node1 100
second_try node1 100 --restart
lab records node2 100
