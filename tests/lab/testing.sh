# shellcheck shell=bash
# Every test on real nodes begins with `. "$(dirname "$0")/../lab/testing.sh"`. A script proves one thing and is named after it; it
# ends with a second try that succeeds (`second_try`) and with the invariants (`nothing_left`, `runs_on`, records).
#
# Each test has a lab of its own (LAB is its name), with the packages installed on both nodes and the nodes joined.

set -Eeuo pipefail
trap 'echo "FAILED at line $LINENO: $BASH_COMMAND" >&2' ERR
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export LAB=${LAB:-t$$}

lab() { "$TOP/tests/lab/lab" "$@"; }
on() { lab exec "$@"; }

fail() {
    echo "FAILED: $*" >&2
    show_state_of_nodes >&2 || true
    exit 1
}

show_state_of_nodes() {
    local node
    for node in node1 node2; do
        echo "--- $node"
        on "$node" timeout 20 sh -c 'virsh list --all; tail -v -n 20 /var/lib/vmmigrate/tasks/*/log /var/lib/vmmigrate/tasks/*/stderr
            grep -H . /var/lib/vmmigrate/guests/*; ls -lA /var/lib/libvirt/images' 2>&1 | grep -v '=$' | tail -n 60
    done
}

# fresh_lab [lab up options]: two joined nodes with the packages that `make deb` has built; taken down when the test ends.
fresh_lab() {
    trap 'lab down; rm -f "$output"' EXIT
    trap 'exit 130' INT TERM
    lab down
    lab up "$@"
    lab install "$TOP"/build/vmmigrate_*.deb
    lab join >/dev/null
}

# vm NODE ID [lab guest options]: makes and starts a guest, and waits until it ticks.
vm() {
    lab guest "$@" --start
    lab wait-ticks "$2" 10
}

# names_once: fails if $said names a node twice in a row ("node2: node2: ...").
names_once() { ! grep -E '\b(node[0-9]): (node )?\1\b' <<<"$said" || fail "a node is named twice in a row"; }

# expect STATUS COMMAND...: runs it, keeps its output in $said and prints it; fails if its exit status is another one.
said=
expect() {
    local wanted=$1 status=0
    shift
    said=$("$@" 2>&1) || status=$?
    printf '%s\n' "$said"
    [ "$status" = "$wanted" ] || fail "'$*' ended with $status instead of $wanted"
    names_once
}

# says TEXT: fails unless the output of the last expected command has this text.
says() { grep -qF -- "$1" <<<"$said" || fail "it did not say: $1"; }

# migrate STATUS NODE ARGUMENTS...: runs vmmigrate on that node and expects that exit status.
migrate() {
    local wanted=$1 node=$2
    shift 2
    expect "$wanted" on "$node" vmmigrate "$@"
}

# begin NODE ARGUMENTS...: starts a migration in the background; its output is in $output, `finish STATUS` waits for its end.
output=$(mktemp)
begin() {
    local node=$1
    shift
    # Now, and not when the background process begins: until_says would find what the migration before has said.
    : >"$output"
    on "$node" vmmigrate "$@" >"$output" 2>&1 &
    begun=$!
}
finish() {
    local status=0
    wait "$begun" || status=$?
    said=$(cat "$output")
    printf '%s\n' "$said"
    [ "$status" = "$1" ] || fail "the migration ended with $status instead of $1"
    names_once
}

# until_says TEXT [SECONDS]: waits until the output of the begun migration has this text.
until_says() { wait_until "the migration says: $1" "${2:-60}" grep -qF -- "$1" "$output"; }

# wait_until WHAT SECONDS COMMAND...
wait_until() {
    local what=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "timed out waiting until $what"
        sleep 0.1
    done
}

# state NODE ID: running, paused, shut off, or absent.
state() {
    local said
    said=$(on "$1" virsh domstate "vm$2" 2>/dev/null) || said=absent
    echo "${said%%$'\n'*}"
}

# autostart NODE ID: enable or disable.
autostart() { on "$1" virsh dominfo "vm$2" | awk '$1 == "Autostart:" { print $2 }'; }

# received NODE: bytes that its network devices have received since it was switched on.
received() { lab counters "$1" | awk '{ sum += $5 } END { print sum }'; }

# holds_rate LIMIT NODE BEFORE: waits until NODE has received 4 MiB more than BEFORE (bytes); fails unless what it receives in the
# next ten seconds is LIMIT KiB per second, within 5 percent.
holds_rate() {
    local limit=$1 node=$2 before=$3 began bytes took rate
    wait_until "$node receives data" 30 has_received "$node" $((before + 4 * 1024 * 1024))
    began=$(date +%s%N) bytes=$(received "$node")
    sleep 10
    bytes=$(($(received "$node") - bytes)) took=$(($(date +%s%N) - began))
    rate=$((bytes * 1000000 / (took / 1000) / 1024))
    echo "$rate KiB a second, $limit allowed"
    [ "$rate" -le $((limit * 105 / 100)) ] || fail "$rate KiB a second is more than $limit"
    [ "$rate" -ge $((limit * 95 / 100)) ] || fail "$rate KiB a second is less than $limit"
}
has_received() { [ "$(received "$1")" -gt "$2" ]; }

other() { [ "$1" = node1 ] && echo node2 || echo node1; }

# runs_on NODE ID: the guest runs there and ticks, does not run on the other node, and never ran twice.
runs_on() {
    [ "$(state "$1" "$2")" = running ] || fail "guest $2 is $(state "$1" "$2") on $1"
    [ "$(state "$(other "$1")" "$2")" != running ] || fail "guest $2 runs on both nodes"
    lab wait-ticks "$2" 5
    lab ticks "$2" >/dev/null || fail "guest $2 ran twice: $(lab ticks "$2")"
}

# gone_from NODE ID: the node has no definition of it.
gone_from() { [ "$(state "$1" "$2")" = absent ] || fail "guest $2 is still defined on $1"; }

# nothing_left: no temporary volume, lock, open task, socket, relay or agent of ours on either node.
nothing_left() {
    local node left
    for node in node1 node2; do
        left=$(on "$node" sh -c '
            ls -A /var/lib/libvirt/images /mnt/shared 2>/dev/null | grep -E "^\.vmmigrate-(node|token|aside|snap)"
            for task in /var/lib/vmmigrate/tasks/*/; do
                [ ! -e "$task" ] || grep -q "\"settled\":true" "$task/result" || echo "$task is not settled"
            done 2>/dev/null
            grep -lE "^state=(source|target|handover|committed|abandoned)" /var/lib/vmmigrate/guests/* 2>/dev/null
            find /run/vmmigrate /run/libvirt/qemu/vmmigrate -type s 2>/dev/null
            pgrep -fa "vmmigrate-(agent|engine)"' || true)
        [ -z "$left" ] || fail "left on $node: $left"
    done
}

# until_recovered NODE ID: runs recover on both nodes until the guest runs there again.
until_recovered() { wait_until "recover has started $2 on $1" 60 recovered_on "$1" "$2"; }
recovered_on() {
    on "$1" vmmigrate recover
    on "$(other "$1")" vmmigrate recover
    [ "$(state "$1" "$2")" = running ]
}

# as_it_was FROM ID [disable]: the guest runs on FROM as before, with autostart (or without), and nothing of ours is left.
as_it_was() {
    local was=${3:-enable}
    runs_on "$1" "$2"
    gone_from "$(other "$1")" "$2"
    [ "$(autostart "$1" "$2")" = "$was" ] || fail "autostart of guest $2 is $(autostart "$1" "$2") on $1"
    wait_until_clean
}

# no_seeds: removes all seeds, so that the next copy starts from nothing.
no_seeds() { for node in node1 node2; do on "$node" vmmigrate seeds --prune >/dev/null; done; }

# second_try FROM ID ARGUMENTS...: the same migration, tried again, succeeds and leaves nothing behind on FROM.
second_try() {
    local from=$1 id=$2
    shift 2
    migrate 0 "$from" "$id" "$(other "$from")" "$@"
    runs_on "$(other "$from")" "$id"
    gone_from "$from" "$id"
    wait_until_clean
}
is_clean() { (nothing_left) >/dev/null 2>&1; }

# wait_until_clean: waits for up to 30 s until nothing is left (a relay or an agent may take a moment to end); fails if something is.
wait_until_clean() {
    local end=$((SECONDS + 30))
    until is_clean || [ "$SECONDS" -ge "$end" ]; do sleep 0.1; done
    nothing_left
}

# start_waits NODE: from now on libvirt there waits in the middle of starting a guest, until start_goes_on NODE.
start_waits() {
    on "$1" sh -ec 'rm -f /run/starts; touch /run/start-waits; cat >/etc/libvirt/hooks/qemu.d/wait; chmod 755 /etc/libvirt/hooks/qemu.d/wait' <<'HOOK'
#!/bin/sh
[ "$2" = started ] || exit 0
touch /run/starts
while [ -e /run/start-waits ]; do sleep 0.05; done
HOOK
    lab libvirtd "$1" restart
}
until_it_starts() { wait_until "a start on $1" 60 on "$1" test -e /run/starts; }
start_goes_on() { on "$1" rm -f /etc/libvirt/hooks/qemu.d/wait /run/start-waits; }

# stop_after_commit SOURCE TARGET: the next task on SOURCE writes its commit and then waits for a lock, which we hold until
# go_on_after_commit.
stop_after_commit() {
    start_waits "$2"
    stopper_source=$1
    {
        until_it_starts "$2"
        on "$1" flock /var/lib/vmmigrate/guests/.lock sh -c "touch /run/locked; while [ ! -e /run/go-on ]; do sleep 0.05; done" &
        wait_until "we hold the lock" 10 on "$1" test -e /run/locked
        start_goes_on "$2"
        wait
    } >/dev/null &
    stopper=$!
}
committed() { on "$1" sh -c "grep -aqF '\"what\":\"commit\"' /var/lib/vmmigrate/tasks/*/journal"; }
go_on_after_commit() {
    on "$stopper_source" touch /run/go-on
    wait "$stopper"
}
