# shellcheck shell=bash
# The guests' kernel and initramfs: Debian's cloud kernel, busybox, and three small programs of ours
# (tests/lab/guest). Built once for each state of its sources, kept in the cache.

IMAGE_MODULES=(virtio_pci virtio_blk virtio_net button evdev)
IMAGE_DIR=/var/lib/libvirt/boot   # where every node has its copy

image_kernel() {
    local newest
    newest=$(printf '%s\n' /boot/vmlinuz-*-cloud-amd64 | sort -V | tail -n 1)
    [ -e "$newest" ] || die "no cloud kernel in /boot; run 'lab setup lab'"
    echo "${newest#/boot/vmlinuz-}"
}

image_cache() {
    local key
    key=$(cat "$LAB_DIR"/guest/* "$LAB_DIR/lib/image.sh" /bin/busybox | sha256sum | cut -c 1-16)
    # shellcheck disable=SC2153
    echo "$CACHE/guest-$(image_kernel)-$key"
}

image_build() {
    local cache
    cache=$(image_cache)
    [ -e "$cache/initrd" ] && return
    mkdir -p "$CACHE"
    (
        flock 8
        [ ! -e "$cache/initrd" ] || exit 0
        work=$(mktemp -d "$CACHE/work.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        image_make "$work"
        rm -rf "$cache"
        mv "$work/out" "$cache"
    ) 8>"$CACHE/.lock" || die "the guest's image cannot be built"
}

image_make() {
    local work=$1 kernel root=$1/root name file
    kernel=$(image_kernel)
    mkdir -p "$work/out" "$root"/{bin,dev,proc,sys,etc/acpi/PWRF,run,lib/modules}
    for name in tick record dirty switch; do
        cc -O2 -std=gnu11 -Wall -Wextra -Werror -static -o "$root/bin/$name" "$LAB_DIR/guest/$name.c"
        strip "$root/bin/$name"
    done
    cp /bin/busybox "$root/bin/busybox"
    install -m 755 "$LAB_DIR/guest/init" "$root/init"
    install -m 755 "$LAB_DIR/guest/power-request" "$root/bin/power-request"
    install -m 755 "$LAB_DIR/guest/power-button" "$root/etc/acpi/PWRF/00000080"
    for name in "${IMAGE_MODULES[@]}"; do
        modprobe --set-version "$kernel" --show-depends "$name"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/modules"
    while read -r file; do
        cp "$file" "$root/lib/modules/"
        echo "/lib/modules/${file##*/}"
    done <"$work/modules" >"$root/lib/modules/order"
    cp "$root/bin/tick" "$root/bin/record" "$work/out/"
    cc -O2 -std=gnu11 -Wall -Wextra -Werror -o "$work/out/check-records" "$LAB_DIR/guest/check-records.c"
    cp "/boot/vmlinuz-$kernel" "$work/out/vmlinuz"
    (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$work/out/initrd"
}

# image_install: copies them to the machine that is being configured.
image_install() {
    local cache
    cache=$(image_cache)
    write "$IMAGE_DIR/vmmigrate-lab-vmlinuz" <"$cache/vmlinuz"
    write "$IMAGE_DIR/vmmigrate-lab-initrd" <"$cache/initrd"
    # The programs for containers.
    write "$IMAGE_DIR/vmmigrate-lab-tick" 755 <"$cache/tick"
    write "$IMAGE_DIR/vmmigrate-lab-record" 755 <"$cache/record"
}
