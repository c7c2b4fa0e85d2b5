#!/bin/bash
# Live migration: title, description, foreign metadata, the password of the display and autostart are exactly the same on
# the other node, and on the way back. The password is in no reply.
. "$(dirname "$0")/../lab/live.sh"

definition() { on "$1" virsh dumpxml --inactive --security-info vm100; }
is_unchanged() {
    [ "$(definition "$1")" = "$definition" ] || fail "the definition has changed: $(diff <(echo "$definition") <(definition "$1"))"
    [ "$(autostart "$1" 100)" = enable ] || fail "autostart did not come along"
}

fresh_lab
lab guest node1 100 --autostart --title "web & <shop> é"
on node1 virsh -q desc vm100 --config "first line
second 'line'"
on node1 virsh -q metadata vm100 https://example.org/billing --key billing --set '<account n="7">"x"</account>' --config
on node1 sh -c 'virsh dumpxml --inactive vm100 | sed "s#<devices>#&<graphics type=\"vnc\" port=\"-1\" passwd=\"geheim\"/>#" >/tmp/vm100.xml
    virsh -q define /tmp/vm100.xml && virsh -q start vm100'
lab wait-ticks 100 10
definition=$(definition node1)
[[ $definition == *geheim* ]] || fail "the display has no password"
shown=$(on node1 vmmigrate check 100 node2 --json)
[[ $shown == *"type='vnc'"* ]] || fail "the reply does not have the definition: $shown"
for reply in "$shown" "$(on node1 vmmigrate 100 node2 --online --dry-run --json)"; do
    [[ $reply != *geheim* ]] || fail "the reply has the password: $reply"
done

migrate 0 node1 100 node2 --online
moved node2 100
is_unchanged node2
second_try node2 100 --non-live
is_unchanged node1
