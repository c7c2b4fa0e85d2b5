# shellcheck shell=bash
# Part of machines.sh: running containers, whole: ours against rsync in two passes with the stop between. As for the VMs each way
# has a container of its own, and "s" is from seen off to the start's return.
: "${cipher:?}" "${files:?}" "${runs:?}"

# carry_running FROM TO: ours.
carry_running() {
    local began=$EPOCHREALTIME
    on "$1" vmmigrate 202 "$2" --restart --yes >/dev/null
    note "$place" container-whole ours s "$(since "$began")"
    note "$place" container-restart ours s "$(seconds "$(newest "$1" downtime_ms)")"
    note "$place" container-restart ours ticks "$(seconds "$(ticks 202 "$began" restart_ms)")"
}

# carry_running_by_rsync FROM TO: what an administrator would type.
carry_running_by_rsync() {
    local began=$EPOCHREALTIME off
    # shellcheck disable=SC2016
    off=$(on "$1" bash -euc '
        to=$1 dir=/var/lib/lxc/203/ ssh="ssh -c $2 -o BatchMode=yes"
        # 24: a file went while it was read.
        pass() { rsync -aHAXS --numeric-ids --delete -e "$ssh" "$dir" "$to:$dir" || [ $? = 24 ]; }
        pass
        lxc-stop -n 203 --nokill
        lxc-wait -n 203 -s STOPPED
        began=$EPOCHREALTIME
        pass
        $ssh "$to" lxc-start -n 203
        echo "$began $EPOCHREALTIME"
        rm -r "$dir"' - "$2" "$cipher")
    note "$place" container-whole rsync s "$(since "$began")"
    # shellcheck disable=SC2086
    note "$place" container-restart rsync s "$(since $off)"
    note "$place" container-restart rsync ticks "$(seconds "$(ticks 203 "$began" restart_ms)")"
}

running_containers() {
    local run from=node1 id place="$files MiB, $((files * 64)) files"
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
        lab records "$from" "$id" >&2
        on "$from" lxc-stop -k -n "$id"
        on "$from" rm -r "/var/lib/lxc/$id"
    done
    progress "running containers"
}
