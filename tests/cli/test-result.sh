#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# The last line is the result's message, the exit status is the result's.
. "$(dirname "$0")/lib.sh"

for status_of in 0 1 3 6 7 8 9; do
	events '{"api":1,"seq":1,"type":"phase","phase":"lock","state":"begin"}' \
		"{\"api\":1,\"seq\":2,\"type\":\"result\",\"exit\":$status_of,\"message\":\"TASK says $status_of\"}"
	run 100 node2
	expect_status "$status_of"
	[ "$(last_line "$out")" = "TASK says $status_of" ] || fail "the last line is another"
done

# A migration that cannot be started.
reply start 6 '{"api":1,"error":{"code":"locked","message":"guest 100 is locked by task x","hint":"wait","exit":6}}'
run 100 node2
expect_status 6
expect "$err" 'vmmigrate: guest 100 is locked by task x' '  wait'
refuse "$asked" follow

# The downtime is printed before the last line.
events '{"api":1,"seq":1,"type":"result","exit":0,"message":"TASK OK","statistics":{"downtime_ms":310}}'
reply start 0 "{\"api\":1,\"task\":\"$task\",\"node\":\"node1\"}"
run 100 node2
expect "$out" "downtime 0.31 s
TASK OK"

events '{"api":1,"seq":1,"type":"result","exit":0,"message":"TASK OK","statistics":{"downtime_ms":310,"shutdown_ms":2500}}'
run 100 node2
expect "$out" "downtime 0.31 s, after a shutdown of 2.50 s
TASK OK"
