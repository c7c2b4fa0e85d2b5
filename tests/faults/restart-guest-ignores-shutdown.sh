#!/bin/bash
# FAULTS 36: a guest that ignores the power button goes on running. It is killed only with --force-stop.
. "$(dirname "$0")/../lab/testing.sh"

fresh_lab
vm node1 100 --disk dir --size 64M --data 8 --autostart --deaf
migrate 1 node1 100 node2 --restart --timeout 3
says "did not shut down within 3 s"
says "--force-stop"
says "should it go off later, start it"
as_it_was node1 100
[ "$(lab ticks 100 | tr ' ' '\n' | grep ^boots=)" = boots=1 ] || fail "it was started anew"
second_try node1 100 --restart --timeout 3 --force-stop
lab records node2 100
