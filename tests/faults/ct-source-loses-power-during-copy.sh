#!/bin/bash
# FAULTS 31: while the container is off for the last round, neither lxc-autostart nor lxc-start starts it on either
# node. Then the source loses power: recover starts the container there when the source is back.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
ct node1 200 --autostart --data 32
begin node1 200 node2 --no-precopy --bwlimit 4096
until_says "copy rootfs:"
for node in node1 node2; do
    on "$node" lxc-autostart -a || true
    expect 1 on "$node" lxc-start -n 200
done
[ "$(state node1 200)" = aside ] || fail "it is $(state node1 200) on node1"
[ "$(state node2 200)" = absent ] || fail "it is $(state node2 200) on node2"
lab kill node1
wait "$begun" || true
lab boot node1
on node1 vmmigrate recover || true
wait_until "recover has started it" 60 is_running node1 200
as_it_was node1 200
second_try node1 200
lab records node2 200
