#!/bin/bash
# A container that arrived held can reboot from inside, before and after the package is removed from its node: its monitor
# keeps the line that held its start.
. "$(dirname "$0")/../lab/containers.sh"

reboots() { # it reboots from inside and runs again
    local init
    init=$(on node2 lxc-info -p -H -n 200)
    on node2 lxc-attach -n 200 -- reboot || true # which may be ended by it
    wait_until "it has a new init" 30 has_other_init "$init"
    lab wait-ticks 200 10
    [ "$(state node2 200)" = running ] || fail "after its reboot it is $(state node2 200)"
}
has_other_init() {
    local now
    now=$(on node2 lxc-info -p -H -n 200)
    [ -n "$now" ] && [ "$now" != "$1" ]
}

fresh_lab
ct node1 200
migrate 0 node1 200 node2
runs_on node2 200
reboots
on node2 dpkg --remove vmmigrate
on node2 sh -c '! test -e /usr/libexec/vmmigrate/lxc-hold' || fail "the package is still there"
reboots
