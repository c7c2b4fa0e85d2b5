#!/bin/bash
# FAULTS 7, 40: a hook before the switch that fails, or hangs, refuses the migration in its own words. A hook after the
# migration that fails is a warning. A check hook that fails refuses in the check, in the plan and in the run.
. "$(dirname "$0")/../lab/testing.sh"

hook() { # NODE PHASE, the script on stdin
    on "$1" sh -c "mkdir -p /etc/vmmigrate/hooks.d/$2.d; cat >/etc/vmmigrate/hooks.d/$2.d/50-test
        chmod 755 /etc/vmmigrate/hooks.d/$2.d/50-test"
}
no_hooks() { for node in node1 node2; do on "$node" sh -c 'rm -f /etc/vmmigrate/hooks.d/*/50-test'; done; }

fresh_lab
vm node1 100 --disk dir --size 64M --data 8 --autostart
hook node2 check <<<'#!/bin/sh
echo "no guests today" >&2; exit 1'
for ask in "check 100 node2" "100 node2 --restart --dry-run" "100 node2 --restart"; do
    # shellcheck disable=SC2086
    migrate 3 node1 $ask
    says "50-test on node2 refuses the migration: no guests today"
done
as_it_was node1 100
migrate 3 node1 check 100 node2 --json
says '"code":"hook-veto"'

no_hooks
hook node2 pre-migrate <<<'#!/bin/sh
echo "the backup is running" >&2; exit 1'
hook node1 failed <<<'#!/bin/sh
echo "$@ $VMMIGRATE_TARGET" >/run/failed'
migrate 3 node1 100 node2 --restart
says "the backup is running"
as_it_was node1 100
[ "$(on node1 cat /run/failed)" = "100 failed node2" ] || fail "the failed hook did not run"

no_hooks
hook node1 pre-switch <<<'#!/bin/sh
sleep 1000'
migrate 3 node1 100 node2 --restart
says "took longer than 10 s"
as_it_was node1 100
[ -z "$(on node1 pgrep -x sleep -a | grep 1000)" ] || fail "the hook still runs"

no_hooks
# Longer than a node may be silent: ALIVE frames keep the link up.
hook node2 pre-migrate <<<'#!/bin/sh
sleep 4'
hook node2 post-migrate <<<'#!/bin/sh
echo "monitoring is down" >&2; exit 1'
migrate 0 node1 100 node2 --restart
says "monitoring is down"
says "TASK WARNINGS"
runs_on node2 100
gone_from node1 100
no_hooks
second_try node2 100 --restart
lab records node1 100
