#!/bin/bash
# What holds on XFS holds on btrfs.
FS=btrfs exec "$(dirname "$0")/../nodes/restart-from-snapshots-carries-every-record.sh"
