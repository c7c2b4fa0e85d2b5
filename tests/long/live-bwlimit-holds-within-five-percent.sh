#!/bin/bash
# A live migration keeps to --bwlimit, in KiB per second, within 5 percent over ten seconds, by the counters of the
# target's network devices; also if the limit is no whole number of MiB, although libvirt passes whole MiB to QEMU.
. "$(dirname "$0")/../lab/live.sh"

limit=5632
fresh_lab
# The guest writes to 64 MiB once a second, so that moving its memory takes ten seconds.
vm node1 100 --records 1 --dirty 1 --dirty-set 64
before=$(received node2)
begin node1 100 node2 --online --bwlimit "$limit"
holds_rate "$limit" node2 "$before"
finish 0
moved node2 100
second_try node2 100 --online
