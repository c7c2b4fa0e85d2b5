#!/bin/bash
# FAULTS 36: a container that ignores its halt signal goes on running. It is killed only with --force-stop.
. "$(dirname "$0")/../lab/containers.sh"

fresh_lab
ct node1 200 --deaf --autostart
migrate 1 node1 200 node2 --timeout 3
says "did not shut down within 3 s"
says "--force-stop"
as_it_was node1 200
[ "$(lab ticks 200 | tr ' ' '\n' | grep ^boots=)" = boots=1 ] || fail "it was started anew"
second_try node1 200 --timeout 3 --force-stop
