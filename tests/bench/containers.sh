# shellcheck shell=bash
# Part of machines.sh: containers. Their roots are on XFS, because ext4 is slow to reuse inodes that were freed in the last minutes,
# as the runs before have done.
: "${cipher:?}" "${files:?}" "${runs:?}" "${images:?}"

# a_container ID: makes a stopped container on node1 with many small files, and syncs them.
a_container() {
    lab container node1 "$1"
    # shellcheck disable=SC2016
    on node1 sh -ec 'root=$2/$1
        cd "/var/lib/lxc/$1"
        mv rootfs "$root"
        sed -i "s|^lxc.rootfs.path = .*|lxc.rootfs.path = dir:$root|" config
        mkdir "$root/many"
        cd "$root/many"
        head -c "$3" /dev/urandom | split -a 4 -b 16k
        sync -f .' - "$1" "$images" "${files}M"
}

# ------------------------------------------------------------------ stopped

# carry CASE FROM TO: our migration. The way back finds the seed of the way there, and counts only if it did.
carry() {
    local began=$EPOCHREALTIME took
    on "$2" vmmigrate 200 "$3" --yes --keep-seed >/dev/null
    took=$(since "$began")
    [ "$1" = container-first ] || [ "$(newest "$2" wire_bytes)" -lt $((files << 17)) ] || return 0
    note "$where" "$1" ours s "$took"
}

# carry_by_rsync CASE METHOD [OPTION...]
carry_by_rsync() {
    local began=$EPOCHREALTIME
    on node1 rsync -aHAXS --numeric-ids --delete "${@:3}" -e "ssh -c $cipher -o BatchMode=yes" "$images/201/" "node2:$images/201/"
    note "$where" "$1" "$2" s "$(since "$began")"
}

# Ours syncs before the source gives anything up; plain rsync leaves data in memory.
first_by_rsync() {
    local began=$EPOCHREALTIME
    carry_by_rsync container-first rsync
    on node2 sync -f "$images"
    note "$where" container-first rsync-synced s "$(since "$began")"
}

# Ours reads both ends, as rsync does with --checksum.
containers() {
    local run where="$files MiB, $((files * 64)) files"
    a_container 200
    a_container 201
    for ((run = 1; run <= runs; run++)); do
        carry container-first node1 node2
        first_by_rsync
        carry container-unchanged node2 node1
        carry_by_rsync container-unchanged rsync
        carry_by_rsync container-unchanged rsync-checksum --checksum
        on node2 sh -c "rm -rf $images/201 $images/.vmmigrate-seed-*; sync -f $images"
    done
    progress "containers"
}

# ------------------------------------------------------------------ running: ours against rsync in two passes with the stop between
#
# As for the VMs, each direction has a container of its own, and "s" is from when it was seen off until the start has returned.

# carry_running FROM TO: our migration.
carry_running() {
    local began=$EPOCHREALTIME
    on "$1" vmmigrate 202 "$2" --restart --yes >/dev/null
    note "$where" container-whole ours s "$(since "$began")"
    note "$where" container-restart ours s "$(seconds "$(newest "$1" downtime_ms)")"
    note "$where" container-restart ours ticks "$(seconds "$(ticks 202 "$began" restart_ms)")"
}

# carry_running_by_rsync FROM TO: what an administrator would do by hand.
carry_running_by_rsync() {
    local began=$EPOCHREALTIME off
    # shellcheck disable=SC2016
    off=$(on "$1" bash -euc '
        to=$1 ssh="ssh -c $2 -o BatchMode=yes" all="/var/lib/lxc/203 $3/203"
        # Without --modify-window=-1 rsync compares whole seconds, and leaves out what was written just after the first pass.
        # 24: a file was removed while it was read.
        pass() { rsync -aHAXSR --modify-window=-1 --numeric-ids --delete -e "$ssh" $all "$to:/" || [ $? = 24 ]; }
        pass
        lxc-stop -n 203 --nokill
        lxc-wait -n 203 -s STOPPED
        began=$EPOCHREALTIME
        pass
        $ssh "$to" lxc-start -n 203
        echo "$began $EPOCHREALTIME"
        rm -r $all' - "$2" "$cipher" "$images")
    note "$where" container-whole rsync s "$(since "$began")"
    # shellcheck disable=SC2086
    note "$where" container-restart rsync s "$(since $off)"
    note "$where" container-restart rsync ticks "$(seconds "$(ticks 203 "$began" restart_ms)")"
}

running_containers() {
    local run from=node1 id where="$files MiB, $((files * 64)) files"
    for id in 202 203; do
        a_container "$id"
        on node1 lxc-start -n "$id"
        lab wait-ticks "$id" 10
    done
    for ((run = 1; run <= runs; run++)); do
        carry_running "$from" "$(other "$from")"
        carry_running_by_rsync "$from" "$(other "$from")"
        from=$(other "$from")
    done
    for id in 202 203; do
        lab records "$from" "$id" --file raw "$images/$id/records" >&2
        on "$from" lxc-stop -k -n "$id"
        on "$from" rm -r "/var/lib/lxc/$id" "$images/$id"
    done
    progress "running containers"
}
