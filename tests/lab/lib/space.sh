# shellcheck shell=bash
# The lab's namespaces: one process holds a mount, network, pid, uts and ipc namespace. The bridges, the tmpfs, the
# recorders and (in pid namespaces below it) the nodes are in them. When the process is killed, nothing is left.

# Runs as the first process of the new namespaces; /proc is still this machine's, so the pid is the one outside.
verb__space() {
    local pid
    read -r pid _ </proc/self/stat
    mount -t tmpfs -o mode=755 "lab-$LAB" "$FS"
    ip link set lo up
    local net
    for net in 0 1; do
        ip link add "sw$net" type bridge forward_delay 0 stp_state 0
        ip link set "sw$net" up
    done
    hostname "lab-$LAB"
    space_loops
    echo "$pid" >"$RUN/space.started"
    exec tini -s -g -- sleep infinity
}

# The device nodes of loop devices, made once and copied to each machine: mknod for each would take most of a boot's time.
space_loops() {
    local i
    mkdir "$FS/loops"
    for ((i = 0; i < 64; i++)); do
        mknod -m 660 "$FS/loops/loop$i" b 7 "$i"
    done
}

space_pid() {
    noted_process "$RUN/space"
}

space_up() {
    space_pid >/dev/null && return
    mkdir -p "$FS" "$DISK"
    rm -f "$RUN/space.started"
    setsid unshare --mount --net --pid --uts --ipc --fork -- "$LAB_DIR/lab" _space </dev/null >"$RUN/space.log" 2>&1 9>&- &
    wait_for 10 test -s "$RUN/space.started" || die "the lab's namespaces cannot be made: $(<"$RUN/space.log")"
    note_process "$RUN/space" "$(<"$RUN/space.started")"
}

# in_space COMMAND...: runs it in the lab's mount and network namespaces; it sees the processes of this machine.
in_space() {
    local pid
    pid=$(space_pid) || die "the lab '$LAB' is not up"
    nsenter --target "$pid" --mount --net -- "$@"
}

# space_spawn LOG COMMAND...: starts a process that runs until the lab goes down.
space_spawn() {
    local log=$1 pid
    shift
    pid=$(space_pid) || die "the lab '$LAB' is not up"
    setsid nsenter --target "$pid" --mount --net --pid -- "$@" </dev/null >>"$log" 2>&1 9>&- &
}

space_down() {
    end_process "$RUN/space"
}
