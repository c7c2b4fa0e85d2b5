# shellcheck shell=bash
# Starts and stops libvirtd of a node, as an administrator or a crash would: by systemctl where systemd runs. Guests go on running.

daemon_pid() {
    node_exec "$1" pidof -s "$2"
}

daemon_stopped() {
    ! daemon_pid "$1" "$2" >/dev/null
}

# daemon_stop NODE NAME SIGNAL
daemon_stop() {
    node_exec "$1" pkill "-$3" -x "$2" || return 0
    wait_for 30 daemon_stopped "$1" "$2" || die "$2 on $1 does not stop"
}

daemon_start() {
    daemon_stopped "$1" "$2" || return 0
    node_exec "$1" "$2" -d
    wait_for 30 node_exec "$1" test -S "/run/libvirt/${2%d}-sock" || die "$2 on $1 does not start"
}

daemon_restart() {
    if systemd_is_on "$1"; then
        node_exec "$1" systemctl restart "$2.service"
        return
    fi
    daemon_stop "$1" "$2" TERM
    daemon_start "$1" "$2"
}

# lab libvirtd NODE start|stop|restart|kill (kill is SIGKILL, without a start)
verb_libvirtd() {
    [ $# -eq 2 ] || die "usage: lab libvirtd NODE start|stop|restart|kill"
    check_node "$1"
    case $2 in
        start) daemon_start "$1" libvirtd ;;
        stop) daemon_stop "$1" libvirtd TERM ;;
        kill) daemon_stop "$1" libvirtd KILL ;;
        restart) daemon_restart "$1" libvirtd ;;
        *) die "libvirtd: '$2' is neither start, stop, restart nor kill" ;;
    esac
}
