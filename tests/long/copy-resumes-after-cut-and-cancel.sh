#!/bin/bash
# A copy that was interrupted, because the session was killed or the user cancelled, is resumed by the next try, which
# sends only the rest. What the target keeps is listed by `vmmigrate seeds`, belongs to no guest, and `vmmigrate seeds
# --prune` removes it.
. "$(dirname "$0")/../lab/testing.sh"

data=160
seeds() { on node1 vmmigrate seeds --json; }

# begin_copy: begins a restart migration that copies 20 MiB per second; returns when half of the data have arrived.
begin_copy() {
    local before
    before=$(received node2)
    begin node1 100 node2 --restart --no-precopy --bwlimit 20480
    wait_until "half of the data have arrived" 60 received_mib "$before" $((data / 2))
}
received_mib() { [ $(($(received node2) - $1)) -gt $(($2 * 1024 * 1024)) ]; }

fresh_lab
vm node1 100 --disk dir --size 256M --data "$data"

begin_copy
on node2 pkill -KILL -f 'vmmigrate-agent session' || on node2 pkill -KILL -f vmmigrate-agent
finish 1
grep -qF 'the next try goes on from there' <<<"$(on node1 sh -c 'cat /var/lib/vmmigrate/tasks/*/log')" ||
    fail "the log does not say what is kept"
runs_on node1 100
gone_from node2 100
seeds | grep '"state":"partial"' >/dev/null || fail "no partial copy is listed: $(seeds)"
nothing_left

bytes=$(received node2)
begin node1 100 node2 --restart --no-precopy --bwlimit 20480
wait_until "the next try resumes the copy" 60 grep -qF 'of an earlier copy' "$output"
finish 0
bytes=$(($(received node2) - bytes))
echo "the next try sent $((bytes >> 20)) MiB of $data"
[ "$bytes" -lt $((data * 1024 * 1024 * 7 / 10)) ] || fail "$bytes bytes were sent: the copy began anew"
runs_on node2 100
lab records node2 100
gone_from node1 100
nothing_left
[ -z "$(on node2 find /var/lib/libvirt/images -name '.vmmigrate-*')" ] || fail "a seed or a sidecar is still there"

# A cancelled copy is kept as well, and --prune removes it.
before=$(received node1)
begin node2 100 node1 --restart --no-precopy --bwlimit 20480
wait_until "half of the data have arrived" 60 sh -c "[ \$(LAB=$LAB $TOP/tests/lab/lab counters node1 | awk '{ sum += \$5 } END { print sum }') -gt $((before + data * 512 * 1024)) ]"
on node2 vmmigrate cancel 100
finish 7
runs_on node2 100
seeds | grep '"state":"partial"' >/dev/null || fail "no partial copy is listed: $(seeds)"
migrate 0 node2 seeds --prune
says Removed
seeds | grep '"seeds":\[\]' >/dev/null || fail "still there: $(seeds)"
[ -z "$(on node1 find /var/lib/libvirt/images -name '.vmmigrate-*')" ] || fail "a seed or a sidecar is still there"
second_try node2 100 --restart
