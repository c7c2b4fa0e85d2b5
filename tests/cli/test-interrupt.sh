#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# Ctrl-C cancels and waits for the roll-back; the second one only stops watching. If the terminal is closed, the task goes
# on.
. "$(dirname "$0")/lib.sh"

cat >"$fake/cancel.sh" <<'END'
touch cancelled
echo '{"api":1}'
END
cat >"$fake/follow.sh" <<'END'
echo '{"api":1,"seq":1,"type":"phase","phase":"copy","state":"begin"}'
for _ in $(seq 100); do
	[ -e cancelled ] && break
	sleep 0.1
done
echo '{"api":1,"seq":2,"type":"phase","phase":"copy","state":"undo"}'
for _ in $(seq 100); do
	[ -e rolled-back ] && break
	sleep 0.1
done
echo '{"api":1,"seq":3,"type":"result","exit":7,"message":"TASK ERROR: cancelled; guest runs on node1"}'
END

keys()
{
	after 'copy' '\003'
	after 'undo copy' ''
	touch "$fake/rolled-back"
	after 'TASK ERROR' ''
}
terminal 100 node2 --yes
expect_status 7
expect "$screen" 'Cancelling: waits until everything is rolled back' 'undo copy' 'TASK ERROR: cancelled; guest runs on node1'
expect "$asked" "cancel {\"api\":1,\"task\":\"$task\"}"

rm "$fake/rolled-back" "$fake/cancelled"
keys()
{
	after 'copy' '\003'
	after 'undo copy' '\003'
	after 'Follow it again' ''
}
terminal 100 node2 --yes
expect_status 130
expect "$screen" "The task goes on. Follow it again with: vmmigrate status $task"
[ "$(grep -c ^cancel "$fake/asked")" = 1 ] || fail "cancelled more than once"

# Watching a task by `status` cancels nothing.
rm "$fake/cancelled"
reply status 0 "{\"api\":1,\"task\":{\"task\":\"$task\",\"guest\":\"100\",\"state\":\"running\"}}"
keys()
{
	after 'copy' '\003'
	after 'Follow it again' ''
}
terminal status "$task"
expect_status 130
refuse "$asked" 'cancel'

for signal in HUP TERM; do
	: >"$fake/asked"
	"$vmmigrate" 100 node2 >"$fake/out" 2>"$fake/err" &
	process=$!
	for _ in $(seq 100); do
		grep -q copy "$fake/out" && break
		sleep 0.1
	done
	kill -s $signal $process
	wait $process
	status=$?
	asked=$(cat "$fake/asked")
	[ $status -gt 128 ] || fail "status $status after SIG$signal"
	expect "$(cat "$fake/out")" 'The task goes on'
	refuse "$asked" 'cancel'
done
