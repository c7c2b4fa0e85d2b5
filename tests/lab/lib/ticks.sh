# shellcheck shell=bash
# What the guests print on their serial lines, and what that proves.
#
# libvirt writes a guest's serial line into a file on the node that runs it. A recorder outside of the nodes follows
# that file on every node, stamps each line with this machine's clock when it arrives, and appends it to one
# log for the guest, RUN/ticks/ID:   SECONDS NODE LINE
# The guest's own clock cannot show a downtime, since it stops with the guest. The recorder belongs to the lab, not to a
# node, so it goes on when a node loses power.

# verb__recorder NODE ID: runs in the lab's namespaces.
verb__recorder() {
    local line
    tail --lines=+1 --follow=name --retry --sleep-interval=0.05 "$FS/$1/serial/$2.log" 2>/dev/null |
        while IFS= read -r line; do
            printf '%s %s %s\n' "$EPOCHREALTIME" "$1" "${line%$'\r'}"
        done >>"$RUN/ticks/$2"
}

recorder_start() {
    local node
    mkdir -p "$RUN/ticks"
    [ -e "$RUN/ticks/$1" ] && return
    : >"$RUN/ticks/$1"
    for node in "${NODES[@]}"; do
        # tail notices changes at once only if the file exists when it starts.
        in_space touch "$FS/$node/serial/$1.log"
        space_spawn "$RUN/recorder.log" "$LAB_DIR/lab" _recorder "$node" "$1"
    done
}

serial_log() {
    check_id "$1"
    [ -e "$RUN/ticks/$1" ] || die "guest $1 was never made in lab '$LAB'"
    # The recorder may not have written its last line yet.
    sort -n -k 1,1 "$RUN/ticks/$1"
}

# lab serial ID [--follow]: the stamped log.
verb_serial() {
    [ $# -ge 1 ] || die "usage: lab serial ID [--follow]"
    if [ "${2:-}" = --follow ]; then
        serial_log "$1" >/dev/null
        exec tail -n +1 -f "$RUN/ticks/$1"
    fi
    serial_log "$1"
}

# lab ticks ID [--since SECONDS] [--max-gap MS]
verb_ticks() {
    [ $# -ge 1 ] || die "usage: lab ticks ID [--since SECONDS] [--max-gap MS]"
    local id=$1 since=0 max=0
    shift
    while [ $# -gt 0 ]; do
        case $1 in
            --since) since=$2 ;;
            --max-gap) max=$2 ;;
            *) die "ticks: unknown option '$1'" ;;
        esac
        shift 2
    done
    serial_log "$id" | awk -v since="$since" -v max_gap="$max" -f "$LAB_DIR/lib/ticks.awk"
}

# lab wait-ticks ID [COUNT [SECONDS]]: until the guest has ticked COUNT more times (default 5) in SECONDS (60).
verb_wait_ticks() {
    [ $# -ge 1 ] || die "usage: lab wait-ticks ID [COUNT [SECONDS]]"
    local id=$1 count=${2:-5} seconds=${3:-60} begun
    serial_log "$id" >/dev/null
    begun=$(grep -c ' tick ' "$RUN/ticks/$id") || true
    # shellcheck disable=SC2317
    ticked() {
        [ "$(grep -c ' tick ' "$RUN/ticks/$id")" -ge $((begun + count)) ]
    }
    if ! wait_for "$seconds" ticked; then
        tail -n 8 "$RUN/ticks/$id" >&2
        die "guest $id did not tick $count times in $seconds s; above is what it said last"
    fi
}
