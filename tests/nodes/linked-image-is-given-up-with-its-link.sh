#!/bin/bash
# The path of a VM's disk is a symbolic link to an image in another filesystem: the plan names both, the image lands under the
# path of the definition, and the source gives up the link and the data.
. "$(dirname "$0")/../lab/testing.sh"

images=/var/lib/libvirt/images data=/root/data.qcow2
fresh_lab
lab guest node1 100 --disk dir --format qcow2 --size 64M
on node1 sh -ec "mv $images/vm100.qcow2 $data; ln -s $data $images/vm100.qcow2"
migrate 0 node1 100 node2 --dry-run
says "$images/vm100.qcow2 -> $data"
migrate 0 node1 100 node2
says "$images/vm100.qcow2 is a link to $data; both are given up"
left=$(on node1 find "$images" "$data" ! -type d 2>/dev/null || true)
[ -z "$left" ] || fail "left on node1: $left"
[ "$(on node2 stat -c %F "$images/vm100.qcow2")" = "regular file" ] || fail "it did not land under its path"
nothing_left
migrate 0 node2 100 node1
