#!/bin/bash
# Copies of single volumes, ours against the peers. It is the first process of the mount and pid namespaces that run.sh makes, so
# that our agent, its directories and an sshd belong to this run alone and end with it.
#   copies.sh BUILD WORK NOTES

set -euo pipefail
build=$1 work=$2 notes=$3
tools=$build/tests/bench
cipher=aes128-gcm@openssh.com

if [ "${BENCH:-}" = quick ]; then
    size=1024 data=270 front=64 changed=8 shifted=14 dense=256 on_tmpfs=3 on_disk=1
else
    size=4096 data=1080 front=64 changed=32 shifted=56 dense=1024 on_tmpfs=5 on_disk=3
fi
[ "${BENCH:-}" != tiny ] || { size=64 data=24 front=8 changed=2 shifted=2 dense=16 on_tmpfs=1 on_disk=1; }

# ------------------------------------------------------------------ the setup: two ends on loopback

private() { # private DIRECTORY: what is written there is seen by us alone, and is gone afterwards
    local upper=$work/private/${1//\//-}
    mkdir -p "$upper/new" "$upper/work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$upper/new,workdir=$upper/work" "$1"
}

room() {
    mount --make-rprivate /
    mkdir -p "$work"/{private,memory,disk}
    mount -t tmpfs bench "$work/private"
    mount -t tmpfs -o size=90% bench "$work/memory"
    private /etc
    private /var/lib
    mount -t tmpfs bench /run
    # root's login shell on this machine may be slow; an empty home keeps that out of the figures.
    mkdir -p /run/home
    sed -i 's|^\(root:[^:]*:[^:]*:[^:]*:[^:]*:\)[^:]*|\1/run/home|' /etc/passwd
    mkdir -p /run/sshd /etc/vmmigrate /var/lib/vmmigrate/{tasks/bench,guests}
    rm -f /etc/ssh/ssh_config.d/* /etc/vmmigrate/*
}

free_port() {
    local port
    for port in {20022..20122}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# accept COMMAND...: the only command that our key may run.
accept() {
    {
        cat /etc/vmmigrate/peers.pub
        echo "restrict,command=\"exec $*\" $(cat /etc/vmmigrate/id_vmmigrate.pub)"
    } >/etc/vmmigrate/accepted
}

sshd_up() {
    port=$(free_port)
    local name
    for name in host peers id_vmmigrate; do
        ssh-keygen -q -t ed25519 -N '' -C "$name" -f "/etc/vmmigrate/$name"
    done
    accept "$build/vmmigrate-agent"
    echo "[127.0.0.1]:$port $(cat /etc/vmmigrate/host.pub)" >/etc/vmmigrate/known_hosts
    printf '%s\n' '[node node2]' 'address = 127.0.0.1' "port = $port" >/etc/vmmigrate/vmmigrate.conf
    printf '%s\n' 'ListenAddress 127.0.0.1' "Port $port" 'HostKey /etc/vmmigrate/host' 'AuthorizedKeysFile /etc/vmmigrate/accepted' \
        'PidFile none' 'UsePAM no' 'StrictModes no' 'PermitRootLogin yes' 'PasswordAuthentication no' >/etc/vmmigrate/sshd
    /usr/sbin/sshd -f /etc/vmmigrate/sshd
    ssh="ssh -F none -p $port -c $cipher -i /etc/vmmigrate/peers -o BatchMode=yes -o UserKnownHostsFile=/etc/vmmigrate/known_hosts"
    until $ssh 127.0.0.1 true 2>/dev/null; do sleep 0.05; done
}

# ------------------------------------------------------------------ one copy

note() { printf '%s\t%s\t%s\t%s\t%s\n' "$@" >>"$notes"; }

# Puts the stale content in place that a copy begins with, or none. For ours it is where an interrupted copy would be.
lay() { # lay METHOD STALE
    local path=$dir/target-$1
    [[ $1 != ours* ]] || path=$("$tools/push" prepare "$source" "$dir/target-ours")
    rm -f "$path"
    [ -z "$2" ] || cp --sparse=always "$2" "$path"
    if [ "$where" = disk ]; then sync -f "$dir"; fi
    prepared=$path
}

copy_ours() { "$tools/push" copy "$source" "$dir/target-ours"; }
copy_ours-tls() { DATA=tls copy_ours; }
copy_ours-verified() { "$tools/push" verify "$source" "$dir/target-ours"; }
copy_rsync() {
    rsync -S --inplace -I --stats -e "$ssh" "$source" "127.0.0.1:$dir/target-rsync" |
        awk '/^Total bytes (sent|received)/ { gsub(",", ""); sum += $4 } END { printf "wire=%d\n", sum }'
}
copy_dd() { dd if="$source" bs=64k status=none | $ssh 127.0.0.1 "dd of=$dir/target-dd bs=64k conv=sparse status=none"; }
copy_floor() { "$tools/floor" "$source" "$dir/target-floor"; }

# race CASE SOURCE STALE METHOD...: runs each method once; the peers only in every second run, since they take most of the time. Each
# time another method begins, since the first one finds the machine as the case before has left it. The copies of the first run are
# compared with their source.
race() {
    local name=$1 stale=$3 methods=("${@:4}") at method began ended said
    source=$dir/$2
    stale=${stale:+$dir/$stale}
    for at in "${!methods[@]}"; do
        method=${methods[(at + run) % ${#methods[@]}]}
        [[ $method = ours* ]] || ((run % 2)) || continue
        lay "$method" "$stale"
        began=$EPOCHREALTIME
        said=$("copy_$method")
        ended=$EPOCHREALTIME
        note "$where" "$name" "$method" s "$(awk -v a="$began" -v b="$ended" 'BEGIN { printf "%.4f", b - a }')"
        said=$(sed -n 's/.*wire=\([0-9]*\).*/\1/p' <<<"$said")
        [ -z "$said" ] || note "$where" "$name" "$method" MiB "$(awk -v b="$said" 'BEGIN { printf "%.4f", b / 1048576 }')"
        [ "$run" != 1 ] || cmp "$source" "$prepared"
        rm -f "$prepared"
    done
}

# ------------------------------------------------------------------ the cases

derive() { # derive NEW FROM VERB MIB
    cp --sparse=always "$dir/$2" "$dir/$1"
    "$tools/image" "$3" "$dir/$1" "$4"
}

images() {
    "$tools/image" sparse "$dir/sparse" "$size" "$data" "$front"
    derive sparse-changed sparse change "$changed"
    derive sparse-shifted sparse shift "$shifted"
    "$tools/image" dense "$dir/dense" "$dense" 7
    "$tools/image" dense "$dir/unrelated" "$dense" 8
    qemu-img convert -q -f raw -O qcow2 "$dir/dense" "$dir/qcow2"
    derive qcow2-changed qcow2 change $((dense * 3 / 100 + 1))
    sync -f "$dir"
    # Reads all of it once, so that the first read from the disk is not part of the figures.
    cat "$dir"/* >/dev/null
}

# races: runs all cases once.
races() {
    race first sparse "" ours rsync dd floor ours-tls ours-verified
    race unchanged sparse sparse ours rsync ours-tls
    race changed sparse-changed sparse ours rsync ours-tls
    [ "$where" != disk ] || return 0
    race unchanged-dense qcow2 qcow2 ours rsync ours-tls
    race changed-dense qcow2-changed qcow2 ours rsync ours-tls
    race shifted sparse-shifted sparse ours rsync ours-tls
    race random dense "" ours rsync ours-tls
    race stale dense unrelated ours rsync ours-tls
}

cases() { # cases WHERE DIRECTORY RUNS
    local runs=$3
    where=$1 dir=$2
    images
    for ((run = 1; run <= runs; run++)); do
        races
        echo "copies: $where: run $run of $runs" >&2
    done
}

# push does the worker's part, with the same engine; whole migrations are measured in the lab.
memory() {
    where=tmpfs dir=$work/memory source=$dir/sparse-changed
    accept "$tools/peak $work/agent $build/vmmigrate-agent"
    lay ours "$dir/sparse"
    "$tools/peak" "$work/worker" "$tools/push" verify "$source" "$dir/target-ours" >/dev/null
    sleep 0.3
    local side
    for side in worker agent; do
        note "one volume" "memory-$side" ours peak "$(awk '{ if ($1 > most) most = $1 } END { printf "%.1f", most / 1024 }' "$work/$side")"
    done
}

room
sshd_up
cases tmpfs "$work/memory" $on_tmpfs
memory
rm -f "$work"/memory/*
cases disk "$work/disk" $on_disk
