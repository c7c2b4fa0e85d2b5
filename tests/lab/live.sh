# shellcheck shell=bash
# What tests of live migration add to testing.sh: moments in the middle of it that can be hit.

# shellcheck source=tests/lab/testing.sh
. "$(dirname "${BASH_SOURCE[0]}")/testing.sh"

# begin_slowly NODE ID [vmmigrate options]: begins a live migration to the other node that takes about ten seconds, and returns while
# memory crosses.
begin_slowly() {
    local from=$1 id=$2
    shift 2
    begin "$from" "$id" "$(other "$from")" --online --bwlimit 10240 "$@"
    wait_until "memory of $id crosses" 30 memory_crosses "$from" "$id"
}
memory_crosses() { on "$1" virsh domjobinfo "vm$2" | grep -q '^Memory processed: *[1-9]'; }

# A guest that cannot be migrated live while it is alive: it writes to 48 MiB of its memory all the time.
busy_vm() { vm "$@" --dirty 200 --dirty-set 48; }

# begin_standing NODE ID [vmmigrate options]: begins a live migration of a busy_vm and returns when its guest stands on the source,
# with ten seconds' worth of memory still to cross.
begin_standing() {
    local from=$1 id=$2
    begin_slowly "$@"
    wait_until "memory of $id crosses again" 60 on "$from" sh -c "virsh domjobinfo vm$id | grep -q '^Iteration: *[2-9]'"
    lab link "$from" rate 40mbit
    on "$from" virsh -q migrate-setmaxdowntime "vm$id" 100000
    wait_until "$id stands on $from" 30 stands "$from" "$id"
}
runs() { [ "$(state "$1" "$2")" = running ]; }
gone() { [ "$(state "$1" "$2")" = absent ]; }
stands() { [ "$(state "$1" "$2")" = paused ]; }

# memory_has_crossed NODE ID: the guest stands on the source and nothing has left the node for a second.
memory_has_crossed() {
    local before now
    wait_until "$2 stands on $1" 60 stands "$1" "$2"
    now=$(lab counters "$1" | awk '{ n += $3 } END { print n }')
    before=0
    until [ $((now - before)) -lt 20000 ]; do
        sleep 1
        before=$now
        now=$(lab counters "$1" | awk '{ n += $3 } END { print n }')
    done
}

# reason NODE ID: libvirt's words for how it is, "paused (migration)".
reason() { on "$1" virsh domstate --reason "vm$2" 2>/dev/null | head -n 1; }
reason_is() { [ "$(reason "$1" "$2")" = "$3" ]; }

# signal NODE SIGNAL PATTERN: to the processes of the node whose command line matches.
signal() { on "$1" pkill "-$2" -f "$3"; }
# shellcheck disable=SC2034 # used by the tests that source this
worker='vmmigrate-engine worker' agent='vmmigrate-agent' relay='vmmigrate-engine relay'
qemu_of() { echo "guest=vm$1,"; }

# at_rest: a relay or an agent may take a moment to end.
at_rest() {
    local end=$((SECONDS + 20))
    until settled || [ "$SECONDS" -ge "$end" ]; do sleep 0.1; done
    nothing_left
}

# lived ID: it has lived through all of it: one boot, nothing twice. Prints what its life shows.
lived() {
    local ticks
    ticks=$(lab ticks "$1") || fail "guest $1 ran twice: $ticks"
    echo "guest $1: $ticks"
    grep -q ' boots=1 ' <<<"$ticks" || {
        lab serial "$1" | tail -n 60
        for node in node1 node2; do on "$node" grep -a '^2' "/var/log/libvirt/qemu/vm$1.log" || true; done
        fail "guest $1 was booted again"
    }
}

# stayed NODE ID: the guest is where it was, has lived through all, and the other node has nothing of it.
stayed() {
    runs_on "$1" "$2"
    lived "$2"
    gone_from "$(other "$1")" "$2"
    at_rest
}
# moved NODE ID: the same after it has gone there.
moved() { stayed "$@"; }
