# shellcheck shell=bash
# Guests: virtual machines that run our own small system, defined through libvirt as an administrator would.

GUEST_NS=https://vmmigrate.org/xmlns/1

guest_usage() {
    die "usage: lab guest NODE ID [--disk iscsi|dir|gluster|none] [--format raw|qcow2] [--size SIZE] [--data MIB]
    [--memory MIB] [--vcpus N] [--records RATE] [--dirty MIB_A_SECOND] [--dirty-set MIB] [--deaf]
    [--slow SECONDS] [--autostart]
    [--name NAME] [--title TITLE] [--machine TYPE] [--cache MODE] [--xml] [--start]"
}

guest_options() {
    disk=iscsi format=raw size=1G data=0 memory=256 vcpus=1 records=10 dirty=0 dirtyset=64 machine=pc-q35-7.2
    cache=none name=vm$id title="" deaf="" slow="" autostart="" start="" xml=""
    while [ $# -gt 0 ]; do
        case $1 in
            --deaf) deaf=lab.deaf ;;
            --autostart) autostart=1 ;;
            --start) start=1 ;;
            --xml) xml=1 ;;
            --disk | --format | --size | --data | --memory | --vcpus | --records | --dirty | --dirty-set | --name | \
                --title | --machine | --cache | --slow)
                [ $# -ge 2 ] || guest_usage
                local option=${1#--}
                printf -v "${option//-/}" %s "$2"
                shift
                ;;
            *) guest_usage ;;
        esac
        shift
    done
    case $disk in
        iscsi | none) [ "$format" = raw ] || die "a disk on $disk is raw" ;;
        dir | gluster) ;;
        *) guest_usage ;;
    esac
}

# The path of the guest's image on the node, if its kind of disk has one.
guest_image_path() {
    local ending=img
    [ "$format" = raw ] || ending=$format
    case $disk in
        dir) echo "/var/lib/libvirt/images/$name.$ending" ;;
        gluster) echo "/mnt/shared/$name.$ending" ;;
    esac
}

# Escapes what an administrator may put into a title or a path.
xml_text() {
    sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e "s/'/\&apos;/g" <<<"$1"
}

guest_disk_xml() {
    local source
    case $disk in
        none) return ;;
        iscsi)
            cat <<X
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw' cache='$cache'/>
      <source protocol='iscsi' name='iqn.2026-01.org.vmmigrate.lab:vm$id/1'>
        <host name='$(address_of store)' port='3260'/>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>
X
            ;;
        *)
            source=$(xml_text "$(guest_image_path)")
            cat <<X
    <disk type='file' device='disk'>
      <driver name='qemu' type='$format' cache='$cache' discard='unmap'/>
      <source file='$source'/>
      <target dev='vda' bus='virtio'/>
    </disk>
X
            ;;
    esac
}

guest_xml() {
    local mac
    printf -v mac '52:54:00:4c:%02x:%02x' $((id >> 8 & 255)) $((id & 255))
    cat <<X
<domain type='qemu'>
  <name>$(xml_text "$name")</name>
  ${title:+<title>$(xml_text "$title")</title>}
  <metadata>
    <vmmigrate:guest xmlns:vmmigrate='$GUEST_NS' id='$id'/>
  </metadata>
  <memory unit='MiB'>$memory</memory>
  <vcpu>$vcpus</vcpu>
  <os>
    <type arch='x86_64' machine='$machine'>hvm</type>
    <kernel>$IMAGE_DIR/vmmigrate-lab-vmlinuz</kernel>
    <initrd>$IMAGE_DIR/vmmigrate-lab-initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 mitigations=off init_on_alloc=0 lab.id=$id lab.records=$records lab.dirty=$dirty lab.dirtyset=$dirtyset $deaf${slow:+ lab.slow=$slow}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
$(guest_disk_xml)
    <interface type='bridge'>
      <mac address='$mac'/>
      <source bridge='vmbr0'/>
      <model type='virtio'/>
    </interface>
    <serial type='file'>
      <source path='/var/log/vmmigrate-lab/$id.log' append='on'/>
      <target port='0'/>
    </serial>
    <memballoon model='none'/>
  </devices>
</domain>
X
}

# guest_image_make FILE SIZE MIB FORMAT. The data begin at 32 MiB; prints their digest.
guest_image_make() {
    local file=$1 size=$2 data=$3 format=$4
    truncate --size "$size" "$file"
    [ "$data" = 0 ] || head -c "${data}M" /dev/urandom |
        tee >(dd of="$file" bs=1M seek=32 conv=notrunc iflag=fullblock status=none) | sha256sum | cut -d' ' -f1
    # Waits for the process that tee writes to.
    wait
    if [ "$format" != raw ]; then
        qemu-img convert -q -f raw -O "$format" "$file" "$file.new"
        mv "$file.new" "$file"
    fi
}

guest_disk_make() {
    case $disk in
        none) ;;
        iscsi)
            node_pid store >/dev/null || die "the store is off"
            # shellcheck disable=SC2153
            [ ! -e "$DISK/store/luns/$id" ] || die "the store has a disk of guest $id already"
            guest_image_make "$DISK/store/luns/$id" "$size" "$data" raw
            node_exec store /usr/lib/vmmigrate-lab/lun "/srv/luns/$id"
            ;;
        *)
            [ "$disk" = dir ] || gluster_up
            # shellcheck disable=SC2016
            node_exec "$node" bash -euc "$(declare -f guest_image_make)"'
                [ ! -e "$1" ] || { echo "lab: $1 is there already" >&2; exit 1; }
                guest_image_make "$@"' - "$(guest_image_path)" "$size" "$data" "$format"
            ;;
    esac
}

guest_note() {
    mkdir -p "$RUN/guests"
    echo "$2" >"$RUN/guests/$1"
}

# lab tell ID off|reboot: sent over the guest's network, on whichever node it runs.
verb_tell() {
    [ $# -eq 2 ] || die "usage: lab tell ID off|reboot"
    check_id "$1"
    # shellcheck disable=SC2016
    node_exec store timeout 10 bash -c 'echo "$2" >"/dev/tcp/10.77.0.$1/9"' - "$@" || die "guest $1 does not listen"
}

# lab guest NODE ID [options]: makes the disk, defines the guest on the node, and with --start starts it.
# --xml prints the definition only.
verb_guest() {
    [ $# -ge 2 ] || guest_usage
    local node=$1 id=$2 digest
    local disk format size data memory vcpus records dirty dirtyset machine cache name title deaf slow autostart start xml
    check_node "$node"
    check_id "$id"
    guest_options "${@:3}"
    if [ -n "$xml" ]; then
        guest_xml
        return
    fi
    guest_note "$id" "$name"
    digest=$(guest_disk_make) || exit
    [ -z "$digest" ] || echo "$data $digest" >"$RUN/guests/$id.data"
    guest_xml | node_exec "$node" virsh -q -c qemu:///system define --validate /dev/stdin >/dev/null
    [ -z "$autostart" ] || node_exec "$node" virsh -q -c qemu:///system autostart "$name" >/dev/null
    recorder_start "$id"
    [ -z "$start" ] || node_exec "$node" virsh -q -c qemu:///system start "$name" >/dev/null
}
