#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# Seeds are listed with the space that they take, and removed only with --prune.
. "$(dirname "$0")/lib.sh"

now=$(date +%s)
seed="{\"node\":\"node1\",\"guest\":\"qemu-100\",\"place\":\"/srv/a.raw\",\"allocated\":1073741824,\"state\":\"whole\",\"kept_us\":$(((now - 5 * 86400 - 60) * 1000000)),\"until_us\":0}"
foreign='{"node":"node2","place":"/srv/b.raw","allocated":1048576,"state":"foreign","kept_us":0}'
reply seeds 0 "{\"api\":1,\"seeds\":[$seed,$foreign],\"pruned\":[],\"errors\":[]}"
run seeds
expect "$asked" 'seeds {"api":1}'
expect "$out" 'NODE' 'qemu/100' '/srv/a.raw' '1.0 GiB' '5 days' 'whole' 'foreign'
refuse "$out" 'UNTIL' 'Removed'

run seeds --json
expect "$out" '"place":"/srv/a.raw"'

reply seeds 0 "{\"api\":1,\"seeds\":[$foreign],\"pruned\":[$seed],\"errors\":[]}"
run seeds node1 --prune
expect "$asked" '"node":"node1"' '"prune":"all"'
expect "$out" 'Removed: 1.0 GiB.' 'foreign'

reply seeds 0 '{"api":1,"seeds":[],"pruned":[],"errors":[]}'
run seeds
expect "$out" 'There are no seeds.'
run seeds --prune
expect "$out" 'There was no seed to remove.'
