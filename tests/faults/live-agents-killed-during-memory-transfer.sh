#!/bin/bash
# FAULTS 44: while memory moves, the target's end of the relay is killed: the guest goes on running on the source. Then
# the agent is killed: another agent takes its place, and the migration completes.
. "$(dirname "$0")/../lab/live.sh"

# kill_agent NODE PATTERN: kills the agents there that were started for that command; sshd puts it into their environment.
kill_agent() {
    on "$1" sh -c 'for pid in $(pgrep -x vmmigrate-agent); do
            ! tr "\0" "\n" <"/proc/$pid/environ" | grep "^SSH_ORIGINAL_COMMAND=$0" >/dev/null || { kill -KILL "$pid" && killed=yes; }
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
