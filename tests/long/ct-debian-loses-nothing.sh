#!/bin/bash
# A container of Debian's own, with systemd in it, moves there and back: nothing that its service had synced before the stop is lost,
# and dpkg finds each file as it found it before.
. "$(dirname "$0")/../lab/containers.sh"

# as_packaged NODE: what dpkg has to say about the files that packages brought.
as_packaged() { on "$1" lxc-attach -n 200 -- dpkg --verify || true; }

fresh_lab
ct node1 200 --debian --autostart
before=$(as_packaged node1)
second_try node1 200
records node2 200
diff <(echo "$before") <(as_packaged node2) || fail "files have changed on their way"
second_try node2 200
records node1 200
