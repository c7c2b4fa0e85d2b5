/* storage.c: the list of kinds, the list of storages, and which of them a volume is on. */
#include <limits.h>
#include <string.h>

#include "storage.h"

/* In the order in which is_mine is called. */
static const struct storage_ops *const kinds[] = {&storage_network, &storage_block, &storage_dir,
						  &storage_tree,    &storage_null,  &storage_null_tree};

const struct storage_ops *storage_kind(const char *kind)
{
	for (size_t i = 0; i < VMM_COUNT(kinds); i++)
		if (str_same(kinds[i]->kind, kind))
			return kinds[i];
	return NULL;
}

static const struct storage_ops *kind_that_owns(struct json_object *volume)
{
	for (size_t i = 0; i < VMM_COUNT(kinds); i++)
		if (kinds[i]->is_mine(volume))
			return kinds[i];
	return NULL;
}

static int not_known(const char *volume, const char *type, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "storage-unknown", "volume %s: no kind of storage is known for type \"%s\"", volume,
		  type);
	return error_hint(err, "Move it to a file, a block device or a network disk.");
}

const struct storage_ops *storage_kind_of(const char *kind, const char *volume, struct vmm_error **err)
{
	const struct storage_ops *ops = storage_kind(kind);
	if (!ops)
		not_known(volume, kind ? kind : "", err);
	return ops;
}

int storage_of(struct json_object *volume, const struct storage_ops **ops, struct vmm_error **err)
{
	const char *kind = json_text(volume, "kind");
	*ops = kind ? storage_kind(kind) : kind_that_owns(volume);
	return *ops ? 0
		    : not_known(json_text_or(volume, "target", "?"), kind ? kind : json_text_or(volume, "type", ""),
				err);
}

char *storage_temporary(const char *path, const char *task)
{
	vmm_auto_free char *dir = path_dir(path);
	const char *base = path_base(path), *slash = str_same(dir, "/") ? "" : "/";
	vmm_auto_free char *name = str_format(".vmmigrate-%s-%s", task, base);
	if (strlen(name) <= NAME_MAX)
		return str_format("%s%s%s", dir, slash, name);
	/* Too long for a file name: shorten it between two UTF-8 characters. The checksum distinguishes it from other
	 * names with the same beginning. */
	size_t room = NAME_MAX - (strlen(name) - strlen(base)) - 9;
	while (room && ((unsigned char)base[room] & 0xc0) == 0x80)
		room--;
	return str_format("%s%s.vmmigrate-%s-%08x-%.*s", dir, slash, task, crc32c(0, base, strlen(base)), (int)room,
			  base);
}

char *storage_working_path(const char *kind, const char *path, const char *task)
{
	const struct storage_ops *ops = storage_kind(kind);
	return ops && ops->device ? str_copy(path) : storage_temporary(path, task);
}

/* ------------------------------------------------------------------ the storage of a volume */

/* Is `path` the directory itself, or below it? "/srv/vm/a" is below "/srv/vm", "/srv/vmx" is not. */
static bool is_below(const char *path, const char *dir)
{
	size_t length = strlen(dir);
	while (length && dir[length - 1] == '/')
		length--;
	return !strncmp(path, dir, length) && (path[length] == '/' || !path[length]);
}

/* Is the directory on the mount of `fs`? If it is not there, its mount is unknown, and the path alone decides. */
static bool on_mount_of(const char *dir, const struct storage_fs *fs)
{
	struct storage_fs own = {0};
	if (!file_there(dir))
		return true;
	bool same = storage_fs_look(dir, &own, NULL) == 0 && own.mount_id == fs->mount_id;
	storage_fs_free(&own);
	return same;
}

/* A storage holds either devices, or files and trees. */
static bool may_hold(struct json_object *storage, const struct storage_ops *ops)
{
	const struct storage_ops *of = storage_kind(json_text(storage, "kind"));
	return (of && of->device) == ops->device;
}

/* The storage of that "source" which holds the volume, by its path or by its real path (links resolved). If several do,
 * the one with the longest path. NULL if none does. */
static struct json_object *find_holder(struct json_object *storages, const char *source, const struct storage_ops *ops,
				       const char *path, const char *real, const struct storage_fs *fs)
{
	struct json_object *best = NULL;
	size_t longest = 0;
	json_each (storage, storages, "") {
		const char *dir = json_text(storage, "path");
		if (!dir || !str_same(json_text(storage, "source"), source) || strlen(dir) < longest ||
		    !may_hold(storage, ops))
			continue;
		if ((is_below(path, dir) || is_below(real, dir)) && on_mount_of(dir, fs)) {
			best = storage;
			longest = strlen(dir);
		}
	}
	return best;
}

/* The sharing of a storage that is not examined yet. */
static const char *initial_sharing(const char *kind)
{
	return str_same(kind, storage_network.kind) ? "network" : "maybe";
}

/* A storage that cannot be examined (a stale mount) becomes inactive and says why. The others are not affected. */
static void examine_storage(struct json_object *storage)
{
	const struct storage_ops *ops = storage_kind(json_text(storage, "kind"));
	vmm_auto_error struct vmm_error *problem = NULL;
	if (ops && ops->examine && json_text(storage, "path") && ops->examine(storage, &problem) < 0)
		json_put(storage, "active:b problem:s", 0, problem->message);
}

/* The storage that the volume's kind makes for it: one from the list, if there is one of that name, else a new one. */
static struct json_object *default_storage(struct json_object *volume, const struct storage_ops *ops,
					   struct json_object *storages)
{
	vmm_auto_free char *name = NULL, *path = NULL;
	ops->default_storage(volume, &name, &path);
	json_each (known, storages, "")
		if (str_same(json_text(known, "name"), name) && str_same(json_text(known, "source"), "mount"))
			return known;
	struct json_object *storage =
		json_make("name:s kind:s source:s active:b declared:b sharing:s", name,
			  ops->storage_kind ? ops->storage_kind : ops->kind, "mount", 1, 0, initial_sharing(ops->kind));
	if (path)
		json_put(storage, "path:s", path);
	json_object_array_add(storages, storage);
	examine_storage(storage);
	return storage;
}

int storage_at(struct json_object *volume, struct json_object *storages, struct json_object **storage,
	       struct vmm_error **err)
{
	const struct storage_ops *ops;
	const char *path = json_text(volume, "path");
	if (storage_of(volume, &ops, err) < 0)
		return -1;
	if (!path) {
		*storage = default_storage(volume, ops, storages);
		return 0;
	}
	struct storage_fs fs = {0};
	/* A device's path is often a link that leads out of its storage's directory: look at the directory of the
	 * link. */
	vmm_auto_free char *dir = path_dir(path);
	if (path_check(path, json_text_or(volume, "target", "volume"), err) < 0 ||
	    storage_fs_look(ops->device ? dir : path, &fs, err) < 0)
		return -1;
	char resolved[PATH_MAX];
	const char *real = realpath(path, resolved) ? resolved : path;
	*storage = find_holder(storages, "config", ops, path, real, &fs);
	if (!*storage)
		*storage = find_holder(storages, "pool", ops, path, real, &fs);
	storage_fs_free(&fs);
	if (!*storage)
		*storage = default_storage(volume, ops, storages);
	return 0;
}

int storage_describe(struct json_object *volume, struct json_object *storages, struct vmm_error **err)
{
	const struct storage_ops *ops;
	struct json_object *storage;
	const char *path = json_text(volume, "path");
	if (storage_of(volume, &ops, err) < 0)
		return -1;
	if (ops != &storage_network && path_check(path, json_text_or(volume, "target", "volume"), err) < 0)
		return -1;
	if (ops->describe(volume, err) < 0 || storage_at(volume, storages, &storage, err) < 0)
		return error_context(err, "%s", json_text_or(volume, "target", "volume"));
	json_put(volume, "kind:s storage:s sharing:s", ops->kind, json_text(storage, "name"),
		 json_text_or(storage, "sharing", "maybe"));
	return 0;
}

/* ------------------------------------------------------------------ all storages */

static struct json_object *find_by_name(struct json_object *list, const char *name)
{
	json_each (one, list, "")
		if (str_same(json_text(one, "name"), name))
			return one;
	return NULL;
}

/* The kind of storage that a libvirt pool of that type is, or NULL. */
static const char *kind_of_pool(const char *type)
{
	static const char *const of[][2] = {
		{"dir", "dir"},	    {"fs", "dir"},	    {"netfs", "dir"},	     {"logical", "block"},
		{"disk", "block"},  {"scsi", "block"},	    {"iscsi", "block"},	     {"mpath", "block"},
		{"rbd", "network"}, {"gluster", "network"}, {"sheepdog", "network"}, {"iscsi-direct", "network"},
	};
	for (size_t i = 0; i < VMM_COUNT(of); i++)
		if (str_same(of[i][0], type))
			return of[i][1];
	return NULL;
}

static struct json_object *add_storage(struct json_object *storages, const char *name, const char *kind,
				       const char *source, const char *path, bool active)
{
	struct json_object *storage = json_make("name:s kind:s source:s declared:b active:b sharing:s", name, kind,
						source, 0, (int)active, initial_sharing(kind));
	if (path && path_check(path, name, NULL) == 0)
		json_put(storage, "path:s", path);
	json_object_array_add(storages, storage);
	if (active)
		examine_storage(storage);
	return storage;
}

/* Adds a storage of the configuration. What its section does not set is taken from the pool of the same name (or
 * NULL). */
static int add_configured(struct json_object *storages, const char *name, struct json_object *section,
			  struct json_object *pool, struct vmm_error **err)
{
	const char *of_pool = kind_of_pool(json_text(pool, "type"));
	const char *kind = json_text_or(section, "kind", of_pool ? of_pool : "dir");
	const char *path = json_text_or(section, "path", json_text(pool, "path"));
	vmm_auto_free char *what = str_format("[storage %s]", name);
	if (!storage_kind(kind))
		return error_set(err, VMM_USAGE, "bad-configuration", "%s: kind \"%s\" is not known", what, kind);
	if (path && path_check(path, what, err) < 0)
		return -1;
	struct json_object *storage = add_storage(storages, name, kind, "config", path, true);
	if (json_at(section, "shared"))
		json_put(storage, "declared:b sharing:s", 1, json_true(section, "shared") ? "maybe" : "local");
	if (json_at(section, "keep_seed"))
		json_put(storage, "keep_seed:O", json_at(section, "keep_seed"));
	return 0;
}

int storage_list(struct json_object *configured, struct json_object *pools, struct json_object **storages,
		 struct vmm_error **err)
{
	*storages = NULL;
	vmm_auto_json struct json_object *list = json_object_new_array();
	if (configured) {
		json_object_object_foreach(configured, name, section)
		{
			if (add_configured(list, name, section, find_by_name(pools, name), err) < 0)
				return -1;
		}
	}
	json_each (pool, pools, "") {
		const char *name = json_text(pool, "name"), *kind = kind_of_pool(json_text(pool, "type"));
		if (name && kind && !find_by_name(list, name))
			add_storage(list, name, kind, "pool",
				    str_same(kind, "network") ? NULL : json_text(pool, "path"),
				    json_true(pool, "active"));
	}
	*storages = json_object_get(list);
	return 0;
}
