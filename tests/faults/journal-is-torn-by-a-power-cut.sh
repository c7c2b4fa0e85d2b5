#!/bin/bash
# FAULTS 46: the source loses power while it writes a record of the journal, so that a part of it, or garbage, is on the disk: the
# record counts as not written, and recover decides. First the record of a copy's begin, then the commit.
. "$(dirname "$0")/../lab/testing.sh"

# tear NODE garbage|zeros WHAT: what becomes of the second half of the last record WHAT in the newest task's journal; nothing
# follows it.
tear() {
    # shellcheck disable=SC2016
    on "$1" bash -ec 'python3 - "$(ls -t /var/lib/vmmigrate/tasks/*/journal | sed -n 1p)" "$1" "$2"' - "$2" "$3" <<'PYTHON'
import os, struct, sys

path, how, what = sys.argv[1:]
with open(path, "r+b") as journal:
    data = journal.read()
    at = 8
    while (length := struct.unpack_from("<I", data, at)[0]) != 0:
        record, at = data[at + 8 : at + 8 + length].decode(), at + 8 + length
        if f'"what":"{what}"' in record:
            torn, end, half = record, at, at - length // 2
    print("torn:", torn)
    journal.seek(half)
    journal.write(os.urandom(end - half) if how == "garbage" else bytes(end - half))
    journal.write(bytes(at - end))
PYTHON
}
worker() { on node1 pkill "-$1" -f '^vmmigrate-engine worker'; }
power_comes_back() {
    wait "$begun" || true
    lab boot node1
    until_recovered node1 100
    as_it_was node1 100
    lab records node1 100
}

fresh_lab
vm node1 100 --disk dir --size 64M --data 24 --autostart
for how in zeros garbage; do
    begin node1 100 node2 --restart --bwlimit 4096
    until_says "precopy vda:"
    worker STOP
    tear node1 "$how" "do"
    lab kill node1
    power_comes_back
done

stop_after_commit node1 node2
begin node1 100 node2 --restart
wait_until "the commit is written" 60 committed node1
worker STOP
tear node1 garbage commit
lab kill node1
wait "$stopper" || true
power_comes_back
second_try node1 100 --restart
lab records node2 100
