#!/bin/bash
# A VM without a persistent definition (virsh create) moves live, there and back, and stays transient. Any other way is refused, and
# what the refusal advises works: defined by it, the guest moves by restart.
. "$(dirname "$0")/../lab/live.sh"

is_transient() { grep -q "Persistent: *no" <<<"$(on "$1" virsh dominfo vm100)" || fail "the guest is persistent on $1"; }

fresh_lab
lab guest node1 100
on node1 sh -ec 'virsh dumpxml --security-info vm100 >/root/100.xml; virsh undefine vm100; virsh create /root/100.xml'
lab wait-ticks 100 10

migrate 3 node1 100 node2 --restart
says "is transient"
migrate 3 node1 100 node2 --non-live
stayed node1 100

echo "--- cancelled while its memory moves"
begin_slowly node1 100
on node1 vmmigrate cancel 100
finish 7
stayed node1 100
is_transient node1

echo "--- moved"
migrate 0 node1 100 node2 --online
moved node2 100
is_transient node2
second_try node2 100 --online
is_transient node1
booted_once 100

echo "--- defined as the refusal advises"
on node1 sh -ec 'virsh dumpxml --inactive --security-info vm100 >/root/FILE && virsh define /root/FILE'
second_try node1 100 --restart
