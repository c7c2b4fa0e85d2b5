# shellcheck shell=bash
# Containers: LXC's busybox template with our two programs in it. They tick and write records like the VMs: the ticks
# go to the container's console log, the records to /records in its root.

# What copies of trees get wrong first. Runs in the node.
container_odd() {
    local at=$1/odd
    mkdir "$at"
    echo one >"$at/first name of a hard link"
    ln "$at/first name of a hard link" "$at/second name"
    ln -s 'nowhere at all' "$at/dangling"
    echo two >"$at/ühlt-ñ-日本"
    echo three >"$at/"$'new\nline'
    echo four >"$at/"$'not\xffutf8'
    echo five >"$at/ -n --delete *?'\"\\"
    mknod "$at/null" c 1 3
    mknod "$at/block" b 7 200
    mkfifo "$at/fifo"
    echo six >"$at/big-uid"
    chown 1234567:7654321 "$at/big-uid"
    echo seven >"$at/setuid"
    chmod 6755 "$at/setuid"
    truncate --size 64M "$at/sparse"
    echo middle | dd of="$at/sparse" bs=1M seek=32 conv=notrunc status=none
    echo eight >"$at/acl"
    setfacl -m u:4321:rw,g:8765:r "$at/acl"
    mkdir "$at/acl-default"
    setfacl -d -m u:4321:rwx "$at/acl-default"
    echo nine >"$at/xattr"
    setfattr -n user.lab -v 'a value' "$at/xattr"
    setfattr -n trusted.lab -v trusted "$at/xattr"
    cp /bin/true "$at/capable"
    setcap cap_net_raw+ep "$at/capable"
    touch -d '1971-02-03 04:05:06.123456789' "$at/old"
    mkdir "$at/empty" "$at/closed"
    chmod 0 "$at/closed"
}

# container_odd_list ROOT: all of that as text, to be compared after a migration. Runs in the node.
container_odd_list() {
    cd "$1/odd" || return
    find . -mindepth 1 ! -type d -printf '%P %y %m %U:%G %n %s %T@ %l\n' | LC_ALL=C sort
    find . -type d -printf '%P %y %m %U:%G\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    echo "sparse $(($(stat -c %b sparse) < 1024))"
    find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfacl -n
    find . ! -type l -print0 | LC_ALL=C sort -z | xargs -0 getfattr -d -m -
}

# The ids of its root begin at 100000 on the node. The kernel lets it mount /proc only if there is one without anything mounted in it.
container_unprivileged() {
    find "$1/rootfs" -depth -exec chown -h 100000:100000 {} +
    chmod 755 "$1"
    printf 'lxc.idmap = %s 0 100000 65536\n' u g >>"$1/config"
    clean_proc
}
clean_proc() {
    mkdir -p /run/clean-proc
    mountpoint -q /run/clean-proc || mount -t proc -o nosuid,nodev,noexec proc /run/clean-proc
}

# Runs in the node.
container_make() {
    local id=$1 records=$2 data=$3 deaf=$4 odd=$5 unprivileged=$6 root=/var/lib/lxc/$1/rootfs config=/var/lib/lxc/$1/config
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
    # No DHCP server answers.
    sed -i '/udhcpc/d' "$root/etc/init.d/rcS"
    truncate --size 17M "$root/records"
    # busybox' init ignores SIGCONT.
    [ -z "$deaf" ] || sed -i 's/^lxc.signal.halt.*/lxc.signal.halt = SIGCONT/' "$config"
    [ -z "$odd" ] || container_odd "$root"
    [ "$data" = 0 ] || {
        mkdir "$root/data"
        head -c "${data}M" /dev/urandom | split -b 256K -a 5 - "$root/data/"
    }
    [ -z "$unprivileged" ] || container_unprivileged "${config%/*}"
}

# lab container NODE ID [--records RATE] [--data MIB] [--odd] [--deaf] [--unprivileged]
#     [--debian] [--autostart] [--start]
verb_container() {
    local usage="usage: lab container NODE ID [--records RATE] [--data MIB] [--odd] [--deaf] [--unprivileged] [--debian] [--autostart] [--start]"
    [ $# -ge 2 ] || die "$usage"
    local node=$1 id=$2 records=10 data=0 deaf="" odd="" unprivileged="" debian="" start="" autostart="" peer
    check_node "$node"
    check_id "$id"
    shift 2
    while [ $# -gt 0 ]; do
        case $1 in
            --start) start=1 ;;
            --deaf) deaf=1 ;;
            --odd) odd=1 ;;
            --unprivileged) unprivileged=1 ;;
            --debian) debian=1 ;;
            --autostart) autostart=1 ;;
            --records) records=$2 && shift ;;
            --data) data=$2 && shift ;;
            *) die "$usage" ;;
        esac
        shift
    done
    # shellcheck disable=SC2016
    node_exec "$node" bash -euc "$(declare -f container_make container_odd container_unprivileged clean_proc)"'; container_make "$@"' - \
        "$id" "$records" "$data" "$deaf" "$odd" "$unprivileged"
    for peer in ${unprivileged:+node1 node2}; do
        node_exec "$peer" bash -euc "$(declare -f clean_proc); clean_proc"
    done
    [ -z "$debian" ] || {
        debian_build
        node_exec "$node" bash -euc "$(declare -f container_debian debian_service)"'; container_debian "$@"' - \
            "$id" "$records" <"$(debian_cache)"
    }
    # shellcheck disable=SC2016
    [ -z "$autostart" ] || node_exec "$node" bash -c 'echo "lxc.start.auto = 1" >>"/var/lib/lxc/$1/config"' - "$id"
    guest_note "$id" "$id"
    touch "$RUN/guests/$id.container"
    recorder_start "$id"
    [ -z "$start" ] || node_exec "$node" lxc-start -n "$id"
}

# lab odd NODE ID: the odd tree of a container made with --odd, as text; it must be the same before and after a migration.
verb_odd() {
    [ $# -eq 2 ] || die "usage: lab odd NODE ID"
    check_node "$1"
    check_id "$2"
    # shellcheck disable=SC2016
    node_exec "$1" bash -uc "$(declare -f container_odd_list)"'; container_odd_list "$1"' - "/var/lib/lxc/$2/rootfs"
}
