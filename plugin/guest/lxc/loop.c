/* loop.c: a root that is a disk image is mounted from a loop device. The image is complete only after the kernel has
 * detached that device. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "lxc.h"

enum { WAIT_MS = 30000, POLL_MS = 50 };

/* True while the loop device uses this very file. Files are compared by device and inode number: the kernel gives the
 * path as it was in the mount namespace of the container's monitor, or a part of it when that namespace is gone. */
static bool has_image(const char *device, const struct stat *image)
{
	vmm_auto_free char *bound = str_format("/sys/block/%s/loop", device), *path = str_format("/dev/%s", device);
	struct loop_info64 info;
	if (!file_there(bound))
		return false;
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	/* ENXIO from the ioctl: it has written everything and is being detached. */
	return fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_inode == image->st_ino &&
	       info.lo_device == image->st_dev;
}

static bool is_attached(const struct stat *image)
{
	vmm_auto_json struct json_object *all = NULL;
	if (dir_list("/sys/block", &all, NULL) < 0)
		return false;
	json_each (name, all, "")
		if (str_starts(json_text_or(name, "", ""), "loop") && has_image(json_text(name, ""), image))
			return true;
	return false;
}

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
	for (int64_t end = clock_steady_ms() + WAIT_MS; is_attached(&image); clock_sleep_ms(POLL_MS)) {
		if (clock_steady_ms() < end)
			continue;
		error_set(err, VMM_FAILED, "volume-in-use", "container %s is off, but a loop device still uses %s",
			  c->name, path);
		return error_hint(err, "find the device: losetup --associated %s", path);
	}
	return sync_image(path, err);
}
