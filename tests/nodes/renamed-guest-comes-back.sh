#!/bin/bash
# FAULTS 79: a VM that was renamed where it had moved comes back, running and by restart. A new VM and a new container
# under an old name move. A record whose owner has no such guest gives way, by itself or by recover --forget, and stays
# while the owner has the guest or cannot be asked.
. "$(dirname "$0")/../lab/testing.sh"

# gave_birth NODE NAME OLD: a definition of the VM OLD of that node, without its UUID, under the name NAME.
gave_birth() { on "$1" sh -ec "virsh dumpxml --inactive $3 | sed '/<uuid>/d; s|<name>.*</name>|<name>$2</name>|; s|id=\"[0-9]*\"|id=\"$2\"|' >/root/new.xml; virsh -q define /root/new.xml"; }
runs_as() { [ "$(on "$1" virsh domstate "$2" | sed -n 1p)" = running ] || fail "$2 is $(on "$1" virsh domstate "$2") on $1"; }

fresh_lab
vm node1 100
on node1 virsh dumpxml --inactive vm100 | on node1 tee /root/100.xml >/dev/null
migrate 0 node1 100 node2 --online
runs_on node2 100

# Renamed, which libvirt does while it is off, and given another id.
on node2 virsh -q destroy vm100
on node2 virsh -q domrename vm100 renamed
on node2 virsh -q metadata renamed https://vmmigrate.org/xmlns/1 --key vmmigrate --set '<guest id="777"/>' --config
on node2 virsh -q start renamed
migrate 0 node2 777 node1 --online
runs_as node1 renamed
migrate 0 node1 renamed node2 --restart
runs_as node2 renamed

# A new VM under the old name on node1 is another guest.
gave_birth node2 vm100 renamed
on node2 cat /root/new.xml | on node1 tee /root/new.xml >/dev/null
on node2 virsh -q undefine vm100
on node2 virsh -q destroy renamed
on node1 virsh -q define /root/new.xml
on node1 virsh -q start vm100
migrate 0 node1 vm100 node2 --restart
runs_as node2 vm100
on node2 virsh -q destroy vm100
on node2 virsh -q undefine vm100

# The first VM, by its old definition, on node1 again while node2 has it: an old copy.
on node1 virsh -q define /root/100.xml
expect 1 on node1 virsh -q start vm100
says "belongs to node node2"
migrate 3 node1 recover vm100 --forget
says "node2 has the guest"
migrate 3 node1 vm100 node2
says "migrate it from node2, which has it"

# node2 has it no more: but it cannot be asked.
on node2 virsh -q undefine renamed
lab libvirtd node2 stop
migrate 3 node1 recover vm100 --forget
says "cannot be asked whether it has the guest"
lab libvirtd node2 start
migrate 0 node1 check vm100 node2
migrate 0 node1 recover vm100 --forget
says "it may be started and moved"
on node1 virsh -q start vm100
runs_as node1 vm100
migrate 0 node1 vm100 node2 --online
migrate 5 node1 recover nobody --forget
on node2 virsh -q destroy vm100
on node2 virsh -q undefine vm100

# The same by itself: node1's record names node2, which was asked.
on node1 virsh -q define /root/100.xml
migrate 0 node1 vm100 node2
[ "$(state node2 100)" = "shut off" ] || fail "it is $(state node2 100) on node2"

# A container that was removed where it had moved, and another of its name.
lab container node1 200
migrate 0 node1 200 node2
on node2 rm -r /var/lib/lxc/200
lab container node1 200
migrate 0 node1 200 node2
wait_until_clean

# node2 has the VM and cannot be asked any more: it is lost for good, so the administrator takes it out of the cluster.
on node1 virsh -q define /root/100.xml
lab kill node2
migrate 3 node1 recover vm100 --forget
says "vmmigrate node remove node2"
migrate 0 node1 node remove node2
migrate 0 node1 recover vm100 --forget
on node1 virsh -q start vm100
runs_as node1 vm100
