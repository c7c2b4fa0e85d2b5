# shellcheck shell=bash
# Joins the two nodes, with the command that an administrator would type on each of them.

# lab join
verb_join() {
    local node other
    [ $# -eq 0 ] || die "usage: lab join"
    for node in "${NODES[@]}"; do
        for other in "${NODES[@]}"; do
            [ "$node" != "$other" ] || continue
            note "$node: vmmigrate node add $other $(address_of "$other")"
            node_exec "$node" vmmigrate node add "$other" "$(address_of "$other")" </dev/null || die "$node cannot add $other"
        done
    done
}

# lab corosync: both nodes become a corosync cluster of two votes, now and after every boot; returns when it is quorate.
verb_corosync() {
    local node
    [ $# -eq 0 ] || die "usage: lab corosync"
    for node in "${NODES[@]}"; do
        corosync_configuration | node_exec "$node" tee /etc/corosync/corosync.conf >/dev/null
        node_exec "$node" touch /etc/vmmigrate-lab.corosync
        node_exec "$node" pidof corosync >/dev/null || node_exec "$node" corosync
    done
    for node in "${NODES[@]}"; do
        wait_for 60 corosync_quorate "$node" || die "$node is not quorate"
    done
}

corosync_quorate() {
    node_exec "$1" corosync-quorumtool -s 2>/dev/null | grep '^Quorate: *Yes' >/dev/null
}

corosync_configuration() {
    local node number=0
    printf 'totem {\n\tversion: 2\n\tcluster_name: lab\n\ttransport: udpu\n\tsecauth: off\n}\n'
    printf 'nodelist {\n'
    for node in "${NODES[@]}"; do
        number=$((number + 1))
        printf '\tnode {\n\t\tring0_addr: %s\n\t\tnodeid: %d\n\t\tname: %s\n\t}\n' \
            "$(address_of "$node")" "$number" "$node"
    done
    printf '}\nquorum {\n\tprovider: corosync_votequorum\n}\nlogging {\n\tto_stderr: no\n\tto_logfile: yes\n'
    printf '\tlogfile: /var/log/corosync/corosync.log\n}\n'
}
