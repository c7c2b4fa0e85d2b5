#!/bin/bash
# A running VM on shared storage moves live over ssh, live over TCP, and paused. Each time it goes on in the same boot,
# no tick comes twice, and the downtime is reported.
. "$(dirname "$0")/../lab/live.sh"

# downtime_is_told ID SINCE: the command reports a downtime. It is printed beside the longest gap in the ticks.
downtime_is_told() {
    local id=$1 since=$2 told gap
    told=$(sed -n 's/^downtime \([0-9.]*\) s$/\1/p' <<<"$said")
    gap=$(lab ticks "$id" --since "$since" | sed -n 's/.* stood_ms=\([0-9]*\) .*/\1/p')
    echo "downtime: reported $told s, gap in the ticks $gap ms"
    # They are not compared, since ticks come late on a busy machine; the bench does that.
    [ -n "$told" ] && [ -n "$gap" ] || fail "it did not report a downtime"
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
