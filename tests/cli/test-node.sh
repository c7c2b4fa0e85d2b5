#!/bin/sh
# shellcheck source-path=SCRIPTDIR source=lib.sh disable=SC2317
# A new node's host key is shown, and trusted only if the user answers yes.
. "$(dirname "$0")/lib.sh"

cat >"$fake/node-add.sh" <<'END'
case $request in
*'"accept":true'*) echo '{"api":1,"node":"node2","address":"10.0.0.2","fingerprint":"SHA256:abc","known":false,"tests":[{"from":"node1","to":"node2","ok":true},{"from":"node2","to":"node1","ok":true}]}' ;;
*) echo '{"api":1,"error":{"code":"host-key-unknown","message":"the host key of node2 (10.0.0.2) is not known: SHA256:abc","hint":"--accept","exit":3}}'; exit 3 ;;
esac
END
run node add node2 10.0.0.2
expect_status 3
expect "$err" 'host key of node2 (10.0.0.2) is not known: SHA256:abc' '--accept'
run node add node2 10.0.0.2 --accept
expect_status 0
[ "$out" = "node2 at 10.0.0.2, host key SHA256:abc
FROM   TO     RESULT
node1  node2  ok
node2  node1  ok" ] || fail "another report"
expect "$asked" 'node-add {"api":1,"name":"node2","address":"10.0.0.2","accept":true}'

keys() { after '[y/N]' 'n\n'; }
terminal node add node2 10.0.0.2
expect_status 7
expect "$screen" 'SHA256:abc' 'Nothing was changed.'
keys() { after '[y/N]' 'y\n'; }
terminal node add node2 10.0.0.2
expect_status 0
expect "$screen" 'SHA256:abc' 'node2  node1  ok'

reply node-test 0 '{"api":1,"tests":[{"from":"node1","to":"node2","ok":true,"error":null},{"from":"node2","to":"node1","ok":false,"error":{"message":"no key"}}]}'
run node test
expect_status 1
[ "$out" = "FROM   TO     RESULT  WHY
node1  node2  ok
node2  node1  failed  no key" ] || fail "another table"

# What is to be done about it stands below the table.
reply node-test 0 '{"api":1,"tests":[{"from":"node1","to":"node2","ok":false,"error":{"message":"one host UUID","hint":"give one of them its own"}}]}'
run node test
expect_status 1
[ "$out" = "FROM   TO     RESULT  WHY
node1  node2  failed  one host UUID
node1 to node2: give one of them its own" ] || fail "another report"

reply node-test 1 '{"api":1,"error":{"code":"refused","message":"node2 does not answer","hint":null,"exit":1}}'
run node test node2
expect_status 1
expect "$err" 'node2 does not answer'

# A node is removed everywhere; a node that cannot be told is a failure.
reply node-remove 0 '{"api":1,"removed":[{"from":"node1","ok":true},{"from":"node3","ok":false,"error":{"message":"no route"}}]}'
run node remove node2
expect_status 1
expect "$out" 'node1  removed' 'node3  failed   no route'
expect "$asked" 'node-remove {"api":1,"name":"node2"}'
