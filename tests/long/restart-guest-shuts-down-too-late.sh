#!/bin/bash
# FAULTS 36, 21: a shutdown request cannot be withdrawn. A guest that obeys it only after the time limit, or after
# somebody has cancelled, is started again on the source.
. "$(dirname "$0")/../lab/testing.sh"

boots() { lab ticks 100 | tr ' ' '\n' | grep ^boots=; }

fresh_lab
vm node1 100 --disk dir --size 64M --data 8 --autostart --slow 7
migrate 1 node1 100 node2 --restart --timeout 4
says "did not shut down within 4 s"
lab wait-ticks 100 10
[ "$(boots)" = boots=2 ] || fail "not started again: $(boots)"
as_it_was node1 100

begin node1 100 node2 --restart
until_says "shutting down"
migrate 0 node1 cancel 100
finish 7
lab wait-ticks 100 10
[ "$(boots)" = boots=3 ] || fail "not started again: $(boots)"
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
