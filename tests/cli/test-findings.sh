#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# All findings are shown, by severity, with code, object, message and remedy; a refusal ends with status 3.
. "$(dirname "$0")/lib.sh"

findings='[{"code":"clock-skew","severity":"warning","object":"node2","message":"its clock is 3 s ahead","hint":null,"ignored":false},
{"code":"cpu-incompatible","severity":"error","object":"node2","message":"lacks avx2","hint":"choose another CPU model","ignored":false},
{"code":"bridge-missing","severity":"override","object":"vmbr1","message":"is not on node2","hint":"make it, or --map-network","ignored":false},
{"code":"memory-short","severity":"override","object":"node2","message":"has too little","hint":"free some","ignored":true}]'
reply start 3 "{\"api\":1,\"error\":{\"code\":\"cpu-incompatible\",\"message\":\"lacks avx2\",\"hint\":null,\"exit\":3},\"findings\":$findings}"
run 100 node2 --online
expect_status 3
expect "$err" 'Refused:
  cpu-incompatible  node2: lacks avx2
      → choose another CPU model' 'Refused, but --ignore CODE overrides it:
  bridge-missing  vmbr1: is not on node2' 'Ignored:
  memory-short' 'Warnings:
  clock-skew  node2: its clock is 3 s ahead' 'refused for 2 reasons; nothing was changed'
[ -z "$out" ] || fail "something is on stdout"

# An object that the message names is not printed again before it.
reply plan 0 "{\"api\":1,\"plan\":null,\"eligible\":false,\"findings\":[{\"code\":\"bridge-missing\",\"severity\":\"error\",\"object\":\"vmbr1\",\"message\":\"VM 100 uses vmbr1\",\"hint\":null}]}"
run plan 100 node2
expect_status 3
expect "$out" 'bridge-missing  VM 100 uses vmbr1'

# --dry-run shows the plan and starts nothing.
reply plan 0 '{"api":1,"plan":{"mode":"restart","id":"100","name":"web","source":"node1","target":"node2","stops_guest":true,
"rounds":true,"volumes":[{"target":"vda","action":"copy","size":34359738368,"format":"qcow2","storage":"local","to_storage":"fast","track":"reflink","from":"/srv/a.qcow2"}],
"bytes":34359738368,"downtime_ms":12500},"findings":[{"code":"clock-skew","severity":"warning","object":"node2","message":"ahead","hint":null}]}'
run 100 node2 --dry-run
expect_status 0
expect "$out" 'Guest     100 (web)' 'restart' 'about 12.5 s' 'vda     copy    32 GiB  qcow2   local    fast  reflink  /srv/a.qcow2' \
	'clock-skew  node2: ahead'
refuse "$asked" 'start'

reply check 0 "{\"api\":1,\"guest\":{\"id\":\"100\",\"name\":\"web\",\"state\":\"running\"},\"targets\":[
{\"node\":\"node2\",\"eligible\":false,\"exit\":3,\"mode\":\"live\",\"findings\":$findings}]}"
run check 100 node2 --online
expect_status 3
expect "$out" '100 (web) is running' 'node2 cannot take it' 'cpu-incompatible  node2: lacks avx2'
expect "$asked" 'check {"api":1,"guest":"100","target":"node2","options":{"online":true}}'

# The status of a check is that with which the migration would be refused: 5 if there is no such node.
reply check 0 '{"api":1,"targets":[{"node":"nowhere","eligible":false,"exit":5,"mode":"live","findings":[
{"code":"target-unknown","severity":"error","object":"nowhere","message":"there is no node nowhere","hint":"did you mean node2?"}]}]}'
run check 100 nowhere
expect_status 5
expect "$out" 'there is no node nowhere' 'did you mean node2?'
