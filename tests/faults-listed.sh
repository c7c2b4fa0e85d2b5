#!/bin/bash
# Every fault number that a test cites ("FAULTS 18, 45: ...") has a row in tests/faults/README.md which names that test, and every
# test that a row names exists. Prints what is wrong; status 1 if anything is.
set -u
cd "$(dirname "$0")/.." || exit 2
list=tests/faults/README.md
wrong=0
say() { echo "$*" >&2; wrong=1; }

# row NUMBER: its line of the table.
row() { grep -E "^\| $1 \|" "$list"; }

cited=0
while IFS=: read -r test numbers; do
	for number in ${numbers//,/ }; do
		cited=$((cited + 1))
		[ "$(row "$number" | wc -l)" = 1 ] || { say "$test cites fault $number, which is not in $list"; continue; }
		row "$number" | grep -E "[ ,]${test#tests/}[ ,]" >/dev/null || say "$list: row $number does not name $test, which cites it"
	done
done < <(grep -roE --exclude-dir=lab --exclude=faults-listed.sh --exclude=README.md 'FAULTS [0-9]+(, [0-9]+)*' tests |
	sed 's/FAULTS //')
[ "$cited" -gt 50 ] || say "only $cited citations of faults were found in tests/"

while read -r test; do
	[ -f "tests/$test" ] || say "$list names tests/$test, which does not exist"
done < <(grep '^| [0-9]' "$list" | grep -oE '[a-z]+/[a-z0-9-]+\.(sh|c)\b' | sort -u)
exit "$wrong"
