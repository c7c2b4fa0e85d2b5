/* dir.c: volumes that are files (or directories) in a directory, on any filesystem. */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "storage.h"

static bool dir_is_mine(struct json_object *volume)
{
	const char *type = json_text(volume, "type");
	return str_same(type, "file") || str_same(type, "dir");
}

static int dir_describe(struct json_object *volume, struct vmm_error **err)
{
	if (plain_describe(volume, err) < 0)
		return -1;
	return json_true(volume, "directory") || json_true(volume, "absent") ? 0 : image_describe(volume, err);
}

static int dir_examine(struct json_object *storage, struct vmm_error **err)
{
	const char *path = json_text(storage, "path");
	struct storage_fs fs = {0};
	struct statvfs room;
	if (statvfs(path, &room) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return error_errno(err, errno, "examine the storage in %s", path);
		json_put(storage, "active:b free:i total:i", 0, (int64_t)0, (int64_t)0);
		return 0;
	}
	if (storage_fs_look(path, &fs, err) < 0)
		return -1;
	json_put(storage, "fs:s free:i total:i active:b sharing:s", fs.type, (int64_t)(room.f_bavail * room.f_frsize),
		 (int64_t)(room.f_blocks * room.f_frsize), 1, fs.sharing);
	storage_fs_free(&fs);
	return 0;
}

static int dir_allocate(const char *path, uint64_t size, uint64_t size_needed, struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path);
	struct statvfs room;
	if (statvfs(dir, &room) < 0)
		return error_errno(err, errno, "get the free space in %s", dir);
	return plain_allocate(path, size, size_needed, (uint64_t)room.f_bavail * room.f_frsize, err);
}

const struct storage_ops storage_dir = {
	.kind = "dir",
	.is_mine = dir_is_mine,
	.describe = dir_describe,
	.examine = dir_examine,
	.default_storage = plain_default_storage,
	.allocate = dir_allocate,
	.open = plain_open,
	.publish = plain_publish,
	.remove = plain_remove,
};
