/* block.c: block devices - logical volumes, LUNs, whole disks. They are kept where they are, never copied: what they
 * are is told, and what makes them the same device on another node. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "storage.h"

/* A definition may also name a device as a file. */
static bool block_is_mine(struct json_object *volume)
{
	const char *type = json_text(volume, "type"), *path = json_text(volume, "path");
	return str_same(type, "block") ||
	       (str_same(type, "file") && path && str_starts(path, "/dev/") && !str_starts(path, "/dev/shm/"));
}

/* The first line of a file of the device in /sys, or NULL. */
static char *attribute(dev_t device, const char *name)
{
	char line[256];
	vmm_auto_free char *path = str_format("/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : fd_read_all(fd, line, sizeof(line) - 1);
	if (got <= 0)
		return NULL;
	line[got] = 0;
	line[strcspn(line, "\n")] = 0;
	return *line ? str_copy(line) : NULL;
}

/* Device-mapper's UUID (for LVM those of the group and the volume, for multipath the WWID), else the disk's WWID with
 * the number of the partition. A name that a node makes up itself (sdb, a loop device) is none. */
static char *identity(dev_t device)
{
	vmm_auto_free char *mapped = attribute(device, "dm/uuid"), *part = attribute(device, "partition");
	if (mapped && (str_starts(mapped, "LVM-") || str_starts(mapped, "mpath-")))
		return str_copy(mapped);
	static const char *const of_disk[] = {"wwid", "device/wwid"}, *const of_part[] = {"../wwid", "../device/wwid"};
	for (size_t i = 0; i < VMM_COUNT(of_disk); i++) {
		vmm_auto_free char *wwid = attribute(device, part ? of_part[i] : of_disk[i]);
		if (wwid)
			return part ? str_format("%s-part%s", wwid, part) : str_copy(wwid);
	}
	return NULL;
}

static int block_describe(struct json_object *volume, struct vmm_error **err)
{
	const char *path = json_text(volume, "path");
	vmm_auto_close int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENXIO)) {
		error_set(err, VMM_BLOCKED, "volume-missing", "the block device %s is not there", path);
		return error_hint(err, "Is the volume group active, or the LUN attached?");
	}
	struct stat info;
	uint64_t size;
	if (fd < 0 || fstat(fd, &info) < 0)
		return error_errno(err, errno, "open the block device %s", path);
	if (!S_ISBLK(info.st_mode))
		return error_set(err, VMM_BLOCKED, "volume-odd", "%s is not a block device", path);
	if (ioctl(fd, BLKGETSIZE64, &size) < 0)
		return error_errno(err, errno, "ask %s for its size", path);
	json_put(volume, "size:i allocated:i", (int64_t)size, (int64_t)size);
	vmm_auto_free char *same = identity(info.st_rdev);
	if (same)
		json_put(volume, "identity:s", same);
	return image_describe(volume, err);
}

/* "/dev/vg0/disk" lies on "vg0", "/dev/sdb" on "dev". */
static void block_place(struct json_object *volume, char **name, char **path)
{
	*path = path_dir(json_text(volume, "path"));
	*name = str_copy(str_starts(*path, "/dev/") ? *path + 5 : *path + 1);
	for (char *at = *name; *at; at++)
		if (*at == '/')
			*at = '-';
	if (!**name)
		str_replace(name, "block");
}

const struct storage_ops storage_block = {
	.kind = "block",
	.is_mine = block_is_mine,
	.describe = block_describe,
	.place = block_place,
};
