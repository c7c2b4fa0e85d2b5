#!/bin/bash
# Whole migrations between two nodes of the lab, ours against what an administrator would script: local disks (rsync in two passes;
# dd), memory of worker and agent meanwhile, live migration (virsh), containers (rsync). Each method has a guest of its own, of the
# same shape, that moves there and back.
#   machines.sh BUILD NOTES		BENCH_MACHINES="local live guarded containers" says which of them

set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
build=$1 notes=$2
export LAB=${LAB:-bench}
cipher=aes128-gcm@openssh.com
images=/var/lib/libvirt/images

case ${BENCH:-} in
    tiny) sizes=(1) share=16 runs=1 live_runs=1 files=8 what='local live guarded containers' ;;
    quick) sizes=(1) share=4 runs=1 live_runs=2 files=64 what='local live containers' ;;
    *) sizes=(1 4 16) share=4 runs=3 live_runs=5 files=400 what='local live guarded containers' ;;
esac

lab() { "$here/../lab/lab" "$@"; }
on() { lab exec "$@"; }
other() { [ "$1" = node1 ] && echo node2 || echo node1; }
note() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$notes"; }
since() { awk -v a="$1" -v b="${2:-$EPOCHREALTIME}" 'BEGIN { printf "%.4f", b - a }'; }
seconds() { awk -v ms="$1" 'BEGIN { printf "%.4f", ms / 1000 }'; }
field() { sed -n "s/.*\b$1=\([^ ]*\).*/\1/p"; }
progress() { echo "machines: $*" >&2; }

# newest NODE FIELD: a number of the statistics of the node's newest task.
newest() {
    # shellcheck disable=SC2016
    on "$1" sh -c 'cat "$(ls -td /var/lib/vmmigrate/tasks/*/ | sed -n 1p)result"' | sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p"
}

# vm ID [lab guest options]: makes a guest on node1 and waits until it ticks.
vm() {
    lab guest node1 "$@" --start
    lab wait-ticks "$1" 10
}

# ticks ID BEGAN FIELD: waits until the guest ticks again; a field of what its ticks since BEGAN show.
ticks() {
    lab wait-ticks "$1" 5
    lab ticks "$1" --since "$2" | field "$3"
}

# ------------------------------------------------------------------ peak memory of our processes

# watch NODE PATTERN: records it in the node's /run until unwatch.
watch() {
    on "$1" rm -f /run/bench.stop /run/bench.peak
    # shellcheck disable=SC2016
    on "$1" sh -c 'most=0
        until [ -e /run/bench.stop ]; do
            for pid in $(pgrep -f "$1"); do
                now=$(sed -n "s/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p" "/proc/$pid/status" 2>/dev/null)
                [ "${now:-0}" -le "$most" ] || most=$now
            done
            for part in 1 2 3 4 5; do [ -e /run/bench.stop ] || sleep 0.2; done
        done
        echo "$most" >/run/bench.peak' - "$2" &
}

# unwatch NODE WHERE CASE
unwatch() {
    on "$1" touch /run/bench.stop
    local tries=50
    until on "$1" test -s /run/bench.peak; do
        ((tries-- > 0))
        sleep 0.1
    done
    note "$2" "$3" ours peak "$(on "$1" cat /run/bench.peak | awk '{ printf "%.1f", $1 / 1024 }')"
}

# ------------------------------------------------------------------ local disks

# ours CASE METHOD WHERE ID FROM [vmmigrate options]: "last" is the last round alone, until the volume is verified and has its final
# path; "s" is the whole time from the end of the guest to its start.
ours() {
    local name=$1 method=$2 where=$3 id=$4 from=$5 began=$EPOCHREALTIME to
    to=$(other "$from")
    watch "$from" 'vmmigrate-engine worker'
    watch "$to" 'vmmigrate-agent'
    on "$from" vmmigrate "$id" "$to" --restart --yes "${@:6}" >/dev/null
    unwatch "$from" "$where" memory-worker
    unwatch "$to" "$where" memory-agent
    note "$where" "$name" "$method" last "$(seconds "$(newest "$from" last_round_ms)")"
    note "$where" "$name" "$method" s "$(seconds "$(newest "$from" downtime_ms)")"
    note "$where" "$name" "$method" ticks "$(seconds "$(ticks "$id" "$began" restart_ms)")"
}

# theirs METHOD CASE WHERE ID FROM: the same by hand. It prints when the guest was seen off, when the last copy was done, and when its
# start on the other node had returned.
theirs() {
    local method=$1 name=$2 where=$3 id=$4 from=$5 began=$EPOCHREALTIME to said off copied started
    to=$(other "$from")
    # shellcheck disable=SC2016
    said=$(on "$from" bash -euc '
        method=$1 vm=$2 to=$3 image=$4 ssh="ssh -c $5 -o BatchMode=yes"
        pass() { rsync -S --inplace -I -e "$ssh" "$image" "$to:$image"; }
        [ "$method" != rsync ] || pass
        virsh -q dumpxml --inactive --security-info "$vm" | $ssh "$to" virsh -q define /dev/stdin >/dev/null
        virsh -q shutdown "$vm" >/dev/null
        # A guest that was still booting may have missed the power button.
        tries=0
        until [ "$(virsh -q domstate "$vm")" = "shut off" ]; do
            ((++tries % 200)) || virsh -q shutdown "$vm" >/dev/null || true
            sleep 0.02
        done
        began=$EPOCHREALTIME
        if [ "$method" = rsync ]; then
            pass
        else
            dd if="$image" bs=64k status=none | $ssh "$to" "dd of=$image bs=64k conv=sparse status=none"
        fi
        copied=$EPOCHREALTIME
        $ssh "$to" virsh -q start "$vm" >/dev/null
        echo "$began $copied $EPOCHREALTIME"
        virsh -q undefine "$vm"
        rm "$image"' - "$method" "vm$id" "$to" "$images/vm$id.img" "$cipher")
    read -r off copied started <<<"$said"
    note "$where" "$name" "$method" last "$(since "$off" "$copied")"
    note "$where" "$name" "$method" s "$(since "$off" "$started")"
    note "$where" "$name" "$method" ticks "$(seconds "$(ticks "$id" "$began" restart_ms)")"
}

# one_round WHERE FIRST-ID METHODS [PEER...]: each method moves its guest, which is on the node at[ID].
declare -A at
one_round() {
    local where=$1 id=$2 method data peer
    for method in $3; do
        data=ssh
        [ "$method" = ours ] || data=tls
        ours restart-known "$method" "$where" "$id" "${at[$id]}" --track=reflink --data=$data
        at[$id]=$(other "${at[$id]}")
        ours restart "$method" "$where" "$id" "${at[$id]}" --track=none --data=$data
        at[$id]=$(other "${at[$id]}")
    done
    for peer in "${@:4}"; do
        ((++id))
        theirs "$peer" restart "$where" "$id" "${at[$id]}"
        at[$id]=$(other "${at[$id]}")
    done
}

# All guests run before the first one is measured, and while another one is. To save minutes, the first of several rounds is without
# TLS; dd, and rsync for larger disks, run once; the largest disk has half the data for its size, and no round over TLS.
local_disks() {
    local size run rounds data where id methods peers guests first=100
    for size in "${sizes[@]}"; do
        where="$size GiB"
        peers=(rsync) guests=("$first" $((first + 1))) rounds=$runs data=$((size * 1024 / share))
        [ "$size" = 1 ] || rounds=2
        [ "$size" != 16 ] || data=$((data / 2))
        [ "$size" != 1 ] || peers+=(dd) guests+=($((first + 2)))
        for id in "${guests[@]}"; do
            vm "$id" --disk dir --size "${size}G" --data "$data" --records 20
            at[$id]=node1
        done
        progress "$where: made"
        for ((run = 1; run <= rounds; run++)); do
            methods=ours
            { [ "$run" = 1 ] && [ "$rounds" -gt 1 ]; } || [ "$size" = 16 ] || methods+=' ours-tls'
            one_round "$where" "$first" "$methods" "${peers[@]}"
            [ "$size" = 1 ] && peers=(rsync) || peers=()
            progress "$where: run $run"
        done
        for id in "${guests[@]}"; do
            on "${at[$id]}" virsh -q destroy "vm$id"
            lab records "${at[$id]}" "$id" >&2
            on "${at[$id]}" virsh -q undefine "vm$id"
            on "${at[$id]}" rm "$images/vm$id.img"
        done
        # rsync is measured once, and is the peer of both.
        awk -F '\t' -v OFS='\t' -v where="$where" '$1 == where && $2 == "restart" && $3 == "rsync" { $2 = "restart-known"; print }' \
            "$notes" >"$notes.new"
        cat "$notes.new" >>"$notes"
        rm "$notes.new"
        # The lab keeps what a guest has printed, so another guest needs another id.
        ((first += 3))
    done
}

# ------------------------------------------------------------------ live

# live CASE METHOD ID FROM COMMAND...
live() {
    local name=$1 method=$2 id=$3 from=$4 to began
    to=$(other "$from")
    began=$EPOCHREALTIME
    on "$from" "${@:5}" >/dev/null
    note "$where" "$name" "$method" s "$(since "$began")"
    note "$where" "$name" "$method" gap "$(ticks "$id" "$began" gap_ms)"
    note "$where" "$name" "$method" job "$(seconds "$(on "$to" virsh domjobinfo "vm$id" --completed --keep-completed |
        awk '$1 == "Time" && $2 == "elapsed:" { print $3 }')")"
}

# virsh_live CASE ID FROM OPTION...: with --suspend the guest is resumed over a connection that was opened before.
virsh_live() {
    local name=$1 id=$2 from=$3 to method=virsh
    to=$(other "$from")
    [[ " ${*:4} " != *" --suspend "* ]] || method=virsh-suspend
    # shellcheck disable=SC2016
    live "$name" $method "$id" "$from" bash -euc '
        vm=$1 to=$2
        shift 2
        coproc far { case " $* " in *" --suspend "*) exec virsh -q -c "qemu+ssh://$to/system" >/dev/null ;; esac; }
        virsh -q migrate --live --p2p --persistent --undefinesource "$@" "$vm" "qemu+ssh://$to/system"
        case " $* " in
            *" --suspend "*)
                echo "resume $vm" >&"${far[1]}"
                exec {far[1]}>&-
                wait
                ;;
        esac' - "vm$id" "$to" "${@:4}"
}

# live_on DISK NAME RUNS ID...: there and back, with a guest for each method: ours, virsh, and if a third id is given, virsh --suspend.
live_on() {
    local disk=$1 name=$2 rounds=$3 guests=("${@:4}") run from=node1 to kind id options
    where="$disk, 256 MiB"
    for id in "${guests[@]}"; do vm "$id" --disk "$disk"; done
    for kind in insecure secure; do
        for ((run = 1; run <= rounds; run++)); do
            to=$(other "$from")
            options=(--tunnelled)
            [ $kind = secure ] || options=(--migrateuri "tcp://$to")
            live "$name-$kind" ours "${guests[0]}" "$from" vmmigrate "${guests[0]}" "$to" --online --migration_type $kind
            virsh_live "$name-$kind" "${guests[1]}" "$from" "${options[@]}"
            [ ${#guests[@]} -lt 3 ] || virsh_live "$name-$kind" "${guests[2]}" "$from" --suspend "${options[@]}"
            from=$to
        done
        progress "live, $disk, $kind"
    done
    for id in "${guests[@]}"; do
        on "$from" virsh -q destroy "vm$id"
        on "$from" virsh -q undefine "vm$id"
    done
}

trap 'trap "" INT TERM; lab down' EXIT
trap 'exit 130' INT TERM
lab down
lab up --images xfs --images-size $((${sizes[-1]} * 2 + 4))G
lab install "$build"/vmmigrate_*.deb
lab join >/dev/null
for one in ${BENCH_MACHINES:-$what}; do
    case $one in
        local) local_disks ;;
        live) live_on iscsi live "$live_runs" 110 111 112 ;;
        guarded) live_on gluster guarded "$live_runs" 113 114 ;; # QEMU's image locks reach over nodes here
        containers) . "$here/containers.sh" && containers && running_containers ;;
    esac
done
