#!/bin/bash
# FAULTS 44: the target's end of the relay is killed while memory crosses: the guest goes on on the source. The agent is killed: another
# one takes its place, and the migration comes to its end.
. "$(dirname "$0")/../lab/live.sh"

# What the agents of a node have been asked to do is in their environment.
kill_agent() {
    on "$1" sh -c 'for pid in $(pgrep -x vmmigrate-agent); do
            ! tr "\0" "\n" <"/proc/$pid/environ" | grep -q "^SSH_ORIGINAL_COMMAND=$0" || { kill -KILL "$pid" && killed=yes; }
        done; [ "$killed" ]' "$2" || fail "no such agent: $2"
}

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
kill_agent node2 'relay .*memory'
finish 1
says "guest 100 is running on node1"
stayed node1 100
[ "$(autostart node1 100)" = enable ] || fail "autostart is off"

begin_slowly node1 100
kill_agent node2 'agent '
finish 0
moved node2 100
[ "$(autostart node2 100)" = enable ] || fail "autostart is off"
second_try node2 100 --online
