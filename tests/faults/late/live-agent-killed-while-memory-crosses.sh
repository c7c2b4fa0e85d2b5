#!/bin/bash
# FAULTS 44: the agent on the target is killed while memory crosses: another one takes its place, and the migration comes to its end.
. "$(dirname "$0")/../../lab/live.sh"

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
signal node2 KILL "$agent"
finish 0
moved node2 100
[ "$(autostart node2 100)" = enable ] || fail "autostart is off"
second_try node2 100 --online
