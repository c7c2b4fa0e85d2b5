#!/bin/bash
# FAULTS 10: the link is down for ten seconds while memory moves: the migration completes.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100
begin_slowly node1 100
lab link node2 drop
sleep 10
lab link node2 up
finish 0
moved node2 100
second_try node2 100 --online
