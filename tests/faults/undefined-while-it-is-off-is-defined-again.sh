#!/bin/bash
# FAULTS 75: somebody undefines a guest while it is off - during the last copy of a restart migration, or during an offline one.
# The migration is undone, and that means that the guest is defined again as it was, and runs if it ran; a VM and a container.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 256M --data 8 --autostart
on node1 virsh dumpxml --inactive vm100 >"$output.before"
start_waits node2
begin node1 100 node2 --restart
until_it_starts node2
on node1 virsh undefine vm100
start_goes_on node2
finish 1
says "was undefined during the migration"
says "it is defined again"
as_it_was node1 100
on node1 virsh dumpxml --inactive vm100 >"$output.after"
diff "$output.before" "$output.after" || fail "its definition is another one"

on node1 virsh destroy vm100
no_seeds
begin node1 100 node2 --bwlimit 4096
until_says "copy vda"
on node1 virsh undefine vm100
finish 1
says "it is defined again"
[ "$(state node1 100)" = "shut off" ] || fail "it is $(state node1 100)"
[ "$(autostart node1 100)" = enable ] || fail "its autostart is lost"
wait_until_clean
on node1 virsh start vm100
second_try node1 100 --restart
lab records node2 100

# shellcheck source=tests/lab/containers.sh
. "$TOP/tests/lab/containers.sh"
ct node1 200 --data 24 --autostart
slow_to_be_set_up node1 200
on node1 cat /var/lib/lxc/200/config >"$output.before"
start_waits node2
begin node1 200 node2
until_it_starts node2
[ "$(state node1 200)" = aside ] || fail "it is $(state node1 200) on node1"
on node1 rm /var/lib/lxc/200/config.vmmigrate
start_goes_on node2
finish 1
says "it is defined again"
runs_on node1 200
gone_from node2 200
on node1 cat /var/lib/lxc/200/config >"$output.after"
diff "$output.before" "$output.after" || fail "its config is another one"
wait_until_clean
second_try node1 200
records node2 200
