#!/bin/sh
# All tests of the command. BUILD is where the programs are.
cd "$(dirname "$0")" || exit 1
failed=0
for test in test-*.sh; do
	# Whoever ignores signals, as a script does for what it runs in the background, would have the command ignore them.
	if env --default-signal=HUP,INT,TERM sh "./$test"; then
		echo "ok   $test"
	else
		echo "FAIL $test"
		failed=1
	fi
done
exit $failed
