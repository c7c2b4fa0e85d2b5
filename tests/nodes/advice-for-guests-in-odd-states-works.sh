#!/bin/bash
# A VM with a managed save, and one that starts again when it is powered off, are refused before anything is touched, and each
# way out that the refusal names works as it says.
. "$(dirname "$0")/../lab/testing.sh"

saved() { grep -q "Managed save: *$2" <<<"$(on "$1" virsh dominfo vm100)" || fail "managed save of vm100 on $1 is not: $2"; }

fresh_lab
vm node1 100 --disk dir --format qcow2 --size 64M --records 10
echo "--- managed save: started again, it goes on from its memory"
on node1 virsh managedsave vm100
migrate 3 node1 100 node2
says "virsh start vm100"
says "virsh managedsave-remove vm100"
saved node1 yes
on node1 virsh start vm100
runs_on node1 100
grep -q boots=1 <<<"$(lab ticks 100)" || fail "its memory was lost: $(lab ticks 100)"
second_try node1 100 --restart

echo "--- managed save: dropped, it moves while it is off"
on node2 virsh managedsave vm100
migrate 3 node2 100 node1
on node2 virsh managedsave-remove vm100
migrate 0 node2 100 node1
gone_from node2 100
on node1 virsh start vm100
runs_on node1 100
lab wait-ticks 100 30

echo "--- on_poweroff=restart"
on node1 virsh set-lifecycle-action vm100 poweroff restart --live --config
ticks=$(lab ticks 100)
migrate 3 node1 100 node2 --restart
says "virsh set-lifecycle-action vm100 poweroff destroy --live"
[ "$(sed 's/.* boots=\([0-9]*\) .*/\1/' <<<"$ticks")" = "$(lab ticks 100 | sed 's/.* boots=\([0-9]*\) .*/\1/')" ] || fail "it was rebooted"
on node1 virsh set-lifecycle-action vm100 poweroff destroy --live
second_try node1 100 --restart
grep -q '<on_poweroff>restart' <<<"$(on node2 virsh dumpxml --inactive vm100)" || fail "its definition has changed"
lab records node2 100
