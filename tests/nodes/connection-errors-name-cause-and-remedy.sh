#!/bin/bash
# FAULTS 1, 47: the target cannot be reached, has another host key, or something else than our agent answers there.
# Each case has its own message and remedy and exit status 3, and the guest runs on.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
lab guest node1 100 --disk dir --size 16M --start
# cannot MESSAGE REMEDY: the migration is refused with both, and nothing is begun.
cannot() {
    migrate 3 node1 100 node2 --restart
    says "$1"
    says "$2"
    says "nothing was touched"
}
keys=/root/.ssh/authorized_keys
known=/etc/vmmigrate/known_hosts
on node2 cp "$keys" /root/keys
on node1 sh -c "cp $known /root/known 2>/dev/null || touch /root/known; cp /etc/ssh/ssh_known_hosts /root/ssh_known_hosts
    cp /etc/vmmigrate/vmmigrate.conf /root/conf"

# The key's forced command is another program.
on node2 sed -i 's|command="[^"]*"|command="echo hello"|' "$keys"
cannot "node2: what answers there is not vmmigrate's agent" "install the package vmmigrate on node2"
on node2 sed -i 's|command="[^"]*"|command="head -c 3000000 /dev/zero"|' "$keys"
cannot "node2: what answers there is not vmmigrate's agent" "install the package vmmigrate on node2"
on node2 sed -i 's|command="[^"]*"|command="echo out of order >\&2; exit 1"|' "$keys"
cannot "node2 ended the connection instead of answering: out of order" "vmmigrate node add node2"
migrate 0 node1 node add node2 10.77.0.2
migrate 0 node1 node test
on node2 cp /root/keys "$keys"

# There is no agent.
on node2 mv /usr/libexec/vmmigrate/vmmigrate-agent /root/
cannot "node2 has no vmmigrate agent" "install the package vmmigrate on node2"
on node2 mv /root/vmmigrate-agent /usr/libexec/vmmigrate/

# Our key is not accepted there.
on node2 sed -i '/vmmigrate/d' "$keys"
cannot "key" "vmmigrate node add node2"
on node2 cp /root/keys "$keys"

# The host key is unknown, then another one.
on node1 sh -c "rm -f $known /etc/ssh/ssh_known_hosts"
cannot "host key" "vmmigrate node add node2"
on node1 sh -c 'ssh-keygen -q -t ed25519 -N "" -f /root/other; for name in node2 10.77.0.2; do
    echo "$name $(cut -d" " -f1,2 /root/other.pub)"; done >/etc/vmmigrate/known_hosts'
cannot "host key" "known_hosts"
on node1 sh -c "cp /root/known $known; cp /root/ssh_known_hosts /etc/ssh/ssh_known_hosts"

# Nothing listens on the port; the name cannot be resolved; nothing answers.
on node1 sed -i '/^\[node node2\]/a port = 2222' /etc/vmmigrate/vmmigrate.conf
cannot "nothing listens on 10.77.0.2 port 2222" "set port in [node node2]"
on node1 cp /root/conf /etc/vmmigrate/vmmigrate.conf
on node1 sed -i 's/10\.77\.0\.2/no-such-host.invalid/' /etc/vmmigrate/vmmigrate.conf
cannot "no-such-host.invalid" "vmmigrate.conf"
on node1 cp /root/conf /etc/vmmigrate/vmmigrate.conf
lab link node2 drop
cannot "node2" "10.77.0.2"
lab link node2 up

# A configuration that cannot be read names the file, the line, and what is wrong.
on node1 sh -c 'printf "[migration]\nbwlimit = much\n" >>/etc/vmmigrate/vmmigrate.conf'
migrate 2 node1 100 node2 --restart
says "/etc/vmmigrate/vmmigrate.conf:"
says "bwlimit"
on node1 sh -c 'cp /root/conf /etc/vmmigrate/vmmigrate.conf; printf "[nod node3]\naddress = 1.2.3.4\n" >>/etc/vmmigrate/vmmigrate.conf'
migrate 2 node1 100 node2 --restart
says 'Did you mean "node"?'
on node1 cp /root/conf /etc/vmmigrate/vmmigrate.conf

as_it_was node1 100 disable
second_try node1 100 --restart
