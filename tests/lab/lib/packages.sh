# shellcheck shell=bash
# Debian packages that this machine needs, and our packages for the nodes.

# packages_in [SECTION...]: the names in those sections of the list, or in all sections.
packages_in() {
    awk -v want=" $* " '
        /^\[/ { on = want == "  " || index(want, " " substr($0, 2, length($0) - 2) " "); next }
        on && NF && !/^#/ && !seen[$1]++ { print $1 }' "$LAB_DIR/packages"
}

# Services of the packages are not started.
packages_install() {
    local policy=/usr/sbin/policy-rc.d ours=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        ours=1
    fi
    local status=0
    {
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 \
            install --no-install-recommends "$@"
    } >"/tmp/vmmigrate-lab-setup.$$" 2>&1 || status=$?
    [ -z "$ours" ] || rm -f "$policy"
    [ "$status" = 0 ] || cat "/tmp/vmmigrate-lab-setup.$$" >&2
    rm -f "/tmp/vmmigrate-lab-setup.$$"
    return "$status"
}

# lab setup [build|check|lab]...
verb_setup() {
    local section missing
    for section in "$@"; do
        grep -qxF "[$section]" "$LAB_DIR/packages" || die "setup: no section '$section' in tests/lab/packages"
    done
    mapfile -t missing < <(packages_in "$@" | while read -r section; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$section" 2>/dev/null)" = installed ] || echo "$section"
    done)
    [ "${#missing[@]}" -gt 0 ] || return 0
    note "installing: ${missing[*]}"
    packages_install "${missing[@]}" || die "the packages cannot be installed"
}

# lab install FILE.deb...: installs them on both nodes with dpkg, as an administrator would.
verb_install() {
    local node file names=()
    [ $# -gt 0 ] || die "usage: lab install FILE.deb..."
    for file in "$@"; do
        [ -f "$file" ] || die "no package '$file'"
        names+=("/root/packages/${file##*/}")
    done
    for node in "${NODES[@]}"; do
        mkdir -p "$DISK/$node/root/packages"
        cp "$@" "$DISK/$node/root/packages/"
        node_exec "$node" env DEBIAN_FRONTEND=noninteractive dpkg --force-unsafe-io -i "${names[@]}" >"$RUN/$node.dpkg" 2>&1 ||
            die "$node: dpkg: $(<"$RUN/$node.dpkg")"
        # libvirtd looks for its hooks only when it starts.
        daemon_restart "$node" libvirtd
    done
}
