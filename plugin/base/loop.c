/* loop.c: which loop device uses a file. */
#include <fcntl.h>
#include <linux/loop.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base.h"

/* True while the loop device uses this very file. Files are compared by device and inode number: the kernel gives the
 * path as it was in the mount namespace of whoever attached it, or a part of it when that namespace is gone. */
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

char *loop_device_of(const char *path)
{
	vmm_auto_json struct json_object *all = NULL;
	struct stat image;
	if (stat(path, &image) < 0 || !S_ISREG(image.st_mode) || dir_list("/sys/block", &all, NULL) < 0)
		return NULL;
	json_each (name, all, "")
		if (str_starts(json_text_or(name, "", ""), "loop") && has_image(json_text(name, ""), &image))
			return str_format("/dev/%s", json_text(name, ""));
	return NULL;
}
