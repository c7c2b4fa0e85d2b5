#!/bin/sh
# All tests of the command. BUILD is the directory of the programs.
cd "$(dirname "$0")" || exit 1
failed=0
for test in test-*.sh; do
	# A script's background jobs ignore signals, and the command would inherit that.
	if env --default-signal=HUP,INT,TERM sh "./$test"; then
		echo "ok   $test"
	else
		echo "FAIL $test"
		failed=1
	fi
done
exit $failed
