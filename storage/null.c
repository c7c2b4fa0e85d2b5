/* null.c: storage for tests of the engine, without root. Volumes are plain files in a directory. Two files in it set
 * its properties: if `.shared` is there, it may be shared; `.free` contains the number of free bytes. */
#include <string.h>

#include "storage.h"

static const uint64_t null_room = (uint64_t)1 << 40;

static bool null_is_mine(struct json_object *volume)
{
	return str_same(json_text(volume, "type"), "null");
}

static uint64_t null_free(const char *dir)
{
	vmm_auto_free char *path = str_format("%s/.free", dir), *text = NULL;
	return file_read(path, 64, &text, NULL, NULL) == 0 ? strtoull(text, NULL, 10) : null_room;
}

static int null_describe(struct json_object *volume, struct vmm_error **err)
{
	if (plain_describe(volume, err) < 0)
		return -1;
	json_put(volume, "virtual_size:i snapshots:d", json_number(volume, "size"), 0);
	return 0;
}

static int null_examine(struct json_object *storage, struct vmm_error **err)
{
	(void)err;
	const char *path = json_text(storage, "path");
	vmm_auto_free char *shared = str_format("%s/.shared", path);
	json_put(storage, "fs:s free:i total:i active:b sharing:s", "null", (int64_t)null_free(path),
		 (int64_t)null_room, (int)file_there(path), file_there(shared) ? "maybe" : "local");
	return 0;
}

/* The storage is named after the last part of its path, so that two nodes on one machine can have storages of the same
 * name. */
static void null_default_storage(struct json_object *volume, char **name, char **path)
{
	*path = path_dir(json_text(volume, "path"));
	*name = str_copy(path_base(*path));
}

static int null_allocate(const char *path, uint64_t size, uint64_t size_needed, struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path);
	return plain_allocate(path, size, size_needed, null_free(dir), err);
}

const struct storage_ops storage_null = {
	.kind = "null",
	.is_mine = null_is_mine,
	.describe = null_describe,
	.examine = null_examine,
	.default_storage = null_default_storage,
	.allocate = null_allocate,
	.open = plain_open,
	.publish = plain_publish,
	.remove = plain_remove,
};

/* ------------------------------------------------------------------ trees on null storage */

static bool null_tree_is_mine(struct json_object *volume)
{
	return str_same(json_text(volume, "type"), "null-tree");
}

static int null_tree_describe(struct json_object *volume, struct vmm_error **err)
{
	return storage_tree.describe(volume, err);
}

static int null_tree_allocate(const char *path, uint64_t size, uint64_t size_needed, struct vmm_error **err)
{
	return storage_tree.allocate(path, size, size_needed, err);
}

static int null_tree_publish(const char *temporary, const char *final, const struct storage_owner *owner,
			     struct vmm_error **err)
{
	return storage_tree.publish(temporary, final, owner, err);
}

static int null_tree_remove(const char *path, struct vmm_error **err)
{
	return storage_tree.remove(path, err);
}

const struct storage_ops storage_null_tree = {
	.kind = "null-tree",
	.storage_kind = "null",
	.tree = true,
	.is_mine = null_tree_is_mine,
	.describe = null_tree_describe,
	.default_storage = null_default_storage,
	.allocate = null_tree_allocate,
	.publish = null_tree_publish,
	.remove = null_tree_remove,
};
