/* block.c: volumes that are block devices - logical volumes, LUNs, whole disks. An administrator makes them and gives
 * them names in a directory (/dev/vg0, or a directory of links). We fill the device that has the volume's name, and
 * never make or remove one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "storage.h"

/* A definition may also give a device the type "file". */
static bool block_is_mine(struct json_object *volume)
{
	const char *type = json_text(volume, "type"), *path = json_text(volume, "path");
	return str_same(type, "block") ||
	       (str_same(type, "file") && path && str_starts(path, "/dev/") && !str_starts(path, "/dev/shm/"));
}

static int block_describe(struct json_object *volume, struct vmm_error **err)
{
	const char *path = json_text(volume, "path");
	uint64_t size;
	vmm_auto_close int fd = device_open(path, O_RDONLY, err);
	if (fd < 0 || device_size(fd, path, &size, err) < 0)
		return -1;
	json_put(volume, "size:i allocated:i", (int64_t)size, (int64_t)size);
	vmm_auto_free char *identity = device_identity(fd);
	if (identity)
		json_put(volume, "identity:s", identity);
	return image_describe(volume, err);
}

/* There is no free space to report: only the administrator makes devices. */
static int block_examine(struct json_object *storage, struct vmm_error **err)
{
	(void)err;
	json_put(storage, "active:b", (int)file_there(json_text(storage, "path")));
	return 0;
}

/* "/dev/vg0/disk" is on the storage "vg0", "/dev/sdb" on "dev". */
static void block_default_storage(struct json_object *volume, char **name, char **path)
{
	*path = path_dir(json_text(volume, "path"));
	*name = str_copy(str_starts(*path, "/dev/") ? *path + 5 : *path + 1);
	for (char *at = *name; *at; at++)
		if (*at == '/')
			*at = '-';
	if (!**name)
		str_replace(name, "block");
}

/* Opens by the volume's own path each time. It may be a link of the administrator's: the device numbers behind it can
 * change from one boot to the next. */
static int block_open(const char *path, bool writable, struct vmm_error **err)
{
	if (path_check(path, "volume", err) < 0)
		return -1;
	if (writable && device_unused(path, err) < 0)
		return -1;
	return device_open(path, writable ? O_RDWR : O_RDONLY, err);
}

static int block_allocate(const char *path, uint64_t size, uint64_t size_needed, struct vmm_error **err)
{
	(void)size_needed;
	uint64_t room;
	vmm_auto_close int fd = block_open(path, true, err);
	if (fd < 0 || device_size(fd, path, &room, err) < 0)
		return -1;
	if (room < size) {
		vmm_auto_free char *needed = str_size((int64_t)size), *had = str_size((int64_t)room);
		error_set(err, VMM_BLOCKED, "no-space", "the block device %s is too small (need %s, have %s)", path,
			  needed, had);
		return error_hint(err, "Make it larger (lvextend), or choose another storage (--targetstorage).");
	}
	int opened = fd;
	fd = -1;
	return opened;
}

static int block_publish(const char *temporary, const char *final, const struct storage_owner *owner,
			 struct vmm_error **err)
{
	(void)owner, (void)temporary;
	vmm_auto_close int fd = block_open(final, true, err);
	if (fd < 0)
		return -1;
	return fsync(fd) < 0 ? error_errno(err, errno, "sync the block device %s", final) : 0;
}

static int block_remove(const char *path, struct vmm_error **err)
{
	return path_check(path, "volume", err);
}

const struct storage_ops storage_block = {
	.kind = "block",
	.device = true,
	.is_mine = block_is_mine,
	.describe = block_describe,
	.examine = block_examine,
	.default_storage = block_default_storage,
	.allocate = block_allocate,
	.open = block_open,
	.publish = block_publish,
	.remove = block_remove,
};
