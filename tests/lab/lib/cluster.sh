# shellcheck shell=bash
# The two nodes become a cluster by the command that an administrator would type on each of them.

# lab join
verb_join() {
    local node other
    [ $# -eq 0 ] || die "usage: lab join"
    for node in "${NODES[@]}"; do
        for other in "${NODES[@]}"; do
            [ "$node" != "$other" ] || continue
            note "$node: vmmigrate node add $other $(address_of "$other")"
            node_exec "$node" vmmigrate node add "$other" "$(address_of "$other")" </dev/null || die "$node cannot add $other"
        done
    done
}
