#!/bin/bash
# FAULTS 28: the source is lost when the target has all of the guest and holds it: nothing starts there but by an administrator's
# word, given on the target. A source that comes back after all gives way, and says which volumes it has kept.
. "$(dirname "$0")/../lab/testing.sh"

is_held() { [ "$(state node2 100)" = paused ]; }
has_given_way() { on node1 vmmigrate recover && [ "$(state node1 100)" = absent ]; }

fresh_lab
vm node1 100 --disk dir --size 256M --data 8 --autostart
# libvirt on the target takes its time over the start, as long as the file is there.
on node2 sh -c 'cat >/etc/libvirt/hooks/qemu.d/wait; chmod 755 /etc/libvirt/hooks/qemu.d/wait; touch /run/wait' <<'HOOK'
#!/bin/sh
[ "$2" = started ] || exit 0
touch /run/waits
while [ -e /run/wait ]; do sleep 0.1; done
HOOK
lab libvirtd node2 restart
begin node1 100 node2 --restart
wait_until "the target starts it" 60 on node2 test -e /run/waits
lab kill node1
wait "$begun" || true
on node2 rm /run/wait /etc/libvirt/hooks/qemu.d/wait
wait_until "the target holds it" 30 is_held

expect 9 on node2 vmmigrate recover
says "--keep target"
[ "$(state node2 100)" = paused ] || fail "it was let go without a word"
expect 0 on node2 vmmigrate recover 100 --keep target
runs_on node2 100
lab records node2 100
[ "$(autostart node2 100)" = enable ] || fail "autostart did not come along"

lab boot node1
wait_until "the source has given way" 60 has_given_way
expect 0 on node1 vmmigrate log 100
says "left over: /var/lib/libvirt/images/vm100.img"
runs_on node2 100
on node1 rm /var/lib/libvirt/images/vm100.img
second_try node2 100 --restart
lab records node1 100
