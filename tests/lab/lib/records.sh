# shellcheck shell=bash
# Compares the records on a guest's disk with those that the guest has reported as synced.

# The guest's volume from its definition on the node, as qemu-img opens it: "FORMAT SOURCE".
guest_volume() {
    local node=$1 id=$2 name type source
    if [ -e "$RUN/guests/$id.container" ]; then
        echo "raw /var/lib/lxc/$id/rootfs/records"
        return
    fi
    name=$(<"$RUN/guests/$id")
    read -r type _ _ source < <(node_exec "$node" virsh -q -c qemu:///system domblklist --details "$name" | grep ' vda ') ||
        die "$node has no guest $name with a disk"
    case $type in
        network) echo "raw iscsi://$(address_of store)/$source" ;;
        *)
            echo "$(node_exec "$node" qemu-img info -U --output json "$source" | jq -r .format) $source"
            ;;
    esac
}

# volume_read NODE FORMAT SOURCE FROM_MIB MIB FILE: copies a part of the volume into a file on the node.
volume_read() {
    node_exec "$1" qemu-img dd -U -f "$2" -O raw bs=1M skip="$4" count="$(($4 + $5))" if="$3" of="$6" 2>&1 ||
        die "$3 cannot be read on $1"
}

# lab records NODE ID [--file FORMAT PATH]
verb_records() {
    [ $# -ge 2 ] || die "usage: lab records NODE ID [--file FORMAT PATH]"
    local node=$1 id=$2 format source skip=1 status=0 said data=none
    check_node "$node"
    check_id "$id"
    if [ "${3:-}" = --file ]; then
        format=$4 source=$5
    else
        read -r format source < <(guest_volume "$node" "$id")
    fi
    # Reads the reports before the disk, so that records written meanwhile do no harm.
    said=$(serial_log "$id" | awk '$3 == "rec" && $4 > 0 { print $4 }')
    volume_read "$node" "$format" "$source" "$skip" 16 /root/.records
    "$(image_cache)/check-records" "$id" "$DISK/$node/root/.records" <<<"$said" || status=$?
    rm -f "$DISK/$node/root/.records"
    if [ -s "$RUN/guests/$id.data" ]; then
        local mib digest
        read -r mib digest <"$RUN/guests/$id.data"
        volume_read "$node" "$format" "$source" 32 "$mib" /root/.data
        data=ok
        [ "$(sha256sum <"$DISK/$node/root/.data")" = "$digest  -" ] || data=bad status=1
        rm -f "$DISK/$node/root/.data"
    fi
    echo " errors=$(serial_log "$id" | grep -c ' rec-error ') data=$data"
    return "$status"
}
