#!/bin/bash
# What rounds-from-snapshots-lose-no-write.sh proves on XFS, on btrfs.
FS=btrfs exec "$(dirname "$0")/../nodes/rounds-from-snapshots-lose-no-write.sh"
