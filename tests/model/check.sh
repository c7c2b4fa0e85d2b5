#!/bin/bash
# Searches the model of the ownership protocol for every order of events, in each mode; then shows that the search finds mistakes that
# are put into the model on purpose: what cannot fail proves nothing.
#
#	tests/model/check.sh BUILD		a trail is left in BUILD/model/NAME; README.md says how it is read
#	FAULTS=3 tests/model/check.sh BUILD	more faults at a time: three need twice the time and 300 MB
set -u
model=$(cd "$(dirname "$0")" && pwd)
out=$1/model
faults=${FAULTS:-2}
mkdir -p "$out"
"$1/tests/model/tables" >"$out/tables.h" || exit 1
wrong=0

# search NAME MODE OPTIMIZE [-D...]: what spin says is in $out/NAME/said. Status 0: no error was found, 1: one was, 2: it was not
# searched to the end.
search() {
	local name=$1 mode=$2 optimize=$3
	shift 3
	rm -rf "${out:?}/$name"
	mkdir -p "$out/$name"
	cp "$model/ownership.pml" "$out/tables.h" "$out/$name"
	(
		cd "$out/$name" || exit 2
		spin -a "-DMODE=$mode" "-DFAULTS=$faults" "$@" ownership.pml >generated || exit 2
		gcc "$optimize" -DSAFETY -DNOFAIR -DCOLLAPSE -DNOBOUNDCHECK -DVECTORSZ=512 -w -o pan pan.c || exit 2
		./pan -m100000 -n >said 2>&1
		if grep -qE 'error: max search depth|out of memory|resizing hash|truncated' said; then exit 2; fi
		grep -q 'errors: 0' said && exit 0
		grep -q 'errors: [1-9]' said && exit 1
		exit 2
	) 2>"$out/$name/errors"
}

for mode in RESTART OFFLINE LIVE; do
	search "$mode" "$mode" -O2
	found=$?
	if [ "$found" = 0 ]; then
		echo "model: $mode, $faults faults: no error in $(awk '/states, stored/ { print $1 }' "$out/$mode/said") states"
	else
		echo "FAILED: model: $mode: $(grep -E '^pan|error' "$out/$mode/said" "$out/$mode/errors" "$out/$mode/generated" | sed -n 1,5p)"
		wrong=1
	fi
done

# finds MODE MISTAKE
finds() {
	search "$2" "$1" -O0 "-DMISTAKE_$2"
	found=$?
	if [ "$found" = 1 ]; then
		echo "model: finds $2"
	else
		echo "FAILED: model: $1: does not find the mistake $2 (status $found)"
		wrong=1
	fi
}
finds RESTART GIVE_UP_BEFORE_COMMITTED
finds RESTART SILENCE_IS_NEVER_KNEW
finds RESTART UNDO_WITHOUT_ASKING
finds RESTART PERMIT_OUTLIVES
finds OFFLINE OWNER_STAYS
finds RESTART COMMITTED_STARTS_AT_BOOT
exit "$wrong"
