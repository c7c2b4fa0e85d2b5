/* loop.c: a root that is a disk image is mounted from a loop device. The image is complete only after the kernel has
 * detached that device. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

enum { WAIT_MS = 30000, POLL_MS = 50 };

static int sync_image(const char *path, struct vmm_error **err)
{
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0 ? 0 : error_errno(err, errno, "sync the image %s", path);
}

/* The container's filesystem is unmounted with its mount namespace, some moments after its init has ended; the unmount
 * writes to the image. */
int lxc_await_loop(struct lxc_container *c, struct vmm_error **err)
{
	vmm_auto_free char *value = lxc_item(c, "lxc.rootfs.path");
	const char *path = value ? lxc_root_paths(value) : NULL;
	struct stat image;
	if (!path || stat(path, &image) < 0 || !S_ISREG(image.st_mode))
		return 0;
	for (int64_t end = clock_steady_ms() + WAIT_MS;; clock_sleep_ms(POLL_MS)) {
		vmm_auto_free char *device = loop_device_of(path);
		if (!device)
			break;
		if (clock_steady_ms() < end)
			continue;
		error_set(err, VMM_FAILED, "volume-in-use", "container %s is off, but %s still uses %s", c->name,
			  device, path);
		return error_hint(err, "find the device: losetup --associated %s", path);
	}
	return sync_image(path, err);
}
