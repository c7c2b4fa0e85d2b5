#!/bin/sh
# Runs lifecycle.sh in an overlay over this machine's root, which stays as it is. Needs root and the packages that `make deb` has
# built. Usage: run.sh BUILD
set -eu

if [ "${1-}" != inside ]; then
	here=$(cd "$(dirname "$0")" && pwd)
	exec unshare --mount --pid --fork "$here/run.sh" inside "$(cd "$1" && pwd)" "$here"
fi

build=$2
root=$(mktemp -d)
trap 'umount -l "$root" 2>/dev/null; rmdir "$root"' EXIT
mount -t tmpfs tmpfs "$root"
mkdir "$root/upper" "$root/work" "$root/top"
mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/top"
mount -t proc proc "$root/top/proc"
mount -t tmpfs tmpfs "$root/top/tmp"
mount --bind /dev "$root/top/dev"
cp "$build"/vmmigrate_*.deb "$build"/vmmigrate-dev_*.deb "$3/lifecycle.sh" "$root/top/tmp"
chroot "$root/top" /bin/sh /tmp/lifecycle.sh
