#!/bin/sh
# What a panel that loads vmmigrate.so relies on. Usage: run.sh BUILD
set -eu
build=$(cd "$1" && pwd)
so=$build/vmmigrate.so

symbols=$(nm -D --defined-only "$so" | awk '$2 == "T" || $2 == "D" || $2 == "B" || $2 == "R" {print $3}')
[ "$symbols" = "vmmigrate_plugin@@VMMIGRATE_1" ] || {
	echo "exported: $symbols" >&2
	exit 1
}

libraries=$(readelf -d "$so" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
[ "$libraries" = "libc.so.6 " ] || {
	echo "links $libraries" >&2
	exit 1
}

VMMIGRATE_PLUGIN=$so VMMIGRATE_ENGINE=$build/tests/abi/fake-engine "$build/tests/abi/test-plugin"
