#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# A command that needs a task accepts the name of its guest instead.
. "$(dirname "$0")/lib.sh"

cat >"$fake/status.sh" <<'END'
case $request in
*'"guest":"100"'*) echo '{"api":1,"record":{"owner":"node1","state":"source","task":"t:1"},"task":{"task":"t:1","guest":"100","state":"running"}}' ;;
*'"task":"t:1"'*) echo '{"api":1,"task":{"task":"t:1","guest":"100","state":"running"}}' ;;
*) echo '{"api":1,"error":{"code":"no-such-task","message":"no such task","hint":null,"exit":5}}'; exit 5 ;;
esac
END
reply tasks 0 '{"api":1,"tasks":[{"task":"t:0","guest":"100","started":1},{"task":"t:1","guest":"100","started":2}]}'
run cancel 100
expect_status 0
expect "$asked" 'cancel {"api":1,"task":"t:1"}'
run status 100
expect_status 0
expect "$out" 'Owner    node1' 'Task     t:1'
reply log 0 '{"api":1,"log":"TASK OK"}'
run log 100
expect "$asked" 'log {"api":1,"task":"t:1"}'
reply recover 0 '{"api":1,"recovered":[]}'
run recover 100
expect "$asked" 'recover {"api":1,"guest":"100"}'
run recover 100 --keep target
expect "$asked" 'recover {"api":1,"task":"t:1","keep":"target"}'
reply tasks 0 '{"api":1,"tasks":[]}'
run status 300
expect_status 5
expect "$err" 'no such task'
for verb in log cancel; do
	run "$verb" 300
	expect_status 5
	expect "$err" 'no such task'
	refuse "$asked" "$verb {"
done
run log 300 --json
expect_status 5
expect "$out" '"code":"no-such-task"'
