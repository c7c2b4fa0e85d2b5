#!/bin/bash
# A copy that was cut in the middle - the session killed, then a cancel by the user - is gone on with by the next try: the bytes that
# cross then are the rest. What was kept is listed, is no volume of a guest, and a later prune leaves nothing.
. "$(dirname "$0")/../lab/testing.sh"

data=160
seeds() { on node1 vmmigrate seeds --json; }

# begin_copy: a restart migration that copies 20 MiB a second, until half of the data have come.
begin_copy() {
    local before
    before=$(received node2)
    begin node1 100 node2 --restart --no-precopy --bwlimit 20480
    wait_until "half of the copy is there" 60 came "$before" $((data / 2))
}
came() { [ $(($(received node2) - $1)) -gt $(($2 * 1024 * 1024)) ]; }

fresh_lab
vm node1 100 --disk dir --size 256M --data "$data"

begin_copy
on node2 pkill -KILL -f 'vmmigrate-agent session' || on node2 pkill -KILL -f vmmigrate-agent
finish 1
grep -qF 'the next try goes on from there' <<<"$(on node1 sh -c 'cat /var/lib/vmmigrate/tasks/*/log')" ||
    fail "the log does not say what is kept"
runs_on node1 100
gone_from node2 100
seeds | grep -q '"state":"partial"' || fail "no partial copy is listed: $(seeds)"
nothing_left

bytes=$(received node2)
begin node1 100 node2 --restart --no-precopy --bwlimit 20480
wait_until "the next try copies" 60 grep -qF 'of an earlier copy' "$output"
finish 0
bytes=$(($(received node2) - bytes))
echo "the next try sent $((bytes >> 20)) MiB of $data"
[ "$bytes" -lt $((data * 1024 * 1024 * 7 / 10)) ] || fail "$bytes bytes crossed: it was begun again"
runs_on node2 100
lab records node2 100
gone_from node1 100
nothing_left
[ -z "$(on node2 find /var/lib/libvirt/images -name '.vmmigrate-*')" ] || fail "a seed or a sidecar is still there"

# Cancelled: the same; and a prune removes it.
before=$(received node1)
begin node2 100 node1 --restart --no-precopy --bwlimit 20480
wait_until "half of the copy is there" 60 sh -c "[ \$(LAB=$LAB $TOP/tests/lab/lab counters node1 | awk '{ sum += \$5 } END { print sum }') -gt $((before + data * 512 * 1024)) ]"
on node2 vmmigrate cancel 100
finish 7
runs_on node2 100
seeds | grep -q '"state":"partial"' || fail "no partial copy is listed: $(seeds)"
migrate 0 node2 seeds --prune
says Removed
seeds | grep -q '"seeds":\[\]' || fail "still there: $(seeds)"
[ -z "$(on node1 find /var/lib/libvirt/images -name '.vmmigrate-*')" ] || fail "a seed or a sidecar is still there"
second_try node2 100 --restart
