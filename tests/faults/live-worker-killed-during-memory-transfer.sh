#!/bin/bash
# FAULTS 18: the worker is killed while memory moves: its supervisor runs recover, and the guest goes on running on the
# source.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
signal node1 KILL "$worker"
finish 1
says "interrupted"
says "guest 100 is running on node1"
stayed node1 100
[ "$(autostart node1 100)" = enable ] || fail "autostart is off"
second_try node1 100 --online
