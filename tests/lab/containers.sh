# shellcheck shell=bash
# testing.sh for tests whose guests are containers: `. "$(dirname "$0")/../lab/containers.sh"`.

# shellcheck source=tests/lab/testing.sh
. "$(dirname "${BASH_SOURCE[0]}")/testing.sh"

# ct NODE ID [lab container options]: makes and starts a container, and waits until it ticks.
ct() {
    lab container "$@" --start
    lab wait-ticks "$2" 10
}

# state NODE ID: running, shut off, aside (its config is named config.vmmigrate, so that nothing starts it), or absent. lxc-info prints
# nothing for a container whose start is held.
state() {
    # shellcheck disable=SC2016
    on "$1" sh -c '
        dir=/var/lib/lxc/$1
        case $(timeout 10 lxc-info -s -H -n "$1" 2>/dev/null) in
            RUNNING) echo running ;;
            STOPPED | "") [ -e "$dir/config" ] && echo "shut off" || { [ -e "$dir/config.vmmigrate" ] && echo aside || echo absent; } ;;
            *) echo between ;;
        esac' - "$2"
}

# records NODE ID: `lab records` of a running container, whatever storage its root is on.
records() { lab records "$1" "$2" --file raw "/proc/$(on "$1" lxc-info -p -H -n "$2")/root/records"; }

# files_arrive NODE: waits until some files that --data made have arrived there, while the copy is not complete.
files_arrive() { wait_until "files arrive on $1" 60 on "$1" sh -c 'ls /var/lib/lxc/*/.vmmigrate-*/*/data/aaaad'; }

is_running() { [ "$(state "$1" "$2")" = running ]; }

# autostart NODE ID: enable or disable.
autostart() { on "$1" sh -c "grep -q '^lxc.start.auto = 1' /var/lib/lxc/$2/config && echo enable || echo disable"; }

# As in testing.sh, and nothing of ours may be left in the directories of containers.
eval "$(declare -f nothing_left | sed '1s/nothing_left/nothing_left_of_tasks/')"
nothing_left() {
    local node left
    nothing_left_of_tasks
    for node in node1 node2; do
        left=$(on "$node" sh -c '
            find /var/lib/lxc /var/lib/libvirt/images -maxdepth 2 -name ".vmmigrate-*" ! -name ".vmmigrate-seed-*"
            find /var/lib/lxc -maxdepth 2 -name config.vmmigrate
            find /var/lib/lxc -mindepth 1 -maxdepth 1 -empty
            pgrep -fa "[r]sync --server|[l]xc-hold"' || true)
        [ -z "$left" ] || fail "left on $node: $left"
    done
}

# slow_to_be_set_up NODE ID: from its next start on, on either node, the set-up of the container waits between start_waits and
# start_goes_on.
slow_to_be_set_up() {
    # shellcheck disable=SC2016
    on "$1" bash -euc 'mkdir /var/lib/lxc/$1/hooks; cat >/var/lib/lxc/$1/hooks/slow; chmod 755 /var/lib/lxc/$1/hooks/slow
        echo "lxc.hook.start-host = /var/lib/lxc/$1/hooks/slow" >>"/var/lib/lxc/$1/config"' - "$2" <<'HOOK'
#!/bin/sh
[ -e /run/set-up-waits ] || exit 0
touch /run/sets-up
while [ -e /run/set-up-waits ]; do sleep 0.05; done
HOOK
}

# As in testing.sh (for stop_after_commit), for a container that is slow_to_be_set_up.
start_waits() { on "$1" sh -c 'rm -f /run/sets-up; touch /run/set-up-waits'; }
until_it_starts() { wait_until "$1 sets it up" 60 on "$1" test -e /run/sets-up; }
start_goes_on() { on "$1" rm /run/set-up-waits; }
