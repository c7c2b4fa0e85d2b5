# shellcheck shell=bash
# Machines of the lab: power on, power off, running commands.
#
# Its root is an overlay of this machine's root with the upper layer in the lab's tmpfs; it has all namespaces of
# its own, its own /dev (without kvm, which the lab must not use), /sys and cgroup root, and tini as PID 1.

# Directories of a machine that are on disk, since O_DIRECT fails on tmpfs: "name:path in the machine".
disk_dirs() {
    case $1 in
        store) echo root:/root luns:/srv/luns brick:/srv/brick ;;
        *) echo root:/root images:/var/lib/libvirt/images lxc:/var/lib/lxc ;;
    esac
}

# Runs as the first process of the machine's namespaces, up to the point where it becomes PID 1 of a booting system.
# /proc is still the outer one.
verb__node() {
    local machine=$1 root=$FS/$1/root pid entry
    read -r pid _ </proc/self/stat
    echo "$pid" >"$RUN/$machine.started"
    mount --make-rprivate /
    mkdir -p "$root" "$FS/$machine/work"
    # The mount of the same layers before the last power cut may take a moment to go away.
    local tries=100
    until mount -t overlay -o "lowerdir=/,upperdir=$FS/$machine/upper,workdir=$FS/$machine/work" "lab-$machine" "$root"; do
        ((tries-- > 0))
        sleep 0.05
    done
    mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    # Each power-on has a boot id of its own.
    cat /proc/sys/kernel/random/uuid >"$FS/$machine/boot_id"
    mount --bind "$FS/$machine/boot_id" "$root/proc/sys/kernel/random/boot_id"
    mount -o remount,bind,ro "$root/proc/sys/kernel/random/boot_id"
    mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755,nosuid,size=64m tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mkdir -p "$root/run/lock" "$root/var/log/vmmigrate-lab"
    chmod 1777 "$root/run/lock"
    node_devices "$root/dev"
    for entry in $(disk_dirs "$machine"); do
        mkdir -p "$DISK/$machine/${entry%%:*}" "$root/${entry#*:}"
        mount --bind "$DISK/$machine/${entry%%:*}" "$root/${entry#*:}"
    done
    if [ "$machine" != store ] && [ -e "$DISK/$machine/images.fs" ]; then
        mount -o loop "$DISK/$machine/images.fs" "$root/var/lib/libvirt/images"
        chmod 711 "$root/var/lib/libvirt/images"
    fi
    if [ "$machine" != store ] && [ -e "$DISK/common" ]; then
        mkdir -p "$root/mnt/common"
        mount --bind "$DISK/common" "$root/mnt/common"
    fi
    chmod 700 "$root/root"
    mount --bind "$FS/$machine/serial" "$root/var/log/vmmigrate-lab"
    # Hides the other machines' disks and the lab's own state.
    mount -t tmpfs -o ro,size=4k tmpfs "$root${DISK%/*}"
    hostname "$machine"
    until [ -e "$root/sys/class/net/eth0" ] && [ -e "$root/sys/class/net/eth1" ]; do
        sleep 0.01
    done
    cd "$root" || exit
    mkdir -p mnt/.outer
    pivot_root . mnt/.outer
    cd / || exit
    umount -l /mnt/.outer
    rmdir /mnt/.outer
    node_init
}

# Becomes PID 1 of the machine: systemd on the nodes of such a lab, tini and a script elsewhere.
node_init() {
    if [ -e /etc/systemd/system/vmmigrate-lab-network.service ]; then
        exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            container=lxc TERM=dumb LANG=C.UTF-8 /lib/systemd/systemd </dev/null >/var/log/boot.log 2>&1
    fi
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LANG=C.UTF-8 tini -s -- /usr/lib/vmmigrate-lab/boot </dev/null >/var/log/boot.log 2>&1
}

node_devices() {
    local dev=$1 name maj min
    mount -t tmpfs -o mode=755,nosuid,size=1m tmpfs "$dev"
    mkdir "$dev/pts" "$dev/shm" "$dev/mqueue" "$dev/net"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$dev/pts"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$dev/shm"
    mount -t mqueue mqueue "$dev/mqueue" || true
    for name in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
        IFS=: read -r name maj min <<<"$name"
        mknod -m 666 "$dev/$name" c "$maj" "$min"
    done
    # Devices whose numbers are not fixed, or that a kernel may lack, are copied from this machine.
    for name in fuse net/tun loop-control userfaultfd; do
        [ -e "/dev/$name" ] && cp -a "/dev/$name" "$dev/$name"
    done
    cp -a "$FS/loops/." "$dev/"
    systemd_console "$dev"
    ln -s pts/ptmx "$dev/ptmx"
    ln -s /proc/self/fd "$dev/fd"
    ln -s fd/0 "$dev/stdin"
    ln -s fd/1 "$dev/stdout"
    ln -s fd/2 "$dev/stderr"
}

node_pid() {
    noted_process "$RUN/$1"
}

# node_on MACHINE: switches it on; does not wait until it has booted.
node_on() {
    local machine=$1 pid
    node_pid "$machine" >/dev/null && return
    rm -f "$RUN/$machine.started"
    (
        cgroup_enter "$machine"
        pid=$(space_pid)
        exec setsid nsenter --target "$pid" --mount --net --pid -- \
            unshare --mount --net --pid --uts --ipc --cgroup --fork -- "$LAB_DIR/lab" _node "$machine"
    ) </dev/null >"$RUN/$machine.log" 2>&1 9>&- &
    wait_for 10 test -s "$RUN/$machine.started" || die "$machine cannot be switched on: $(<"$RUN/$machine.log")"
    pid=$(<"$RUN/$machine.started")
    note_process "$RUN/$machine" "$pid"
    net_plug "$machine" "$pid"
}

node_booted() {
    local pid
    pid=$(node_pid "$1") || die "$1 went off while it booted: $(cat "$RUN/$1.log")"
    [ -e "/proc/$pid/root/run/vmmigrate-lab.booted" ]
}

node_wait() {
    wait_for 60 node_booted "$1" || die "$1 does not come up: $(cat "/proc/$(node_pid "$1")/root/var/log/boot.log")"
}

# node_off MACHINE: power cut; /etc, /var and the disks stay.
node_off() {
    end_process "$RUN/$1"
    net_unplug "$1"
    wait_for 5 cgroup_remove "$1" || true
}

# node_exec MACHINE COMMAND...: runs it there; replaces the calling (sub)shell.
node_exec() {
    local machine=$1 pid
    shift
    pid=$(node_pid "$machine") || die "$machine is off"
    (
        cgroup_enter "$machine"
        exec nsenter --target "$pid" --mount --net --pid --uts --ipc --cgroup --root --wdns=/root -- env -i \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            HOME=/root USER=root LOGNAME=root SHELL=/bin/bash LANG=C.UTF-8 TERM="${TERM:-dumb}" "$@"
    ) 9>&-
}

# lab exec MACHINE COMMAND...: runs it as root, without a shell; the exit status is the command's.
verb_exec() {
    [ $# -ge 2 ] || die "usage: lab exec MACHINE COMMAND..."
    check_machine "$1"
    node_exec "$@"
}

verb_shell() {
    [ $# -eq 1 ] || die "usage: lab shell MACHINE"
    check_machine "$1"
    node_exec "$1" bash -i
}

# lab kill MACHINE: power cut.
verb_kill() {
    [ $# -eq 1 ] || die "usage: lab kill MACHINE"
    check_machine "$1"
    space_pid >/dev/null || die "the lab '$LAB' is not up"
    lock_lab
    node_off "$1"
}

# lab boot MACHINE: power on; returns when it has booted.
verb_boot() {
    [ $# -eq 1 ] || die "usage: lab boot MACHINE"
    check_machine "$1"
    space_pid >/dev/null || die "the lab '$LAB' is not up"
    lock_lab
    node_on "$1"
    node_wait "$1"
}

verb_reboot() {
    [ $# -eq 1 ] || die "usage: lab reboot MACHINE"
    verb_kill "$1"
    verb_boot "$1"
}
