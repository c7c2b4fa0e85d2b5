# shellcheck shell=bash
# Process ids that are kept longer than one lab command runs: in a file with the start time, so that another process
# that has got the same number meanwhile is not taken for ours.

start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    [ "$1" != Z ] && echo "${20}"
}

# note_process FILE PID
note_process() {
    echo "$2 $(start_time "$2")" >"$1.new" && mv "$1.new" "$1"
}

# noted_process FILE: prints the pid if that process still lives.
noted_process() {
    local pid started
    [ -e "$1" ] && read -r pid started <"$1" && [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] && echo "$pid"
}

gone() {
    ! noted_process "$1" >/dev/null
}

# end_process FILE: kills it and waits until it is gone. PID 1 of a namespace takes all the others along.
end_process() {
    local pid
    if pid=$(noted_process "$1"); then
        kill -KILL "$pid"
        wait_for 20 gone "$1" || die "process $pid does not end"
    fi
    rm -f "$1"
}
