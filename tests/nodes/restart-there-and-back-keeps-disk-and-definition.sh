#!/bin/bash
# A VM with local disks (raw, qcow2) moves by restart and comes back: what it had synced is on the disk, its definition
# is exactly the same, autostart is kept, and the way back with a seed sends less than a twentieth.
. "$(dirname "$0")/../lab/testing.sh"

definition() { on "$1" virsh dumpxml --inactive "vm$2"; }

there_and_back() {
    local id=$1 format=$2 definition bytes
    vm node1 "$id" --disk dir --format "$format" --size 256M --data 100 --autostart --title "web & <shop> é"
    on node1 virsh -q desc "vm$id" --config "first line
second 'line'"
    on node1 virsh -q metadata "vm$id" https://example.org/billing --key billing --set '<account n="7">"x"</account>' --config
    definition=$(definition node1 "$id")

    migrate 0 node1 "$id" node2 --restart --keep-seed
    runs_on node2 "$id"
    gone_from node1 "$id"
    lab records node2 "$id"
    [ "$(definition node2 "$id")" = "$definition" ] || fail "the definition has changed: $(definition node2 "$id")"
    [ "$(autostart node2 "$id")" = enable ] || fail "autostart did not come along"
    wait_until "nothing but the seed is left" 20 is_clean
    expect 0 on node2 vmmigrate status "qemu/$id"
    says "TASK OK"

    # The command is typed on the target; the node that has the guest carries it out.
    bytes=$(received node1)
    migrate 0 node1 "$id" node1 --restart
    bytes=$(($(received node1) - bytes))
    [ "$bytes" -lt $((100 * 1024 * 1024 / 20)) ] || fail "$bytes bytes were sent on the way back"
    runs_on node1 "$id"
    gone_from node2 "$id"
    lab records node1 "$id"
    [ "$(definition node1 "$id")" = "$definition" ] || fail "the definition has changed: $(definition node1 "$id")"
    [ "$(autostart node1 "$id")" = enable ] || fail "autostart did not come back"
    [ -z "$(on node1 find /var/lib/libvirt/images -name '.*')" ] || fail "the seed is still there"
}

fresh_lab
there_and_back 100 raw
there_and_back 101 qcow2
second_try node1 100 --restart
lab records node2 100
