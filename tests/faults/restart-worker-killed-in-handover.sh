#!/bin/bash
# FAULTS 18, 38: the worker dies while the target starts the guest held: what is there is ended, and the guest runs where it was.
. "$(dirname "$0")/../lab/testing.sh"

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
on node1 pkill -KILL -f '^vmmigrate-engine worker'
until_says "recover: settling"
on node2 rm /run/wait
finish 1
says "interrupted"
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
