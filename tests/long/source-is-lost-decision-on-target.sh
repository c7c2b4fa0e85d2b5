#!/bin/bash
# FAULTS 28, 43: the source is lost when the target has all of the guest and holds it. The target starts it only by an
# administrator's decision, given there. A source that comes back after all gives the guest up, and says which of its
# volumes are left over.
. "$(dirname "$0")/../lab/testing.sh"

is_held() { [ "$(state node2 100)" = paused ]; }
has_given_up() { on node1 vmmigrate recover && [ "$(state node1 100)" = absent ]; }

fresh_lab
vm node1 100 --disk dir --size 256M --data 8 --autostart
start_waits node2
begin node1 100 node2 --restart
until_it_starts node2
lab kill node1
wait "$begun" || true
start_goes_on node2
wait_until "the target holds it" 30 is_held

expect 9 on node2 vmmigrate recover
says "--keep target"
[ "$(state node2 100)" = paused ] || fail "it was released without a decision"
expect 0 on node2 vmmigrate recover 100 --keep target
runs_on node2 100
lab records node2 100
[ "$(autostart node2 100)" = enable ] || fail "autostart did not come along"

lab boot node1
wait_until "the source has given the guest up" 60 has_given_up
expect 0 on node1 vmmigrate log 100
says "left over: /var/lib/libvirt/images/vm100.img"
runs_on node2 100
on node1 rm /var/lib/libvirt/images/vm100.img
second_try node2 100 --restart
lab records node1 100
