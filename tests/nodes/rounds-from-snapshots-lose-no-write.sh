#!/bin/bash
# FAULTS 54: on XFS (FS=btrfs: on btrfs) the rounds learn from snapshots what a VM has written, and the last round
# reads little. Every record that the VM had synced is on the target, raw and qcow2, also if somebody else makes a
# reflink copy of the image between two rounds. No snapshot is left.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images

# statistic NODE KEY: a number of the result of the node's newest task.
# shellcheck disable=SC2016
statistic() {
    on "$1" sh -c 'cat "$(ls -t /var/lib/vmmigrate/tasks/*/result | sed -n 1p)"' | jq ".statistics.$2"
}

# in_the_middle NODE: after the last round, before the stop, the guest goes on writing and a hook makes a reflink copy of the image.
in_the_middle() {
    on "$1" sh -ec "cat >/etc/vmmigrate/hooks.d/pre-switch.d/10-third-party <<'X'
#!/bin/sh
[ \"\$VMMIGRATE_SOURCE\" = $1 ] || exit 0
sleep 1
cp --reflink=always $images/vm\$VMMIGRATE_VMID.* $images/third-party
sleep 1
X
    chmod 755 /etc/vmmigrate/hooks.d/pre-switch.d/10-third-party"
}

no_snapshots() {
    local left
    left=$(on "$1" find "$images" -name '.vmmigrate-snap-*')
    [ -z "$left" ] || fail "left on $1: $left"
}

move() {
    local id=$1 format=$2 read
    vm node1 "$id" --disk dir --format "$format" --size 1G --data 200 --records 50
    migrate 0 node1 "$id" node2 --restart
    runs_on node2 "$id"
    lab records node2 "$id"
    grep -q "round 2 sent" <<<"$said" || fail "there was one round only"
    grep -q "of a snapshot" <<<"$said" || fail "no snapshot was made"
    ! grep -q "cannot be told" <<<"$said" || fail "the tracker could not tell what has changed"
    read=$(statistic node1 last_read_bytes)
    [ "$read" -lt $((20 << 20)) ] || fail "the last round read $read bytes"
    no_snapshots node1
    on node1 test -f "$images/third-party" || fail "the third party's file is gone"
    on node1 rm "$images/third-party"
    gone_from node1 "$id"
    wait_until "nothing is left" 20 is_clean
}

fresh_lab --images "${FS:-xfs}"
in_the_middle node1
move 100 raw
move 101 qcow2
# Without snapshots it works too.
second_try node2 100 --restart --track none
lab records node1 100
