#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# --json: replies as one line each, events as they are, and nothing else.
. "$(dirname "$0")/lib.sh"

events '{"api":1,"seq":1,"type":"log","level":"info","message":"a\u001bb"}' "$done_ok"
run 100 node2 --json
expect_status 0
[ "$out" = "{\"api\":1,\"task\":\"$task\",\"node\":\"node1\"}
{\"api\":1,\"seq\":1,\"type\":\"log\",\"level\":\"info\",\"message\":\"a\\u001bb\"}
$done_ok" ] || fail "not the lines of the engine"
[ -z "$err" ] || fail "something is on stderr"

reply guests 0 '{"api":1,"guests":[{"id":"100"}]}'
run list --json
[ "$out" = '{"api":1,"guests":[{"id":"100"}]}' ] || fail "not the reply"

reply start 3 '{"api":1,"error":{"code":"vetoed","message":"no","hint":null,"exit":3},"findings":[]}'
run --json 100 node2
expect_status 3
[ "$out" = '{"api":1,"error":{"code":"vetoed","message":"no","hint":null,"exit":3},"findings":[]}' ] || fail "not the reply"
[ -z "$err" ] || fail "something is on stderr"
