#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# Without a terminal: plain lines, one for every ten percent, and no escape sequences.
. "$(dirname "$0")/lib.sh"

progress()
{
	for percent; do
		echo "{\"api\":1,\"seq\":$percent,\"type\":\"progress\",\"phase\":\"copy\",\"object\":\"vda\",\"done\":$((percent * 1048576)),\"total\":104857600,\"percent\":$percent,\"rate\":1048576,\"eta_s\":3}"
	done
}
{
	echo '{"api":1,"seq":0,"type":"phase","phase":"copy","state":"begin","object":"vda"}'
	progress 0 1 2 3 9 11 12 19 20 21 55 56
	echo '{"api":1,"seq":90,"type":"phase","phase":"copy","state":"done","object":"vda"}'
	echo '{"api":1,"seq":91,"type":"log","level":"warning","message":"slow"}'
	echo '{"api":1,"seq":92,"type":"phase","phase":"copy","state":"undo"}'
	echo "$done_ok"
} >"$fake/follow.json"
run 100 node2
expect_status 0
[ "$out" = "task $task on node1
copy vda
copy vda: 1 % (1.0 MiB of 100 MiB, 1.0 MiB/s)
copy vda: 11 % (11 MiB of 100 MiB, 1.0 MiB/s)
copy vda: 20 % (20 MiB of 100 MiB, 1.0 MiB/s)
copy vda: 55 % (55 MiB of 100 MiB, 1.0 MiB/s)
warning: slow
undo copy
TASK OK" ] || fail "other lines"
escape=$(printf '\033')
refuse "$out$err" "$escape"

run 100 node2 --quiet
[ "$out" = "warning: slow
TASK OK" ] || fail "more than warnings and the result"
