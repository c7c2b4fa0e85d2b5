# shellcheck shell=bash
# Nodes whose PID 1 is Debian's systemd (lab up --systemd): journald, logind, D-Bus, polkit, libvirtd.service, ssh.service as on a
# real node. What systemd cannot do in a container of this kind, or what would only cost time, is masked.

# Units that need hardware or a network of their own, or that would change this machine.
systemd_masked=(
    systemd-udevd.service systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service
    systemd-timesyncd.service systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service
    systemd-resolved.service systemd-modules-load.service systemd-sysctl.service systemd-remount-fs.service
    systemd-firstboot.service systemd-update-utmp.service getty@.service console-getty.service getty.target
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer man-db.timer fstrim.timer e2scrub_all.timer e2scrub_reap.service
    logrotate.timer exim4-base.timer lxc-net.service lxc-monitord.service tgt.service glusterd.service corosync.service postgresql.service
    nfs-server.service rpcbind.socket rpcbind.service
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount dev-mqueue.mount
    proc-sys-fs-binfmt_misc.automount proc-sys-fs-binfmt_misc.mount
)

systemd_is_on() {
    node_exec "$1" test -d /run/systemd/system
}

# Before the first boot of a node, from configure_node; `write` and `erase` are those of configure.sh.
systemd_configure() {
    local unit
    : "${upper:?}"
    for unit in "${systemd_masked[@]}"; do
        mkdir -p "$upper/etc/systemd/system"
        ln -sfn /dev/null "$upper/etc/systemd/system/$unit"
    done
    # A package that is installed there may start its services, as on a real node.
    write /usr/sbin/policy-rc.d 755 <<<$'#!/bin/sh\nexit 0'
    # lxc.service would wait for lxcbr0 for half a minute.
    write /etc/default/lxc <<<'USE_LXC_BRIDGE="false"'
    # libvirtd stays, so that a test can say when it goes.
    write /etc/default/libvirtd <<<'LIBVIRTD_ARGS=""'
    write /etc/systemd/system/vmmigrate-lab-network.service <<'UNIT'
[Unit]
Description=Network of the lab's node
DefaultDependencies=no
Before=network-pre.target network.target network-online.target
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/vmmigrate-lab/boot network

[Install]
WantedBy=sysinit.target
UNIT
    # "Booted" is when everything that multi-user.target wants has been started.
    write /etc/systemd/system/vmmigrate-lab-booted.service <<'UNIT'
[Unit]
Description=Says that the lab's node has booted
After=multi-user.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/vmmigrate-lab/boot booted

[Install]
WantedBy=graphical.target
UNIT
    mkdir -p "$upper/etc/systemd/system/"{sysinit,graphical}.target.wants
    ln -sfn ../vmmigrate-lab-network.service "$upper/etc/systemd/system/sysinit.target.wants/"
    ln -sfn ../vmmigrate-lab-booted.service "$upper/etc/systemd/system/graphical.target.wants/"
    ln -sfn /lib/systemd/system/graphical.target "$upper/etc/systemd/system/default.target"
}

# A node's own console: systemd changes the owner and mode of the one that it has.
systemd_console() {
    mknod -m 600 "$1/console" c 1 3
}
