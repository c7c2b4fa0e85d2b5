#!/bin/bash
# QEMU runs as the user libvirt-qemu, as Debian installs it: live migration over ssh and over TCP works, there and
# back.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab --qemu-user libvirt-qemu
vm node1 100
[ "$(on node1 ps -o user:20= -C qemu-system-x86_64)" = libvirt-qemu ] || fail "QEMU is root"
migrate 0 node1 100 node2 --online
moved node2 100
migrate 0 node2 100 node1 --online --migration_type insecure
moved node1 100
second_try node1 100 --non-live
booted_once 100
