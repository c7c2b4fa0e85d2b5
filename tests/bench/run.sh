#!/bin/bash
# `make bench`: measures ours and its peers in interleaved runs and writes the table of targets (ours, the peer's, the ratio, met or
# short) to tests/bench/RESULTS.md.
#   run.sh BUILD		BENCH=quick: smaller images, fewer runs; BENCH=tiny only tests the bench itself and writes no RESULTS.md
#
#   copies.sh    single volumes over a real sshd on loopback, on tmpfs and on disk, against rsync, dd and plain TCP
#   machines.sh  whole migrations between two nodes of tests/lab, against scripts of rsync, dd and virsh
#   targets, table.awk   the targets, and how the figures are compared with them
# Ctrl-C ends it and takes everything down.
# BENCH_PARTS="copies machines" chooses the parts; BENCH_NOTES is a file of notes from an earlier run of the other part; BENCH_DIR is
# the directory for images on disk (/var/tmp), from which everything is removed in the end.

set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
build=$(readlink -f "${1:?usage: run.sh BUILD}")
parts=${BENCH_PARTS:-copies machines}
[ "$(id -u)" = 0 ] || { echo "bench: needs root" >&2 && exit 1; }
work=$(mktemp -d "${BENCH_DIR:-/var/tmp}/vmmigrate-bench.XXXXXX")
notes=$work/notes
part='' signal=''

leave() {
    trap - EXIT
    trap '' INT TERM
    [ -z "$part" ] || kill -"$signal" -- "-$part" 2>/dev/null || true
    [ -z "$part" ] || wait "$part" 2>/dev/null || true
    rm -rf "$work"
}
trap leave EXIT
trap 'exit 130' INT TERM

load() { cut -d' ' -f1-3 /proc/loadavg; }

# run SIGNAL COMMAND...: runs a part. If it fails, the bench fails, and still shows what was measured. On Ctrl-C the SIGNAL goes to the
# part's session: unshare obeys only KILL, which ends everything in its namespaces; the lab has to be taken down in order.
failed=
run() {
    signal=$1
    setsid "${@:2}" </dev/null &
    part=$!
    wait "$part" || failed=1
    part=
}

version() { "$@" 2>&1 | sed -n 1p || true; }

surroundings() {
    echo "- $(date -u +%Y-%m-%d), \`BENCH=${BENCH:-full}\`, $took minutes; load average before: $load_before, after: $(load)"
    echo "- $(nproc) cores, $(sed -n 's/^model name.*: //p' /proc/cpuinfo | sed -n 1p), $(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r | cut -d- -f1); both ends on this machine; disk: $(stat -f -c %T "$work")"
    echo "- vmmigrate $(git -C "$here" rev-parse --short HEAD 2>/dev/null || echo unknown), $(version rsync --version | awk '{ print $1, $3 }'), librsync $(dpkg-query -W -f '${Version}' librsync2), libssh $(pkg-config --modversion libssh), $(version ssh -V | cut -d, -f1), $(version openssl version | cut -d' ' -f1,2), libvirt $(pkg-config --modversion libvirt), $(version qemu-system-x86_64 --version | cut -d'(' -f1)"
}

table() { awk -f "$here/table.awk" "$here/targets" "$notes"; }

cat "${BENCH_NOTES:-/dev/null}" >"$notes"
load_before=$(load)
echo "bench: load average $load_before on $(nproc) cores" >&2
awk -v cores="$(nproc)" '{ exit $1 < cores / 2 }' /proc/loadavg && echo "bench: others are at work here: expect rows that are noisy" >&2
for one in $parts; do
    case $one in
        copies) run KILL unshare --mount --pid --fork --kill-child --mount-proc "$here/copies.sh" "$build" "$work" "$notes" ;;
        machines) run TERM "$here/machines.sh" "$build" "$notes" ;;
        *) echo "bench: no part '$one'" >&2 && exit 2 ;;
    esac
done
took=$(((SECONDS + 59) / 60))
table
if [ "${BENCH:-}" != tiny ]; then
    {
        cat "$here/results.head"
        surroundings
        echo
        table
        [ -z "$failed" ] || printf '\nA part of the run failed: its later rows are missing.\n'
        # The text in findings.md, written by people, is appended under its own heading.
        ! [ -e "$here/findings.md" ] || { echo && cat "$here/findings.md"; }
    } >"$here/RESULTS.md.new"
    mv "$here/RESULTS.md.new" "$here/RESULTS.md"
    echo "written: tests/bench/RESULTS.md"
fi
[ -z "$failed" ]
