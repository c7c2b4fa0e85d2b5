#!/bin/bash
# FAULTS 1, 3, 4, 5, 56 and mistyped commands: each is refused with its own exit status, message and remedy, before
# anything is touched on either node.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images
# Everything that a refusal must not touch: definitions, states, volumes, records.
everything() {
    local node
    for node in node1 node2; do
        on "$node" sh -c "for vm in \$(virsh list --all --name); do virsh domstate \$vm; virsh dumpxml --inactive \$vm; done
            cd $images; find . -type f ! -name 'vm100.img' -printf '%P %s %i %T@\n' | sort; ls -i vm100.img 2>/dev/null
            cat /var/lib/vmmigrate/guests/* 2>/dev/null; true"
    done
}
before=
# refused STATUS MESSAGE REMEDY NODE ARGUMENTS...
refused() {
    local status=$1 message=$2 remedy=$3
    shift 3
    migrate "$status" "$@"
    says "$message"
    says "$remedy"
}
untouched() { [ "$(everything)" = "$before" ] || fail "something was touched: $(diff <(echo "$before") <(everything))"; }

fresh_lab
vm node1 100 --disk dir --size 64M --data 8
lab guest node1 101 --disk dir --size 16M --format qcow2
lab guest node1 102 --disk none
on node1 sh -ec "virsh -q dumpxml vm102 | sed '/<uuid>/d; /mac address/d; s|<name>vm102|<name>twin|; s|id=.102.|id=\"103\"|' >/root/103
    virsh -q define /root/103 >/dev/null"
before=$(everything)

# Mistyped commands.
refused 2 "unknown option --onlin" "did you mean --online?" node1 100 node2 --onlin
refused 2 "--timeout takes" "number" node1 100 node2 --restart --timeout soon
refused 2 "--online and --restart exclude each other" "one way" node1 100 node2 --online --restart
refused 2 "there is no check speed" "" node1 100 node2 --restart --ignore speed
refused 2 "no target is given for '100'" "vmmigrate check 100" node1 100
refused 2 "one argument too many: 'node3'" "" node1 100 node2 node3
refused 5 "no guest 999 on node1, node2" "vmmigrate list" node1 999 node2
refused 5 "no guest vm10 on" "did you mean vm10" node1 vm10 node2
refused 2 "\"vm-x\" is not a kind of guest" "qemu/100" node1 vm-x/100 node2
refused 5 "there is no node \"nodo2\"" "Did you mean node2?" node1 100 nodo2 --restart
refused 5 "there is no node \"elsewhere\"" "The nodes are: node1, node2" node1 100 elsewhere --restart
refused 5 "there is no node \"nodo2\"" "Did you mean node2?" node1 check 100 nodo2
refused 5 "there is no node \"nodo2\"" "Did you mean node2?" node1 100 nodo2 --restart --dry-run
refused 5 "there is no node \"nodo2\"" "Did you mean node2?" node2 100 nodo2 --restart
refused 3 "is on node1 already" "" node1 100 node1 --restart
refused 3 "is on node1 already" "" node2 100 node1 --restart
refused 3 "vda (64.0 MiB" "--restart" node1 100 node2 --online
refused 3 "vda (64.0 MiB" "--restart" node1 100 node2 --non-live
refused 5 "no task" "" node1 status node1-1-abc
refused 5 "there is no task 999" "vmmigrate list" node1 log 999
refused 5 "there is no task 999" "vmmigrate list" node1 cancel 999
refused 5 "no node nodo2" "did you mean node2" node1 node test nodo2
refused 1 "is not at work" "" node1 cancel 100
untouched

# Two guests have the same id.
on node1 sh -ec "virsh -q dumpxml twin | sed 's|id=\"103\"|id=\"102\"|' | virsh -q define /dev/stdin >/dev/null"
before=$(everything)
refused 2 "102" "vm102" node1 102 node2
untouched
on node1 virsh -q undefine twin

# The target has a guest of the same name, id, or UUID already.
on node1 virsh -q dumpxml vm102 >/tmp/"$LAB.xml"
for change in 's|<name>vm102|<name>other|; /<uuid>/d' "/<uuid>/d; s|id='102'|id='555'|; s|id=\"102\"|id=\"555\"|" \
    "s|<name>vm102|<name>other|; s|id='102'|id='555'|; s|id=\"102\"|id=\"555\"|"; do
    sed "$change" /tmp/"$LAB.xml" | on node2 virsh -q define /dev/stdin
    before=$(everything)
    refused 3 "on node2" "--replace" node1 102 node2
    untouched
    on node2 sh -c 'for vm in $(virsh list --all --name); do virsh -q undefine $vm; done'
done
rm /tmp/"$LAB.xml"
# The target has a file at the path of a volume.
on node2 sh -c "echo precious >$images/vm101.qcow2"
before=$(everything)
refused 3 "$images/vm101.qcow2 is on node2 already" "--replace" node1 101 node2
untouched
on node2 rm "$images/vm101.qcow2"

# A backing file, a missing volume.
on node1 sh -ec "mv $images/vm101.qcow2 $images/base.qcow2
    qemu-img create -q -f qcow2 -F qcow2 -b $images/base.qcow2 $images/vm101.qcow2"
before=$(everything)
refused 3 "stands on the backing file $images/base.qcow2" "qemu-img rebase" node1 101 node2
untouched
on node1 mv "$images/vm101.qcow2" "$images/away"
before=$(everything)
refused 3 "$images/vm101.qcow2 is not there" "mounted" node1 101 node2
untouched
on node1 sh -ec "rm $images/away; mv $images/base.qcow2 $images/vm101.qcow2"

# A local directory of each node is configured as shared.
for node in node1 node2; do
    on "$node" sh -c "printf '\n[storage images]\npath = $images\nshared = yes\n' >>/etc/vmmigrate/vmmigrate.conf"
done
before=$(everything)
refused 3 "shared" "vmmigrate.conf" node1 100 node2 --restart
untouched
for node in node1 node2; do on "$node" sed -i '/^\[storage images\]/,$d' /etc/vmmigrate/vmmigrate.conf; done

# A bridge that the target lacks.
on node1 sh -ec "ip link add vmbr7 type bridge; virsh -q dumpxml vm102 | sed 's/vmbr0/vmbr7/' | virsh -q define /dev/stdin >/dev/null"
before=$(everything)
refused 3 "vmbr7" "node2" node1 102 node2
untouched

# libvirtd does not run on one of the nodes.
lab libvirtd node2 stop
migrate 3 node1 100 node2 --restart
says "libvirt"
says "node2"
lab libvirtd node2 start
lab libvirtd node1 stop
migrate 3 node1 100 node2 --restart
says "libvirt"
says "node1"
lab libvirtd node1 start

# An old copy of a guest that has moved away.
on node1 sh -ec "virsh -q dumpxml vm100 >/root/old.xml; cp --sparse=always $images/vm100.img $images/old.img"
migrate 0 node1 100 node2 --restart
on node1 sh -ec "mv $images/old.img $images/vm100.img; virsh -q define /root/old.xml >/dev/null"
before=$(everything)
refused 3 "belongs to node2" "node2" node1 100 node2
untouched
expect 1 on node1 virsh start vm100
runs_on node2 100
lab records node2 100
