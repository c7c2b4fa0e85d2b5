#!/bin/bash
# A guest is not stopped for a target on which it could not be started: kernel, log directory, shared directory, file of
# persistent memory, interface, network filter, fixed port and pinned CPU are looked for beforehand, in the definition
# that will be started. What the hints say, followed to the letter, lifts the refusal.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
for node in node1 node2; do on "$node" ip link add lab7 type veth peer name lab7peer; done
on node1 sh -ec 'mkdir -p /srv/boot /srv/share /var/log/extra; cp /var/lib/libvirt/boot/vmmigrate-lab-vmlinuz /srv/boot/k
    truncate --size 128M /srv/nv; echo "<filter name=\"ours\"/>" >/root/filter.xml; virsh -q nwfilter-define /root/filter.xml'
lab guest node1 100 --disk dir --size 64M --data 8
on node1 sh -ec 'virsh -q dumpxml --inactive vm100 | sed "
    s|<kernel>.*</kernel>|<kernel>/srv/boot/k</kernel>|
    s|<memory |<maxMemory slots=\"4\" unit=\"MiB\">1024</maxMemory>\n<memory |
    s|<model fallback=.forbid.>qemu64</model>|&<numa><cell id=\"0\" cpus=\"0\" memory=\"256\" unit=\"MiB\"/></numa>|
    s|<source bridge=.vmbr0./>|&<filterref filter=\"ours\"/>|
    s|</devices>|<serial type=\"file\"><source path=\"/var/log/extra/100.log\"/></serial>\
<filesystem type=\"mount\"><source dir=\"/srv/share\"/><target dir=\"share\"/></filesystem>\
<memory model=\"nvdimm\"><source><path>/srv/nv</path></source><target><size unit=\"MiB\">128</size><node>0</node><label><size unit=\"KiB\">128</size></label></target></memory>\
<graphics type=\"vnc\" port=\"5999\" autoport=\"no\" listen=\"0.0.0.0\"/>&|" >/root/100.xml
    virsh -q define /root/100.xml; virsh -q start vm100'
lab wait-ticks 100 10
# The lab has no udev, so that no guest starts with a macvtap device: it is added to the definition alone.
on node1 virsh -q attach-interface vm100 direct lab7 --config
on node2 ip link del lab7
on node2 sh -c 'setsid perl -MIO::Socket::INET -e "\$s = IO::Socket::INET->new(LocalPort => 5999, Listen => 1) or die; sleep 600" >/dev/null 2>&1 &
    echo $! >/root/listener'
listens() { on node2 sh -c "ss -ltn | grep ':5999 ' >/dev/null"; }
wait_until "a program on node2 has the port" 10 listens

# Everything is found at once, and nothing is touched.
before=$(on node1 virsh dumpxml vm100)
migrate 3 node1 check 100 node2 --restart
for thing in /srv/boot/k /var/log/extra/100.log /srv/share /srv/nv lab7 ours 0.0.0.0:5999; do says "VM 100 needs $thing for "; done
says "node2 has no such file"
says "node2 has no such interface"
says "node2 has no such network filter"
says "node2 uses that port already"
migrate 3 node1 100 node2 --restart
as_it_was node1 100 disable
[ "$(on node1 virsh dumpxml vm100)" = "$before" ] || fail "the guest was changed"

# A live migration is refused, and does not recommend a restart that would be refused as well.
migrate 3 node1 100 node2 --online
says "--restart is refused as well"
! grep -q "or move the guest with --restart" <<<"$said" || fail "it recommends a way that is refused"

# The hints, one by one.
on node2 ip link add lab7 type veth peer name lab7peer2
on node1 sh -c 'cat /srv/boot/k' | on node2 sh -ec 'mkdir -p /srv/boot; cat >/srv/boot/k'
on node2 sh -ec 'mkdir -p /srv/share /var/log/extra; truncate --size 64M /srv/nv; kill "$(cat /root/listener)"'
on node1 virsh nwfilter-dumpxml ours | on node2 virsh -q nwfilter-define /dev/stdin
migrate 3 node1 check 100 node2 --restart
says "has a smaller file under that path"
on node2 truncate --size 128M /srv/nv
on node1 virsh -q detach-interface vm100 direct --config
migrate 0 node1 check 100 node2 --restart
says "filesystem-passthrough"
migrate 3 node1 100 node2 --online
says "vmmigrate 100 node2 --restart\` works"
says "or move the guest with --restart"
second_try node1 100 --restart
lab records node2 100

# What was only added to the definition of a running guest is what a restart starts.
vm node1 101 --disk dir --size 64M
on node1 sh -ec 'ip link add vmbr7 type bridge; virsh -q attach-interface vm101 bridge vmbr7 --config'
migrate 3 node1 101 node2 --restart
says "uses the bridge vmbr7, which node2 does not have"
on node1 sh -ec 'virsh -q attach-interface vm101 bridge vmbr0 --config --target web0 --mac 52:54:00:00:77:77'
on node2 sh -ec 'ip link add vmbr7 type bridge; ip link add web0 type veth peer name web0peer'
migrate 3 node1 101 node2 --restart
says "the name web0, which an interface of node2 has already"
as_it_was node1 101 disable
on node2 ip link del web0
on node1 ip link set vmbr7 mtu 9000
migrate 0 node1 check 101 node2 --restart
says "vmbr7 of node2 has an MTU of 1500; vmbr7 has 9000 here"
# A CPU that it is pinned to, and that is not there, keeps it from starting.
on node1 sh -ec 'virsh -q dumpxml --inactive vm101 >/root/101.xml
    sed "s|</vcpu>|&<cputune><vcpupin vcpu=\"0\" cpuset=\"63\"/></cputune>|" /root/101.xml | virsh -q define /dev/stdin'
migrate 3 node1 101 node2 --restart
says "is pinned to CPU 63; the highest of node2 is CPU"
as_it_was node1 101 disable
lab guest node1 102 --disk none
on node1 sh -ec 'virsh -q dumpxml --inactive vm102 | sed "s|</vcpu>|&<cputune><vcpupin vcpu=\"0\" cpuset=\"63\"/></cputune>|" |
    virsh -q define /dev/stdin'
expect 1 on node1 virsh start vm102
on node1 virsh -q define /root/101.xml
second_try node1 101 --restart
