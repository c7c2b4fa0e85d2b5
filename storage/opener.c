/* opener.c: does a program of this node have an image open, apart from the guest that it belongs to? */
#include <fcntl.h>

#include "storage.h"

/* QEMU, qemu-nbd, qemu-img and qemu-io lock single bytes of an image that they have open; a lock on byte 101 says that
 * they may write to it (QEMU's block/file-posix.c: RAW_LOCK_PERM_BASE, and BLK_PERM_WRITE in block-common.h). The locks
 * are only asked about, not taken. */
enum { WRITE_LOCK = 101 };

static bool has_write_lock(const char *path)
{
	vmm_auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITE_LOCK, .l_len = 1};
	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

char *storage_opener(const char *path)
{
	if (has_write_lock(path))
		return str_copy("QEMU or one of its tools (qemu-nbd, qemu-img)");
	vmm_auto_free char *loop = loop_device_of(path);
	return loop ? str_format("the loop device %s", loop) : NULL;
}
