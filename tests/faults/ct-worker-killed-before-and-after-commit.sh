#!/bin/bash
# FAULTS 18, 19, 45: the worker of a container's migration is killed while the tree is copied; together with its
# supervisor and the agent while the container is off; while the target sets the container up; and after the commit.
# Before the commit the container ends on the source, after it on the target.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
lab container node1 200 --data 32 --autostart
slow_to_be_set_up node1 200
on node1 lxc-start -n 200
lab wait-ticks 200 10

begin node1 200 node2 --bwlimit 8192
files_arrive node2
on node1 pkill -KILL -f '^vmmigrate-engine worker'
finish 1
says "interrupted"
as_it_was node1 200
no_seeds

begin node1 200 node2 --no-precopy --bwlimit 8192
files_arrive node2
on node1 pkill -KILL vmmigrate-engin
on node2 pkill -KILL vmmigrate-agent || true
wait "$begun" || true
[ "$(state node1 200)" = aside ] || fail "it is $(state node1 200) on node1"
expect 1 on node1 lxc-start -n 200
migrate 0 node1 recover
says "settled"
as_it_was node1 200
no_seeds

start_waits node2
begin node1 200 node2
until_it_starts node2
on node1 pkill -KILL -f '^vmmigrate-engine worker'
until_says "recover: the worker is gone"
start_goes_on node2
finish 1
says "interrupted"
as_it_was node1 200

stop_after_commit node1 node2
begin node1 200 node2
wait_until "the commit is written" 60 committed node1
on node1 pkill -KILL -f '^vmmigrate-engine worker'
go_on_after_commit
finish 0
runs_on node2 200
gone_from node1 200
records node2 200
wait_until_clean
second_try node2 200
records node1 200
