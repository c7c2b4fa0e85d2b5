#!/bin/bash
# FAULTS 49: two guests move in opposite directions at once.
. "$(dirname "$0")/../lab/live.sh"

fresh_lab
vm node1 100
vm node2 101
both_move() { memory_moves node1 100 && memory_moves node2 101; }
begin node1 100 node2 --online --bwlimit 10240
first=$begun first_output=$output
output=$(mktemp)
begin node2 101 node1 --online --bwlimit 10240
wait_until "both move at once" 30 both_move
finish 0
begun=$first output=$first_output
finish 0
moved node2 100
moved node1 101
second_try node2 100 --online
second_try node1 101 --online
