#!/bin/bash
# FAULTS 18, 26, 55: a copy is interrupted three times: the target reboots; the worker is killed; the worker is killed
# while the agents on the target are stopped and hold the volume open. Each try resumes where the one before ended: all
# of them together send little more than the data. `vmmigrate status` says how much is there.
. "$(dirname "$0")/../lab/testing.sh"

data=120
received_mib() { [ $(($(received node2) - $1)) -gt $(($2 * 1024 * 1024)) ]; }
# copy_until MIB: begins a copy, and returns when the target has received so much.
copy_until() {
    local before
    before=$(received node2)
    begin node1 100 node2 --restart --bwlimit 20480
    wait_until "the target has received $1 MiB" 60 received_mib "$before" "$1"
}
recovered() { on node1 vmmigrate recover; is_clean; }
resumable() {
    wait_until "recover has finished" 60 recovered
    as_it_was node1 100 disable
    migrate 0 node1 status 100
    says "of the copy are on node2: the next try goes on from there"
}

fresh_lab
vm node1 100 --disk dir --size 256M --data "$data"

echo "== the target reboots"
copy_until 40
lab reboot node2
wait "$begun" || true
resumable

echo "== the worker is killed"
copy_until 25
grep -qF 'of an earlier copy' "$output" || fail "the copy began anew"
on node1 pkill -KILL -f '^vmmigrate-engine worker'
finish 1
resumable

echo "== the worker is killed while its agents are stopped"
copy_until 15
old=$(on node2 pgrep -x vmmigrate-agent)
on node2 sh -c "kill -STOP $(echo "$old" | tr '\n' ' ')"
on node1 pkill -KILL -f '^vmmigrate-engine worker'
finish 1
resumable
for pid in $old; do
    ! on node2 kill -0 "$pid" 2>/dev/null || fail "the old agent $pid is still alive"
done

bytes=$(received node2)
second_try node1 100 --restart
bytes=$(($(received node2) - bytes))
echo "the last try sent $((bytes >> 20)) MiB of $data"
[ "$bytes" -lt $((data * 1024 * 1024 * 6 / 10)) ] || fail "$bytes bytes were sent: the copy began anew"
lab records node2 100
[ -z "$(on node2 find /var/lib/libvirt/images -name '.vmmigrate-*')" ] || fail "a seed or a sidecar is still there"
