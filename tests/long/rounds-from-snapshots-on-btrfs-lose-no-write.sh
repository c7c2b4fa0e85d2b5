#!/bin/bash
# What holds on XFS holds on btrfs.
FS=btrfs exec "$(dirname "$0")/../nodes/rounds-from-snapshots-lose-no-write.sh"
