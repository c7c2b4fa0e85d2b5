# shellcheck shell=bash
# The network: each machine has eth0 (10.77.0.0/24, for guests and ssh) and eth1 (10.78.0.0/24, the migration network),
# connected to the bridges sw0 and sw1.

port_of() {
    echo "$1-$2"
}

# net_plug MACHINE PID: connects a machine that has just been switched on.
net_plug() {
    local net port
    for net in 0 1; do
        port=$(port_of "$1" "$net")
        in_space ip link add "$port" type veth peer name "eth$net" netns "$2"
        in_space ip link set "$port" master "sw$net" up
    done
    if [ -e "$RUN/$1.link" ]; then
        net_link_state "$1" "$(<"$RUN/$1.link")"
    fi
    if [ -e "$RUN/$1.rate" ]; then
        net_link_rate "$1" "$(<"$RUN/$1.rate")"
    fi
}

net_unplug() {
    local net
    for net in 0 1; do
        in_space ip link delete "$(port_of "$1" "$net")" 2>/dev/null || true
    done
}

# net_link_state MACHINE up|down|drop: down removes the carrier, drop loses every packet silently.
net_link_state() {
    local net port
    for net in 0 1; do
        port=$(port_of "$1" "$net")
        case $2 in
            up)
                in_space ip link set "$port" up
                wait_for 5 in_space bridge link set dev "$port" state 3 2>/dev/null || die "$port stays down"
                ;;
            down) in_space ip link set "$port" down ;;
            drop)
                in_space ip link set "$port" up
                in_space bridge link set dev "$port" state 0
                ;;
        esac
    done
}

# net_link_rate MACHINE RATE|none: limits both directions, each device by itself.
net_link_rate() {
    local net pid
    pid=$(node_pid "$1") || die "$1 is off"
    for net in 0 1; do
        if [ "$2" = none ]; then
            in_space tc qdisc del dev "$(port_of "$1" "$net")" root 2>/dev/null || true
            nsenter --target "$pid" --net -- tc qdisc del dev "eth$net" root 2>/dev/null || true
        else
            in_space tc qdisc replace dev "$(port_of "$1" "$net")" root tbf rate "$2" burst 256kb latency 50ms
            nsenter --target "$pid" --net -- tc qdisc replace dev "eth$net" root tbf rate "$2" burst 256kb latency 50ms
        fi
    done
}

net_node_sees() {
    [ "$(node_exec "$1" cat /sys/class/net/vmbr0/operstate)" = "$2" ]
}

# lab link MACHINE up|down|drop | rate RATE|none
verb_link() {
    [ $# -ge 2 ] || die "usage: lab link MACHINE up|down|drop|rate RATE|rate none"
    check_machine "$1"
    case $2 in
        up | down | drop)
            net_link_state "$1" "$2"
            echo "$2" >"$RUN/$1.link"
            # The node's bridge learns of the carrier up to a second later.
            [ "$2" != up ] || ! node_pid "$1" >/dev/null || wait_for 5 net_node_sees "$1" up || die "$1 does not see its link"
            [ "$2" != down ] || ! node_pid "$1" >/dev/null || wait_for 5 net_node_sees "$1" down || true
            ;;
        rate)
            [ -n "${3:-}" ] || die "usage: lab link $1 rate RATE|none"
            net_link_rate "$1" "$3"
            echo "$3" >"$RUN/$1.rate"
            ;;
        *) die "link: '$2' is neither up, down, drop nor rate" ;;
    esac
}

# lab counters MACHINE: "eth0 tx BYTES rx BYTES", as the machine sees it, since it was switched on.
verb_counters() {
    [ $# -eq 1 ] || die "usage: lab counters MACHINE"
    check_machine "$1"
    # shellcheck disable=SC2016
    node_exec "$1" bash -c 'for i in eth0 eth1; do
        s=/sys/class/net/$i/statistics; echo "$i tx $(<$s/tx_bytes) rx $(<$s/rx_bytes)"; done'
}
