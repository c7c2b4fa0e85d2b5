# shellcheck shell=bash
# Each node has a cgroup (version 2) of its own, which is the root of the tree that it sees.

cgroup_mount() {
    local line fields
    while read -r line; do
        # shellcheck disable=SC2206
        fields=($line)
        [[ $line == *" - cgroup2 "* ]] && echo "${fields[4]}" && return
    done </proc/self/mountinfo
    return 1
}

cgroup_of() {
    echo "$(cgroup_mount)/vmmigrate-lab-$LAB/$1"
}

# cgroup_enter MACHINE: puts the calling process into the machine's cgroup.
cgroup_enter() {
    local dir
    dir=$(cgroup_of "$1")
    mkdir -p "$dir"
    echo "$BASHPID" >"$dir/cgroup.procs"
}

cgroup_remove() {
    local dir
    dir=$(cgroup_mount)/vmmigrate-lab-$LAB${1:+/$1}
    [ -d "$dir" ] || return 0
    find "$dir" -depth -type d -exec rmdir {} + 2>/dev/null
    [ ! -d "$dir" ]
}
