# shellcheck shell=bash disable=SC2034
# Names, places and words that every part of the lab uses.

LAB=${LAB:-default}
NODES=(node1 node2)              # the cluster
MACHINES=(node1 node2 store)     # everything that boots

# What lives while the lab is up; what lies on real disk meanwhile; what is kept for the next lab.
RUN=/run/vmmigrate-lab/$LAB
DISK=${VMMIGRATE_LAB_DISK:-/var/lib/vmmigrate-lab}/$LAB
CACHE=${VMMIGRATE_LAB_CACHE:-/var/cache/vmmigrate-lab}

# Seen only in the lab's own mount namespace: a tmpfs with the roots' upper layers and the serial logs.
FS=$RUN/fs

die() {
    echo "lab: $*" >&2
    exit 1
}

note() {
    [ -n "${LAB_QUIET:-}" ] || echo "$*" >&2
}

# wait_for SECONDS COMMAND...: until it succeeds, asked ten times a second: more often costs more than it gains.
wait_for() {
    local tries=$(($1 * 10))
    shift
    while ! "$@"; do
        ((tries-- > 0)) || return 1
        sleep 0.1
    done
}

check_machine() {
    local m
    for m in "${MACHINES[@]}"; do
        [ "$1" = "$m" ] && return
    done
    die "no machine '$1' in the lab: ${MACHINES[*]}"
}

check_node() {
    local n
    for n in "${NODES[@]}"; do
        [ "$1" = "$n" ] && return
    done
    die "no node '$1' in the lab: ${NODES[*]}"
}

check_id() {
    [[ $1 =~ ^[1-9][0-9]{0,8}$ ]] || die "'$1' is no guest id"
}

# One lab command at a time changes what is up. Children that stay must be started with 9>&-.
lock_lab() {
    local file=${RUN%/*}/.$LAB.lock
    while :; do
        mkdir -p "${RUN%/*}"
        exec 9>"$file" && flock 9
        # "down" removes the file; who waited on the old one locks again.
        [ ! "$file" -ef /proc/self/fd/9 ] || break
    done
}

# address NUMBER NETWORK: 0 is the guests' network, 1 the migration network.
address_of() {
    local host
    case $1 in
        node1) host=1 ;;
        node2) host=2 ;;
        store) host=10 ;;
    esac
    echo "10.$((77 + ${2:-0})).0.$host"
}
