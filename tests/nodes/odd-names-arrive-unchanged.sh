#!/bin/bash
# FAULTS 42, 47: names and paths with spaces, quotes, markup, UTF-8, percent signs and dots arrive unchanged. A path
# that could mean another file is refused.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images
digest() { on "$1" sh -c 'sha256sum <"$1"' - "$images/$2.img"; }

fresh_lab
names=("two words & <more>" "it's \"quoted\"" "größer-服务器" "-rf" "100%s \$HOME \`id\`" "a..b...c")
id=100
for name in "${names[@]}"; do
    lab guest node1 "$id" --disk dir --size 4M --name "$name" --title "$name"
    on node1 sh -c 'head -c 100000 /dev/urandom | dd of="$1" conv=notrunc status=none' - "$images/$name.img"
    digest=$(digest node1 "$name")
    migrate 0 node1 "$id" node2
    [ "$(on node2 virsh list --all --name | grep -cxF -e "$name")" = 1 ] || fail "no guest named $name on node2"
    [ "$(digest node2 "$name")" = "$digest" ] || fail "$name: other bytes"
    on node1 test ! -e "$images/$name.img" || fail "$name.img is left on node1"
    id=$((id + 1))
done
# The guest is named by its name instead of its id.
migrate 0 node2 "two words & <more>" node1
on node1 virsh domstate "two words & <more>"

# A path that could mean another file.
lab guest node1 120 --disk dir --size 4M
on node1 sh -ec "virsh -q dumpxml vm120 | sed 's|$images/vm120.img|/var/lib/libvirt/qemu/../images/vm120.img|' | virsh -q define /dev/stdin >/dev/null"
migrate 3 node1 120 node2
says 'has a "." or ".." part'
says "without them"
nothing_left
