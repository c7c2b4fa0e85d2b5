#!/bin/bash
# Under pipefail, a command whose reader ends early fails by SIGPIPE, now and then: `cmd | grep -q`, `| grep -m 1`, `| head`.
# `| grep >/dev/null`, `| sed -n 1p` and `<<<"$said"` read all of it. Prints each line of a script in tests/ that has such a reader;
# status 1 if there is one.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

ends_early='(^|[^|])\|[[:space:]]*(grep([[:space:]]+-[A-Za-z-]+)*[[:space:]]+(-[A-Za-z]*[qm]|--quiet|--max-count)|head\b)'
scripts=$(git ls-files tests .ci | while read -r file; do
	case $file in
		*.c | *.h | *.md | *.json | tests/pipes.sh | tests/fuzz/*) ;;
		*) echo "$file" ;;
	esac
done)
# shellcheck disable=SC2086
found=$(grep -nE -- "$ends_early" $scripts | grep -vE '^[^:]*:[0-9]*:[[:space:]]*#')
[ -z "$found" ] || {
	printf '%s\n' "$found" 'these readers end early, which fails the command before them under pipefail (tests/pipes.sh)' >&2
	exit 1
}
