#!/bin/bash
# Live migration: title, description, foreign metadata and autostart are exactly the same on the other node, and on the
# way back.
. "$(dirname "$0")/../lab/live.sh"

definition() { on "$1" virsh dumpxml --inactive vm100; }
is_unchanged() {
    [ "$(definition "$1")" = "$definition" ] || fail "the definition has changed: $(diff <(echo "$definition") <(definition "$1"))"
    [ "$(autostart "$1" 100)" = enable ] || fail "autostart did not come along"
}

fresh_lab
vm node1 100 --autostart --title "web & <shop> é"
on node1 virsh -q desc vm100 --config "first line
second 'line'"
on node1 virsh -q metadata vm100 https://example.org/billing --key billing --set '<account n="7">"x"</account>' --config
definition=$(definition node1)

migrate 0 node1 100 node2 --online
moved node2 100
is_unchanged node2
second_try node2 100 --non-live
is_unchanged node1
