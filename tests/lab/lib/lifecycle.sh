# shellcheck shell=bash
# up, down, status.

# lab up [--systemd] [--qemu-user USER] [--images xfs|btrfs|ext4] [--images-size SIZE] [--gluster] [--common]
# Options about making the lab are ignored if it is up already.
verb_up() {
    local m QEMU_USER=root SYSTEMD="" images="" size=4G gluster="" common=""
    while [ $# -gt 0 ]; do
        case $1 in
            --qemu-user) QEMU_USER=${2:?} && shift ;;
            --images) images=${2:?} && shift ;;
            --images-size) size=${2:?} && shift ;;
            --gluster) gluster=1 ;;
            --common) common=1 ;;
            --systemd) SYSTEMD=1 ;;
            *) die "usage: lab up [--systemd] [--qemu-user USER] [--images xfs|btrfs|ext4] [--images-size SIZE] [--gluster] [--common]" ;;
        esac
        shift
    done
    id "$QEMU_USER" >/dev/null 2>&1 || die "no user '$QEMU_USER'; run 'lab setup lab'"
    image_build
    lock_lab
    if ! space_pid >/dev/null; then
        remains_remove
        space_up
        images_make "$images" "$size"
        [ -z "$common" ] || mkdir -p "$DISK/common"
        in_space "$LAB_DIR/lab" _configure "$QEMU_USER" "$SYSTEMD"
    fi
    for m in "${MACHINES[@]}"; do
        node_on "$m"
    done
    for m in "${MACHINES[@]}"; do
        node_wait "$m"
    done
    [ -z "$gluster" ] || gluster_up
}

# images_make TYPE SIZE: gives each node a filesystem of its own for /var/lib/libvirt/images, for tests of reflinks or of a
# full disk.
images_make() {
    local node file
    [ -n "$1" ] || return 0
    for node in "${NODES[@]}"; do
        file=$DISK/$node/images.fs
        mkdir -p "${file%/*}"
        truncate --size "$2" "$file"
        "mkfs.$1" -q "$file" >&2 || die "no filesystem '$1' of $2 can be made"
    done
}

# Removes what the lab has on this machine outside of its namespaces.
remains_remove() {
    # A test may have made files that even root cannot remove.
    rm -rf "$RUN" "$DISK" 2>/dev/null || {
        chattr -R -f -ia "$DISK" || true
        rm -rf "$RUN" "$DISK"
    }
    wait_for 5 cgroup_remove "" || die "its cgroups cannot be removed"
}

verb_down() {
    local m
    [ $# -eq 0 ] || die "usage: lab down"
    lock_lab
    if [ -e "$RUN" ] || [ -e "$DISK" ]; then
        loops_detach
        space_down
        for m in "${MACHINES[@]}"; do
            wait_for 10 gone "$RUN/$m" || die "$m does not end"
        done
        remains_remove
    fi
    rmdir "${DISK%/*}" 2>/dev/null || true
    rm -f "${RUN%/*}/.$LAB.lock"
    rmdir "${RUN%/*}" 2>/dev/null || true
}

# Loop devices belong to the whole machine, not to a namespace.
loops_detach() {
    local loop file
    while read -r loop file; do
        case $file in
            "$DISK"/*) losetup --detach "$loop" ;;
        esac
    done < <(losetup --list --noheadings --output NAME,BACK-FILE 2>/dev/null)
}

# lab status: a line for each machine: NAME on ADDRESS pid PID | NAME off; then the guests that each node has.
verb_status() {
    local m pid
    space_pid >/dev/null || {
        echo "lab $LAB down"
        return 1
    }
    echo "lab $LAB up"
    for m in "${MACHINES[@]}"; do
        if pid=$(node_pid "$m"); then
            echo "$m on $(address_of "$m") pid $pid"
        else
            echo "$m off"
        fi
    done
    for m in "${NODES[@]}"; do
        node_pid "$m" >/dev/null || continue
        node_exec "$m" virsh -q -c qemu:///system list --all | awk -v n="$m" '{ $1 = ""; print n " vm" $0 }'
        node_exec "$m" lxc-ls -f -F NAME,STATE | awk -v n="$m" 'NR > 1 && NF { print n " ct " $1 " " tolower($2) }'
    done
}
