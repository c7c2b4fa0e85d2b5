#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# On a terminal: one live line that fits the width, colour unless NO_COLOR, and the result as the last line.
. "$(dirname "$0")/lib.sh"
escape=$(printf '\033')

events '{"api":1,"seq":1,"type":"phase","phase":"copy","state":"begin","object":"vda"}' \
	'{"api":1,"seq":2,"type":"progress","phase":"copy","object":"vda","done":50,"total":100,"percent":50,"rate":123731968,"eta_s":90,"round":2}' \
	'{"api":1,"seq":3,"type":"log","level":"warning","message":"slow"}' "$done_ok"
cat >"$fake/follow.sh" <<'END'
while read -r line; do
	echo "$line"
	sleep 0.2
done <follow.json
END
terminal 100 node2 --yes
expect_status 0
expect "$screen" 'copy vda' '50 %  118 MiB/s  1:30 left  round 2' '━━━━' "${escape}[33mwarning: slow" "${escape}[32mTASK OK"

NO_COLOR=1 terminal 100 node2 --yes
expect "$screen" '━━━━' 'warning: slow'
refuse "$screen" "${escape}[3" "${escape}[1m"

terminal 100 node2 --yes --no-color
refuse "$screen" "${escape}[3" "${escape}[1m"

LC_ALL=C terminal 100 node2 --yes
expect "$screen" '###'
refuse "$screen" '━'

# For a directory tree the files are counted, too.
events '{"api":1,"seq":1,"type":"progress","phase":"copy","object":"rootfs","done":50,"total":100,"percent":50,"files":30,"files_total":1200}' "$done_ok"
columns=120 NO_COLOR=1 terminal 200 node2 --yes
expect "$screen" 'copy rootfs' '30 of 1200 files'
run 200 node2 --yes
expect "$out" 'copy rootfs: 50 % (50 B of 100 B, 30 of 1200 files)'
events '{"api":1,"seq":1,"type":"phase","phase":"copy","state":"begin","object":"vda"}' \
	'{"api":1,"seq":2,"type":"progress","phase":"copy","object":"vda","done":50,"total":100,"percent":50,"rate":123731968,"eta_s":90,"round":2}' "$done_ok"

# No line is longer than a narrow terminal is wide.
columns=40 NO_COLOR=1 terminal 100 node2 --yes
expect "$screen" 'copy vda' '50 %'
longest=$(printf '%s\n' "$screen" | sed "s/.*${escape}\[K//" | awk '{ if (length($0) > most) most = length($0) } END { print most }')
[ "$longest" -le 40 ] || fail "a line of $longest columns"

TERM=dumb terminal 100 node2 --yes
refuse "$screen" "$escape"

# A long last column is folded, and its further lines begin below its first.
reply tasks 0 '{"api":1,"tasks":[{"task":"t1","guest":"100","state":"ended","result":{"message":"TASK ERROR: one two three four five six seven"}},{"task":"t2","guest":"101","state":"ended","result":{"message":"TASK OK"}}]}'
columns=50 NO_COLOR=1 terminal tasks
expect "$screen" 't1    100    ended  TASK ERROR: one two three four
                    five six seven
t2    101    ended  TASK OK'

# A path is folded at its slashes: the whole plan of a disk fits a terminal of 80 columns.
reply plan 0 '{"api":1,"plan":{"mode":"restart","id":"101","source":"node1","target":"node2","rounds":true,"volumes":[{"target":"vda","action":"copy","size":34359738368,"format":"qcow2","storage":"images","to_storage":"vg0","track":"reflink","from":"/var/lib/libvirt/images/database.qcow2"}],"bytes":1,"downtime_ms":5000},"findings":[]}'
columns=80 NO_COLOR=1 terminal plan 101 node2
expect "$screen" 'VOLUME  ACTION  SIZE    FORMAT  STORAGE  TO   TRACK    PATH
vda     copy    32 GiB  qcow2   images   vg0  reflink  /var/lib/libvirt/images/
                                                       database.qcow2'
