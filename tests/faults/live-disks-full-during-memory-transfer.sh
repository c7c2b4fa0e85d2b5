#!/bin/bash
# FAULTS 48: the disks with the task's log and the guest records fill up on both nodes while memory moves: the
# migration completes, and says so. The next migration is refused before anything is touched.
. "$(dirname "$0")/../lab/live.sh"

# small_disk NODE: puts a small filesystem below /var/lib/vmmigrate.
small_disk() { on "$1" mount -t tmpfs -o size=16m,mode=0700 none /var/lib/vmmigrate; }
fill() { on "$1" sh -c '! cat /dev/zero >/var/lib/vmmigrate/fill 2>/dev/null'; }
empty() { on "$1" rm /var/lib/vmmigrate/fill; }

fresh_lab
small_disk node1
small_disk node2
vm node1 100 --autostart
begin_slowly node1 100
fill node1
fill node2
finish 0
says "guest 100 is running on node2"
runs_on node2 100
[ "$(autostart node2 100)" = enable ] || fail "autostart is off"
gone_from node1 100
migrate 1 node2 100 node1 --online
says "No space left"
empty node1
empty node2
moved node2 100
second_try node2 100 --online
