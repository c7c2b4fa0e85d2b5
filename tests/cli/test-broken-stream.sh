#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# A stream that breaks is resumed after the last event; if it cannot be, that is reported.
. "$(dirname "$0")/lib.sh"

reply status 0 "{\"api\":1,\"task\":{\"task\":\"$task\",\"state\":\"running\"}}"
cat >"$fake/follow.sh" <<'END'
case $request in
*'"from":0'*) echo '{"api":1,"seq":4,"type":"log","level":"info","message":"first half"}' ;;
*'"from":5'*) cat follow.json ;;
esac
END
run 100 node2
expect_status 0
expect "$out" 'first half' 'TASK OK'

# The result was not in the stream, but is in the task's status.
reply status 8 "{\"api\":1,\"task\":{\"task\":\"$task\",\"state\":\"ended\"},\"result\":{\"exit\":8,\"message\":\"TASK WARNINGS: 2\"}}"
echo 0 >"$fake/status.status"
: >"$fake/follow.sh"
run 100 node2
expect_status 8
[ "$(last_line "$out")" = 'TASK WARNINGS: 2' ] || fail "another last line"

# The task's worker died: the engine says so in the stream, and the stream is not opened again.
reply status 0 "{\"api\":1,\"task\":{\"task\":\"$task\",\"state\":\"dead\"}}"
echo "echo '{\"api\":1,\"error\":{\"code\":\"worker-gone\",\"message\":\"no worker\",\"hint\":\"run: vmmigrate recover\",\"exit\":9}}'" >"$fake/follow.sh"
run 100 node2
expect_status 9
expect "$err" 'no worker' 'run: vmmigrate recover'
[ "$(grep -c ^follow "$fake/asked")" = 1 ] || fail "followed more than once"

# After an error that may pass the stream is opened again.
cat >"$fake/follow.sh" <<'END'
if [ -e once ]; then
	cat follow.json
else
	touch once
	echo '{"api":1,"error":{"code":"target-unreachable","message":"away","hint":null,"exit":3}}'
fi
END
run 100 node2
expect_status 0
expect "$out" 'TASK OK'
refuse "$err" 'away'

VMMIGRATE_ENGINE=/nowhere run 100 node2
expect_status 1
expect "$err" 'no vmmigrate-engine'
VMMIGRATE_PLUGIN=/nowhere run 100 node2
expect_status 1
expect "$err" 'plug-in cannot be loaded'
VMMIGRATE_ENGINE=/nowhere run --help
expect_status 0
expect "$out" 'vmmigrate GUEST TARGET' 'The options cannot be shown'
"$vmmigrate" help >/dev/full 2>"$fake/err" && fail "a full disk is not noticed"
expect "$(cat "$fake/err")" 'cannot write'
