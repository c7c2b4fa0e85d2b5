#!/bin/bash
# `make install` makes a directory for each hook in the table, and for nothing else, in /etc and in /usr/lib. Needs no root.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

hooks=$(echo '{}' | "$build/vmmigrate-engine" info | jq -r '.hooks[] | .name + ".d"' | sort)
[ -n "$hooks" ] || { echo "FAIL: info lists no hooks"; exit 1; }
make --no-print-directory BUILD="$build" DESTDIR="$dir" install >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
for parent in etc/vmmigrate usr/lib/vmmigrate; do
	made=$(ls "$dir/$parent/hooks.d" | sort)
	[ "$made" = "$hooks" ] && continue
	echo "FAIL: /$parent/hooks.d differs from the table of hooks:"
	diff <(echo "$hooks") <(echo "$made")
	exit 1
done
echo "hooks: the installed directories are those of the table"
