#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# A command without an option of the mode that would stop a running guest asks on a terminal, and only there.
. "$(dirname "$0")/lib.sh"

reply plan 0 '{"api":1,"plan":{"mode":"restart","id":"100","name":"web","source":"node1","target":"node2","running":true,"stops_guest":true,"downtime_ms":12000},"findings":[]}'

keys() { after '[y/N]' 'n\n'; }
terminal 100 node2
expect_status 7
expect "$screen" '100 (web) is running' 'off for about 12.0 s' 'Nothing was changed.'
refuse "$asked" 'start'

keys() { after '[y/N]' 'y\n'; }
terminal 100 node2
expect_status 0
expect "$asked" 'start' 'follow'

terminal 100 node2 --yes
expect_status 0
refuse "$screen" '[y/N]'
refuse "$asked" 'plan'

terminal 100 node2 --restart
expect_status 0
refuse "$screen" '[y/N]'

run 100 node2
expect_status 0
refuse "$asked" 'plan'

# Nothing is asked if the guest would not be stopped, or if the migration is refused.
reply plan 0 '{"api":1,"plan":{"mode":"offline","id":"100","target":"node2","stops_guest":false},"findings":[]}'
terminal 100 node2
expect_status 0
refuse "$screen" '[y/N]'

reply plan 3 '{"api":1,"error":{"code":"mode-needed","message":"100 runs: say how","hint":"--online, --non-live or --restart","exit":3}}'
terminal 100 node2
expect_status 3
expect "$screen" '100 runs: say how' '--online, --non-live or --restart'
refuse "$asked" 'start'
