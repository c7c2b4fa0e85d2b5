#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# Text from guests and other nodes cannot control the terminal, break a table or change the writing direction.
. "$(dirname "$0")/lib.sh"
escape=$(printf '\033')

reply guests 0 '{"api":1,"guests":[{"id":"100","name":"a\u001b]0;owned\u0007b\nc\u009bd\u202ee\u0000f","kind":"qemu","state":"running","node":"node1"},
{"id":"101","name":"grün 日本","kind":"lxc","state":"stopped","node":"node1"}]}'
run list
expect_status 0
expect "$out" 'a\x1b]0;owned\x07b\x0ac\u009bd\u202ee\x00f' 'grün 日本'
refuse "$out" "$escape"
[ "$(printf '%s\n' "$out" | wc -l)" = 3 ] || fail "a name has made a line"

LC_ALL=C run list
expect "$out" 'gr\u00fcn \u65e5\u672c'

events '{"api":1,"seq":1,"type":"log","level":"info","message":"says\u001b[2J"}' \
	'{"api":1,"seq":2,"type":"result","exit":1,"message":"TASK ERROR: \u001b[2J"}'
run 100 node2
expect "$out" 'says\x1b[2J' 'TASK ERROR: \x1b[2J'
refuse "$out" "$escape"

reply log 0 '{"api":1,"log":"one\n\ttwo\u001b\nTASK OK\n"}'
run log "$task"
[ "$out" = "$(printf 'one\n\ttwo\\x1b\nTASK OK')" ] || fail "the log's lines"
