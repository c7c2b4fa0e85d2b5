#!/bin/bash
# On nodes with systemd the package is installed beside a running guest: libvirtd is restarted by systemd and finds the guard, the
# guest runs on. A migration is a unit of its own, so that neither a login session nor a panel's service can end it.
. "$(dirname "$0")/../lab/testing.sh"

trap 'lab down; rm -f "$output"' EXIT
lab down
lab up --systemd
vm node1 100
before=$(on node1 systemctl show -P MainPID libvirtd.service)
lab install "$TOP"/build/vmmigrate_*.deb
lab join >/dev/null
[ "$(on node1 systemctl show -P MainPID libvirtd.service)" != "$before" ] || fail "libvirtd was not restarted"
expect 0 on node1 systemctl is-active vmmigrate-recover.timer
expect 0 on node1 vmmigrate check 100 node2 --online

migrate 0 node1 100 node2 --online
lab wait-ticks 100 10
expect 0 lab ticks 100
says "boots=1"
task=$(on node1 sh -c 'ls /var/lib/vmmigrate/tasks')
expect 0 on node1 journalctl --quiet --no-pager -u "vmmigrate-$task.service"
says "Deactivated successfully"
expect 1 on node1 virsh start vm100
nothing_left
