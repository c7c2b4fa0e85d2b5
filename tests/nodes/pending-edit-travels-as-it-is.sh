#!/bin/bash
# A running VM whose definition was edited, so that the edit waits for its next start. Live, both forms arrive, each as it was: the guest
# runs on with what it has, and the edit still waits. By restart it starts with the edit.
. "$(dirname "$0")/../lab/live.sh"

later() { on "$1" virsh dumpxml --inactive --security-info vm100; }
memory_of() { on "$1" virsh dumpxml vm100 | sed -n "s|.*<currentMemory unit='KiB'>\([0-9]*\)<.*|\1|p"; }
interfaces() { on "$1" virsh dumpxml $2 vm100 | grep -c '<interface '; }
both_as_they_were() {
    [ "$(later "$1")" = "$edited" ] || fail "the edit has changed: $(diff <(echo "$edited") <(later "$1"))"
    [ "$(memory_of "$1")" = 262144 ] || fail "the running guest has $(memory_of "$1") KiB"
    [ "$(interfaces "$1" "")" = "$had" ] || fail "the running guest has $(interfaces "$1" "") network interfaces"
    [ "$(interfaces "$1" --inactive)" = $((had + 1)) ] || fail "the edit has $(interfaces "$1" --inactive) network interfaces"
}

fresh_lab
vm node1 100 --autostart
had=$(interfaces node1 "")
on node1 sh -ec 'virsh setmaxmem vm100 384M --config; virsh setmem vm100 384M --config
    virsh attach-interface vm100 bridge vmbr0 --model virtio --config; virsh desc vm100 --config "for tomorrow"'
edited=$(later node1)

echo "--- live"
migrate 0 node1 100 node2 --online
moved node2 100
both_as_they_were node2
second_try node2 100 --non-live
both_as_they_were node1
booted_once 100

echo "--- by restart"
second_try node1 100 --restart
[ "$(later node2)" = "$edited" ] || fail "the edit has changed: $(diff <(echo "$edited") <(later node2))"
[ "$(memory_of node2)" = 393216 ] || fail "it runs with $(memory_of node2) KiB"
[ "$(interfaces node2 "")" = $((had + 1)) ] || fail "it runs with $(interfaces node2 "") network interfaces"
