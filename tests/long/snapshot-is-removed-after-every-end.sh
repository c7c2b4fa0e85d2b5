#!/bin/bash
# FAULTS 18, 31, 45: the snapshot by which the rounds learn what the guest has written is removed when the migration
# fails, when it is cancelled, when its worker is killed, when recover finds it, and when the node boots after a power
# cut. If somebody removes the snapshot too early, the whole volume is read again.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images
snapshot() { on node1 find "$images" -name '.vmmigrate-snap-*' | grep .; }
no_snapshot() { ! snapshot || fail "the snapshot is still there"; }

begin_and_wait() {
    begin node1 100 node2 --restart --bwlimit 8192
    wait_until "a snapshot is there" 60 snapshot
}

fresh_lab --images xfs
vm node1 100 --disk dir --size 256M --data 48 --autostart --records 50

begin_and_wait
on node1 pkill -INT -x vmmigrate
finish 7
no_snapshot
as_it_was node1 100

begin_and_wait
on node2 pkill -KILL vmmigrate-agent
finish 1
no_snapshot
as_it_was node1 100

begin_and_wait
on node1 pkill -KILL -f '^vmmigrate-engine worker'
finish 1
no_snapshot
as_it_was node1 100

begin_and_wait
on node1 pkill -KILL vmmigrate-engin
on node2 pkill -KILL vmmigrate-agent || true
wait "$begun" || true
snapshot || fail "the snapshot is gone before recover has run"
migrate 0 node1 recover
no_snapshot
as_it_was node1 100

begin_and_wait
lab kill node1
wait "$begun" || true
lab boot node1
until_recovered node1 100
no_snapshot
as_it_was node1 100

on node1 sh -ec "cat >/etc/vmmigrate/hooks.d/pre-switch.d/10-tidy <<'X'
#!/bin/sh
rm -f $images/.vmmigrate-snap-*
X
    chmod 755 /etc/vmmigrate/hooks.d/pre-switch.d/10-tidy"
migrate 0 node1 100 node2 --restart
says "what has changed cannot be told"
runs_on node2 100
lab records node2 100
on node1 rm /etc/vmmigrate/hooks.d/pre-switch.d/10-tidy
second_try node2 100 --restart
lab records node1 100
