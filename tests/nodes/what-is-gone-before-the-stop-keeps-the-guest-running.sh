#!/bin/bash
# The directory of a guest's log is removed on the target during the rounds: that is found before the shutdown, the guest
# goes on here, and what was copied is not lost for the next attempt.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
for node in node1 node2; do on "$node" mkdir -p /var/log/extra; done
lab guest node1 100 --disk dir --size 64M --data 8 --autostart
on node1 sh -ec 'virsh -q dumpxml --inactive vm100 |
    sed "s|</devices>|<serial type=\"file\"><source path=\"/var/log/extra/100.log\"/></serial>&|" >/root/100.xml
    virsh -q define /root/100.xml; virsh -q start vm100'
lab wait-ticks 100 10
on node2 sh -ec 'mkdir -p /etc/vmmigrate/hooks.d/pre-switch.d; cat >/etc/vmmigrate/hooks.d/pre-switch.d/50-lose
    chmod 755 /etc/vmmigrate/hooks.d/pre-switch.d/50-lose' <<'HOOK'
#!/bin/sh
rmdir /var/log/extra
HOOK
migrate 3 node1 100 node2 --restart
says "node2 has no such directory to make it in"
says "guest 100 is running on node1"
as_it_was node1 100
[ "$(lab ticks 100 | grep -o 'boots=[0-9]*')" = boots=1 ] || fail "the guest was restarted: $(lab ticks 100)"
on node2 sh -ec 'rm /etc/vmmigrate/hooks.d/pre-switch.d/50-lose; mkdir /var/log/extra'
second_try node1 100 --restart
lab records node2 100
