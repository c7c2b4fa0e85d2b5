#!/bin/bash
# --bwlimit in KiB a second is what a live migration takes over ten seconds, within five in a hundred, by the counters of the target's
# cables - also where it is no whole number of MiB, which is all that QEMU is told through libvirt.
. "$(dirname "$0")/../lab/live.sh"

limit=5632
fresh_lab
# What it writes once and again makes its memory large enough for ten seconds.
vm node1 100 --records 1 --dirty 1 --dirty-set 64
quiet=$(received node2)
begin node1 100 node2 --online --bwlimit "$limit"
keeps_to "$limit" node2 "$quiet"
finish 0
moved node2 100
second_try node2 100 --online
