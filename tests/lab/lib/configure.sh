# shellcheck shell=bash
# A machine's own files, written once into the upper layer of its root, before it boots for the first time.

# Host and bootstrap keys are made outside of the machines, since every machine has to know all public keys.
make_keys() {
    local m
    mkdir -p "$RUN/keys"
    for m in "${MACHINES[@]}"; do
        ssh-keygen -q -t ed25519 -N '' -C "$m" -f "$RUN/keys/host-$m"
        ssh-keygen -q -t ed25519 -N '' -C "root@$m bootstrap" -f "$RUN/keys/root-$m"
    done
}

known_hosts() {
    local m
    for m in "${MACHINES[@]}"; do
        echo "$m,$(address_of "$m" 0),$(address_of "$m" 1) $(cut -d' ' -f1,2 "$RUN/keys/host-$m.pub")"
    done
}

# write FILE [MODE]: standard input becomes a file of the machine's.
write() {
    mkdir -p "${upper}${1%/*}"
    cat >"$upper$1"
    chmod "${2:-644}" "$upper$1"
}

# erase FILE: hides a file of this machine's root.
erase() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    mkdir -p "${upper}${1%/*}"
    mknod "$upper$1" c 0 0
}

configure_machine() {
    local machine=$1 upper=$FS/$1/upper
    local m key
    mkdir -p "$upper" "$FS/$machine/serial" "$DISK/$machine/root/.ssh"
    chmod 755 "$upper"
    chmod 700 "$DISK/$machine/root" "$DISK/$machine/root/.ssh"
    write /etc/vmmigrate-lab <<<"MACHINE=$machine ADDRESS0=$(address_of "$machine" 0) ADDRESS1=$(address_of "$machine" 1)"
    write /usr/lib/vmmigrate-lab/boot 755 <"$LAB_DIR/lib/boot.sh"
    write /etc/hostname <<<"$machine"
    write /etc/machine-id <<<"$(tr -d - </proc/sys/kernel/random/uuid)"
    {
        echo 127.0.0.1 localhost
        for m in "${MACHINES[@]}"; do
            echo "$(address_of "$m") $m"
        done
    } | write /etc/hosts
    write /usr/sbin/policy-rc.d 755 <<<$'#!/bin/sh\nexit 101'
    # Otherwise each installation rebuilds the index of manual pages, which takes longer than everything else.
    erase /var/lib/man-db/auto-update

    known_hosts | write /etc/ssh/ssh_known_hosts
    for key in ecdsa rsa; do
        erase /etc/ssh/ssh_host_${key}_key
        erase /etc/ssh/ssh_host_${key}_key.pub
    done
    write /etc/ssh/ssh_host_ed25519_key 600 <"$RUN/keys/host-$machine"
    write /etc/ssh/ssh_host_ed25519_key.pub <"$RUN/keys/host-$machine.pub"
    # The bootstrap keys may log in, so that "vmmigrate node add" can install its own key.
    for m in "${NODES[@]}"; do
        cat "$RUN/keys/root-$m.pub"
    done >"$DISK/$machine/root/.ssh/authorized_keys"
    install -m 600 "$RUN/keys/root-$machine" "$DISK/$machine/root/.ssh/id_ed25519"
    install -m 644 "$RUN/keys/root-$machine.pub" "$DISK/$machine/root/.ssh/id_ed25519.pub"

    case $machine in
        store) configure_store ;;
        *) configure_node ;;
    esac
}

configure_node() {
    {
        cat /etc/libvirt/libvirtd.conf
        echo "host_uuid = \"$(</proc/sys/kernel/random/uuid)\""
    } | write /etc/libvirt/libvirtd.conf
    {
        cat /etc/libvirt/qemu.conf
        echo "user = \"$QEMU_USER\""
        echo "group = \"$QEMU_USER\""
        echo 'security_driver = "none"'
        echo 'cgroup_controllers = []'
        echo 'namespaces = []'
    } | write /etc/libvirt/qemu.conf 600
    # The recorder follows a guest's serial log, so the log must not be rotated.
    {
        cat /etc/libvirt/virtlogd.conf
        echo 'max_size = 0'
    } | write /etc/libvirt/virtlogd.conf
    erase /etc/libvirt/qemu/networks/autostart/default.xml
    [ -z "$SYSTEMD" ] || systemd_configure
    image_install
}

configure_store() {
    write /usr/lib/vmmigrate-lab/lun 755 <"$LAB_DIR/lib/lun.sh"
    write /usr/lib/vmmigrate-lab/gluster 755 <"$LAB_DIR/lib/gluster.sh"
}

# Runs in the lab's mount namespace, where the upper layers are.
verb__configure() {
    local m QEMU_USER=$1 SYSTEMD=$2
    make_keys
    for m in "${MACHINES[@]}"; do
        configure_machine "$m"
    done
}
