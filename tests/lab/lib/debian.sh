# shellcheck shell=bash
# A Debian container: its root, with systemd, is made by debootstrap from this machine's package mirror, once, and kept in the cache.

# The first package source of this machine: "URI CODENAME".
debian_source() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | sed -n 1p
}

debian_cache() {
    local codename
    read -r _ codename < <(debian_source)
    echo "$CACHE/debian-$codename-1.tar"
}

debian_build() {
    local cache
    cache=$(debian_cache)
    [ -e "$cache" ] && return
    mkdir -p "$CACHE"
    (
        flock 8
        [ ! -e "$cache" ] || exit 0
        work=$(mktemp -d "$CACHE/work.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        read -r uri codename < <(debian_source)
        [ -n "$codename" ] || die "apt-get has no sources here: run apt-get update"
        eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
        export http_proxy=${http_proxy:-}
        note "debootstrap of $codename, a minute or two; the next time it is there"
        debootstrap --variant=minbase --include=systemd-sysv "$codename" "$work/root" "$uri" >"$work/log" 2>&1 ||
            die "debootstrap: $(tail -n 5 "$work/log")"
        rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*_*
        tar -C "$work/root" --numeric-owner --xattrs -cf "$work/tar" .
        mv "$work/tar" "$cache"
    ) 8>"$CACHE/.lock" || die "the Debian root cannot be made"
}

# Runs in the node: replaces the busybox root of a container that container_make has made with Debian, whose tar comes on stdin.
container_debian() {
    local id=$1 records=$2 root=/var/lib/lxc/$1/rootfs config=/var/lib/lxc/$1/config name
    mv "$root/records" "$root/bin/tick" "$root/bin/record" "/var/lib/lxc/$id"
    rm -r "$root"
    mkdir "$root"
    tar -C "$root" --numeric-owner --xattrs --xattrs-include='*' -xf -
    mv "/var/lib/lxc/$id/records" "$root/records"
    mv "/var/lib/lxc/$id/tick" "/var/lib/lxc/$id/record" "$root/usr/bin/"
    sed -i -e '/^lxc\.signal/d' -e '/^lxc\.mount\.entry = \/\(usr\/\)\?lib/d' -e 's/^lxc\.pty\.max.*/lxc.pty.max = 64/' "$config"
    debian_service "$root" tick /usr/bin/tick container
    debian_service "$root" record /usr/bin/record "$id" "$records" /records
    for name in systemd-udevd.service systemd-journald-audit.socket apt-daily.timer apt-daily-upgrade.timer getty.target; do
        ln -sf /dev/null "$root/etc/systemd/system/$name"
    done
}

# Its output goes to the console, which the lab records.
debian_service() {
    local root=$1 name=$2
    shift 2
    printf '[Service]\nExecStart=%s\nStandardOutput=tty\nTTYPath=/dev/console\n' "$*" >"$root/etc/systemd/system/$name.service"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s "../$name.service" "$root/etc/systemd/system/multi-user.target.wants/$name.service"
}
