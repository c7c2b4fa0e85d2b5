#!/bin/bash
# A Debian container with systemd moves there and back: nothing is lost that its service had synced before the stop,
# and dpkg finds every file of its packages as before.
. "$(dirname "$0")/../lab/containers.sh"

# as_packaged NODE: what `dpkg --verify` prints there, which may be nothing; a last line shows that it has run to its end.
as_packaged() { on "$1" lxc-attach -n 200 -- sh -c 'dpkg --verify; echo "dpkg has verified all packages"'; }

fresh_lab
ct node1 200 --debian --autostart
before=$(as_packaged node1)
second_try node1 200
records node2 200
after=$(as_packaged node2)
[ "$after" = "$before" ] || fail "files of packages have changed: $(diff <(echo "$before") <(echo "$after"))"
second_try node2 200
records node1 200
