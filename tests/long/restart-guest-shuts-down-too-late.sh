#!/bin/bash
# FAULTS 36, 21: the wish to shut down cannot be taken back. A guest that obeys only after the time is over, or after somebody has
# cancelled, is started again where it was.
. "$(dirname "$0")/../lab/testing.sh"

starts() { lab ticks 100 | tr ' ' '\n' | grep ^boots=; }

fresh_lab
vm node1 100 --disk dir --size 64M --data 8 --autostart --slow 7
migrate 1 node1 100 node2 --restart --timeout 4
says "did not shut down within 4 s"
lab wait-ticks 100 10
[ "$(starts)" = boots=2 ] || fail "not started again: $(starts)"
as_it_was node1 100

begin node1 100 node2 --restart
until_says "shutting down"
migrate 0 node1 cancel 100
finish 7
lab wait-ticks 100 10
[ "$(starts)" = boots=3 ] || fail "not started again: $(starts)"
as_it_was node1 100
second_try node1 100 --restart
lab records node2 100
