#!/bin/bash
# What a machine of the lab does when it is switched on; it is copied into the machine, where tini runs it.
# It does what systemd would do, in this order: network, sshd, virtlogd, what vmmigrate does at boot, libvirtd (which
# starts guests with autostart), containers.

set -u
shopt -s extglob
# shellcheck source=/dev/null
. /etc/vmmigrate-lab

network() {
    ip link set lo up
    ip link set eth1 up
    ip address add "$ADDRESS1/24" dev eth1
    # The usual bridge: it has the node's address, and guests are connected to it.
    ip link add vmbr0 address "$(cat /sys/class/net/eth0/address)" type bridge forward_delay 0 stp_state 0
    ip link set eth0 master vmbr0 up
    ip link set vmbr0 up
    ip address add "$ADDRESS0/24" dev vmbr0
}

# units BEFORE|AFTER: runs the oneshot units of the installed vmmigrate package that systemd would run before libvirtd
# (and so before any guest is started), or after it.
units() {
    local unit
    for unit in /lib/systemd/system/vmmigrate*.service; do
        [ -e "$unit" ] || continue
        case $unit in *@.service) continue ;; esac
        grep -q '^WantedBy=' "$unit" || continue
        if grep -q '^Before=.*libvirtd' "$unit"; then
            [ "$1" = BEFORE ] && echo "$unit"
        else
            [ "$1" = AFTER ] && echo "$unit"
        fi
    done
}

run_units() {
    local unit line
    for unit in $(units "$1"); do
        while read -r line; do
            # A shell does not know the prefixes of systemd (-, @, :, +, !).
            line=${line#ExecStart=}
            line=${line##*([-@:+!])}
            echo "$unit: $line"
            sh -c "exec $line" || echo "$unit: status $?"
        done < <(grep '^ExecStart=' "$unit")
    done
}

# start PIDFILE COMMAND...: a daemon that puts itself into the background.
daemon() {
    local file=$1
    shift
    "$@" || echo "$1: status $?"
    local tries=500
    until [ -s "$file" ] || ((tries-- == 0)); do
        sleep 0.02
    done
}

node() {
    mkdir -p /run/sshd
    daemon /run/sshd.pid /usr/sbin/sshd
    [ -e /etc/vmmigrate-lab.corosync ] && corosync
    daemon /run/virtlogd.pid /usr/sbin/virtlogd -d
    run_units BEFORE
    daemon /run/libvirtd.pid /usr/sbin/libvirtd -d
    # shellcheck source=/dev/null
    [ -s /etc/vmmigrate-lab.mounts ] && . /etc/vmmigrate-lab.mounts
    run_units AFTER &
    ls /var/lib/lxc/*/config >/dev/null 2>&1 && lxc-autostart &
}

store() {
    mkdir -p /run/tgtd
    tgtd
    local tries=500
    until tgtadm --op show --mode sys >/dev/null 2>&1 || ((tries-- == 0)); do
        sleep 0.02
    done
    local lun
    for lun in /srv/luns/*; do
        [ -e "$lun" ] && /usr/lib/vmmigrate-lab/lun "$lun"
    done
    [ -e /etc/vmmigrate-lab.gluster ] && /usr/lib/vmmigrate-lab/gluster
}

# Where systemd is PID 1 it runs everything but these.
case ${1:-} in
    network) network && exit ;;
    booted) exec touch /run/vmmigrate-lab.booted ;;
esac

date
network
case $MACHINE in
    store) store ;;
    *) node ;;
esac
touch /run/vmmigrate-lab.booted
date
exec sleep infinity
