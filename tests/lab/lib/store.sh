# shellcheck shell=bash
# The storage node: iSCSI is always there, GlusterFS on request (lab up --gluster, lab gluster, or a guest on it).

gluster_mounted() {
    node_exec "$1" mountpoint -q /mnt/shared
}

# A volume of one brick, mounted through FUSE on both nodes at /mnt/shared, now and after every boot.
gluster_up() {
    local node
    node_exec store touch /etc/vmmigrate-lab.gluster
    node_exec store /usr/lib/vmmigrate-lab/gluster >&2 || die "the store offers no GlusterFS volume"
    for node in "${NODES[@]}"; do
        node_pid "$node" >/dev/null || continue
        gluster_mounted "$node" && continue
        node_exec "$node" mkdir -p /mnt/shared
        node_exec "$node" bash -c 'echo "mount -t glusterfs store:/shared /mnt/shared" >/etc/vmmigrate-lab.mounts'
        node_exec "$node" mount -t glusterfs store:/shared /mnt/shared
        wait_for 20 gluster_mounted "$node" || die "$node does not mount the GlusterFS volume"
    done
}

verb_gluster() {
    [ $# -eq 0 ] || die "usage: lab gluster"
    gluster_up
}
