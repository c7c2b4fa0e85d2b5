# shellcheck shell=bash
# testing.sh for live migrations, with functions that wait for a certain moment of the migration.

# shellcheck source=tests/lab/testing.sh
. "$(dirname "${BASH_SOURCE[0]}")/testing.sh"

# begin_slowly NODE ID [vmmigrate options]: begins a live migration to the other node that takes about ten seconds, and returns while
# memory moves.
begin_slowly() {
    local from=$1 id=$2
    shift 2
    begin "$from" "$id" "$(other "$from")" --online --bwlimit 10240 "$@"
    wait_until "memory of $id moves" 30 memory_moves "$from" "$id"
}
memory_moves() { on "$1" virsh domjobinfo "vm$2" | grep '^Memory processed: *[1-9]' >/dev/null; }

# busy_vm NODE ID: a guest that writes to 48 MiB of its memory all the time, so that a live migration does not converge.
busy_vm() { vm "$@" --dirty 200 --dirty-set 48; }

# begin_until_guest_is_stopped NODE ID [vmmigrate options]: begins a live migration of a busy_vm and returns when the source has
# stopped the guest and ten seconds' worth of memory are still to be moved.
begin_until_guest_is_stopped() {
    local from=$1 id=$2
    begin_slowly "$@"
    wait_until "memory of $id is sent again" 60 on "$from" sh -c "virsh domjobinfo vm$id | grep '^Iteration: *[2-9]' >/dev/null"
    lab link "$from" rate 40mbit
    on "$from" virsh -q migrate-setmaxdowntime "vm$id" 100000
    wait_until "$id is paused on $from" 30 is_paused "$from" "$id"
}
runs() { [ "$(state "$1" "$2")" = running ]; }
gone() { [ "$(state "$1" "$2")" = absent ]; }
is_paused() { [ "$(state "$1" "$2")" = paused ]; }

# memory_has_moved NODE ID: waits until the guest is paused on the source and the node has sent nothing for a second.
memory_has_moved() {
    local before now
    wait_until "$2 is paused on $1" 60 is_paused "$1" "$2"
    now=$(lab counters "$1" | awk '{ n += $3 } END { print n }')
    before=0
    until [ $((now - before)) -lt 20000 ]; do
        sleep 1
        before=$now
        now=$(lab counters "$1" | awk '{ n += $3 } END { print n }')
    done
}

# reason NODE ID: state and reason as libvirt says them, such as "paused (migration)".
reason() { on "$1" virsh domstate --reason "vm$2" 2>/dev/null | sed -n 1p; }
reason_is() { [ "$(reason "$1" "$2")" = "$3" ]; }

# signal NODE SIGNAL PATTERN: signals the processes of the node whose command line matches.
signal() { on "$1" pkill "-$2" -f "$3"; }
# shellcheck disable=SC2034 # used by the tests that source this
worker='vmmigrate-engine worker' agent='vmmigrate-agent' relay='vmmigrate-engine relay'
qemu_of() { echo "guest=vm$1,"; }

# booted_once ID: fails if the guest was booted again or ran twice; prints what its ticks show.
booted_once() {
    local ticks
    ticks=$(lab ticks "$1") || fail "guest $1 ran twice: $ticks"
    echo "guest $1: $ticks"
    grep -q ' boots=1 ' <<<"$ticks" || {
        lab serial "$1" | tail -n 60
        for node in node1 node2; do on "$node" grep -a '^2' "/var/log/libvirt/qemu/vm$1.log" || true; done
        fail "guest $1 was booted again"
    }
}

# stayed NODE ID: the guest runs there in its first boot, and the other node has nothing of it.
stayed() {
    runs_on "$1" "$2"
    booted_once "$2"
    gone_from "$(other "$1")" "$2"
    wait_until_clean
}
# moved NODE ID: the same, after a migration to NODE.
moved() { stayed "$@"; }
