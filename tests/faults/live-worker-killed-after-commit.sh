#!/bin/bash
# FAULTS 19, 45: the worker is killed after the commit, before the target knows of it, while the agent is in the middle
# of a call: the guest runs on the target.
. "$(dirname "$0")/../lab/live.sh"

committed() { on node1 sh -c 'grep -aq "\"what\":\"commit\"" /var/lib/vmmigrate/tasks/*/journal'; }

fresh_lab
vm node1 100 --autostart
begin_slowly node1 100
# No guest record on the target can change while this lock is held.
on node2 flock /var/lib/vmmigrate/guests/.lock sleep 345 &
wait_until "the worker has committed" 60 committed
reason_is node2 100 "paused (user)" || fail "guest 100 is $(reason node2 100) on node2"
signal node1 KILL "$worker"
signal node2 KILL 'sleep 345'
finish 0
moved node2 100
[ "$(autostart node2 100)" = enable ] || fail "autostart is off"
second_try node2 100 --online
