# shellcheck shell=bash
# Containers: LXC's busybox template with our two programs in it. They tick and write records like the VMs: the ticks
# go to the container's console log, the records to /records in its root.

# Runs in the node.
container_make() {
    local id=$1 records=$2 data=$3 root=/var/lib/lxc/$1/rootfs config=/var/lib/lxc/$1/config
    lxc-create -t busybox -n "$id" >/dev/null
    sed -i -e '/^lxc\.net/d' -e '/apparmor/d' "$config"
    {
        echo 'lxc.net.0.type = veth'
        echo 'lxc.net.0.link = vmbr0'
        echo 'lxc.net.0.flags = up'
        printf 'lxc.net.0.hwaddr = 52:54:00:4d:%02x:%02x\n' $((id >> 8 & 255)) $((id & 255))
        [ "$id" -gt 250 ] || [ "$id" -lt 20 ] || echo "lxc.net.0.ipv4.address = 10.77.0.$id/24"
        echo "lxc.console.logfile = /var/log/vmmigrate-lab/$id.log"
    } >>"$config"
    cp /var/lib/libvirt/boot/vmmigrate-lab-tick "$root/bin/tick"
    cp /var/lib/libvirt/boot/vmmigrate-lab-record "$root/bin/record"
    {
        echo '::sysinit:/etc/init.d/rcS'
        echo 'console::once:/bin/tick container'
        [ "$records" = 0 ] || echo "console::once:/bin/record $id $records /records"
    } >"$root/etc/inittab"
    # There is nobody who answers.
    sed -i '/udhcpc/d' "$root/etc/init.d/rcS"
    truncate --size 17M "$root/records"
    [ "$data" = 0 ] || {
        mkdir "$root/data"
        head -c "${data}M" /dev/urandom | split -b 256K -a 5 - "$root/data/"
    }
}

# lab container NODE ID [--records RATE] [--data MIB] [--autostart] [--start]
verb_container() {
    local usage="usage: lab container NODE ID [--records RATE] [--data MIB] [--autostart] [--start]"
    [ $# -ge 2 ] || die "$usage"
    local node=$1 id=$2 records=10 data=0 start="" autostart=""
    check_node "$node"
    check_id "$id"
    shift 2
    while [ $# -gt 0 ]; do
        case $1 in
            --start) start=1 ;;
            --autostart) autostart=1 ;;
            --records) records=$2 && shift ;;
            --data) data=$2 && shift ;;
            *) die "$usage" ;;
        esac
        shift
    done
    # shellcheck disable=SC2016
    node_exec "$node" bash -euc "$(declare -f container_make)"'; container_make "$@"' - "$id" "$records" "$data"
    # shellcheck disable=SC2016
    [ -z "$autostart" ] || node_exec "$node" bash -c 'echo "lxc.start.auto = 1" >>"/var/lib/lxc/$1/config"' - "$id"
    guest_note "$id" "$id"
    touch "$RUN/guests/$id.container"
    recorder_start "$id"
    [ -z "$start" ] || node_exec "$node" lxc-start -n "$id"
}
