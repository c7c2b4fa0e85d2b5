# shellcheck shell=bash disable=SC2034
# Names, paths and functions that every part of the lab uses.

LAB=${LAB:-default}
NODES=(node1 node2)              # the cluster
MACHINES=(node1 node2 store)     # everything that boots

# Directories: in memory while the lab is up; on disk while the lab is up; the cache for the next lab.
RUN=/run/vmmigrate-lab/$LAB
DISK=${VMMIGRATE_LAB_DISK:-/var/lib/vmmigrate-lab}/$LAB
CACHE=${VMMIGRATE_LAB_CACHE:-/var/cache/vmmigrate-lab}

# A tmpfs in the lab's own mount namespace, with the upper layers of the roots and the serial logs.
FS=$RUN/fs

die() {
    echo "lab: $*" >&2
    exit 1
}

note() {
    [ -n "${LAB_QUIET:-}" ] || echo "$*" >&2
}

# wait_for SECONDS COMMAND...: runs it ten times a second until it succeeds.
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

# Only one lab command at a time may change what is up. Child processes that stay must be started with 9>&-.
lock_lab() {
    local file=${RUN%/*}/.$LAB.lock
    while :; do
        mkdir -p "${RUN%/*}"
        exec 9>"$file" && flock 9
        # "down" removes the file; a command that has waited for the old file locks the new one.
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
