/* destination.c: where the volumes of a guest of another node would be on this node, and what is there already. This is
 * what the target says of each volume among the facts ("fit.volumes", plan.h). Nothing is changed here. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "node/seeds.h"

/* ---------------------------------------------------------------- block devices
 *
 * An administrator makes them, and we fill the one that is named: only if this system does not use it
 * (storage/device.c), and no other guest of this node has it as a disk, under whatever name. */

/* Of a network disk `path` is a text that is no path. */
static bool is_that_device(const char *path, dev_t device)
{
	struct stat info;
	return path && *path == '/' && stat(path, &info) == 0 && S_ISBLK(info.st_mode) && info.st_rdev == device;
}

/* The guest that has the device as a disk, or NULL. `own` counts only while it is not shut off: what is left of its
 * definition here from an earlier migration does not matter. */
static struct json_object *owner_of(struct json_object *guests, dev_t device, const char *own)
{
	json_each (guest, guests, "") {
		vmm_auto_free char *name = guest_record_name(guest);
		if (str_same(name, own) && str_same(json_text(guest, "state"), "shutoff"))
			continue;
		json_each (path, guest, "volumes")
			if (is_that_device(json_text(path, ""), device))
				return guest;
	}
	return NULL;
}

/* An error that says why the device may not be filled. */
static int device_free(int fd, const char *path, struct json_object *guests, const char *own, struct vmm_error **err)
{
	struct stat info;
	if (fstat(fd, &info) < 0)
		return error_errno(err, errno, "look at the block device %s", path);
	struct json_object *owner = owner_of(guests, info.st_rdev, own);
	if (owner) {
		error_set(err, VMM_BLOCKED, "volume-taken", "the block device %s is a disk of guest %s", path,
			  json_text_or(owner, "id", "?"));
		return error_hint(err, "Name another device, or take it from that guest.");
	}
	return device_unused(path, err);
}

int device_unclaimed(struct local_node *node, const char *path, const char *guest, struct vmm_error **err)
{
	vmm_auto_json struct json_object *all = NULL;
	vmm_auto_close int fd = device_open(path, O_RDONLY, err);
	if (fd < 0 || local_guests(node, NULL, &all, err) < 0)
		return -1;
	return device_free(fd, path, json_at(all, "guests"), guest, err);
}

/* Compares the volume's identity with that of a device of this node: sets the flag `same` if they are equal, `other` if
 * they differ, and neither if one of them is not known. */
static void compare(struct json_object *into, const char *same, const char *other, struct json_object *volume, int fd)
{
	const char *theirs = json_text(volume, "identity");
	vmm_auto_free char *ours = fd >= 0 ? device_identity(fd) : NULL;
	bool known = theirs && ours;
	json_object_object_add(into, same, json_object_new_boolean(known && !strcmp(theirs, ours)));
	json_object_object_add(into, other, json_object_new_boolean(known && strcmp(theirs, ours)));
}

void device_look(struct json_object *found, struct json_object *volume, const char *path, struct json_object *guests,
		 const char *guest)
{
	vmm_auto_error struct vmm_error *busy = NULL;
	uint64_t size = 0;
	vmm_auto_close int here = device_open(json_text_or(volume, "path", ""), O_RDONLY, NULL),
			   there = device_open(path, O_RDONLY, NULL);
	compare(found, "same_block", "other_block", volume, here);
	if (there < 0 || device_size(there, path, &size, NULL) < 0)
		return;
	device_free(there, path, guests, guest, &busy);
	struct json_object *device = json_make("size:i busy:s", (int64_t)size, busy ? busy->message : NULL);
	compare(device, "same", "other", volume, there);
	json_put(found, "device:o", device);
}

/* ---------------------------------------------------------------- --targetstorage */

/* The storage to which `mapping` ("other", "from:to") sends volumes of the storage `from`, or NULL: they keep their
 * path. */
static const char *mapped(struct json_object *mapping, const char *from)
{
	const char *rest = NULL;
	json_each (item, mapping, "") {
		const char *pair = json_text_or(item, "", ""), *colon = strchr(pair, ':');
		if (!colon)
			rest = pair;
		else if (from && strlen(from) == (size_t)(colon - pair) && !strncmp(pair, from, strlen(from)))
			return colon + 1;
	}
	return rest;
}

/* A TPM's state and what is only read keep their path: other things of the node refer to it. */
static bool can_be_mapped(struct json_object *volume)
{
	bool state = json_true(volume, "directory") && !json_true(volume, "tree");
	return json_text(volume, "path") && !state && !json_true(volume, "readonly") &&
	       !str_same(json_text(volume, "device"), "tpm") && !str_same(json_text(volume, "kind"), "network");
}

/* True if an earlier volume of the guest has that path. */
static bool is_given(struct json_object *destinations, const char *path)
{
	json_each (found, destinations, "")
		if (str_same(json_text(found, "to"), path))
			return true;
	return false;
}

/* The file "vm100.img" becomes the device "vm100", unless there is a device of the very name. */
static char *device_in(const char *dir, const char *base)
{
	static const char *const endings[] = {".img", ".raw"};
	char *path = str_format("%s/%s", dir, base);
	for (size_t i = 0; i < VMM_COUNT(endings); i++)
		if (str_ends(base, endings[i]) && !file_there(path))
			path[strlen(path) - strlen(endings[i])] = 0;
	return path;
}

static bool is_device(struct json_object *volume)
{
	return str_same(json_text(volume, "kind"), storage_block.kind);
}

/* The volume's path in the directory of the storage that it is sent to. Two volumes of one name that come from two
 * storages get different paths. */
static char *path_in(const char *dir, bool devices, struct json_object *guest, struct json_object *volume,
		     struct json_object *destinations)
{
	const char *base = path_base(json_text(volume, "path")), *id = json_text_or(guest, "id", "guest");
	if (json_true(volume, "tree")) {
		vmm_auto_free char *own = tree_own_directory(dir, id, json_text_or(volume, "target", "rootfs"));
		return str_format("%s/%s", own, base);
	}
	const char *ending = is_device(volume) && !strchr(base, '.') ? ".raw" : "";
	char *path = devices ? device_in(dir, base) : str_format("%s/%s%s", dir, base, ending);
	if (!is_given(destinations, path))
		return path;
	free(path);
	return str_format("%s/%s-%s-%s", dir, id, json_text_or(volume, "target", "disk"), base);
}

static bool holds_devices(struct json_object *storage)
{
	const struct storage_ops *ops = storage_kind(json_text(storage, "kind"));
	return ops && ops->device;
}

/* NVRAM is a small file of libvirt's: if disks are sent to devices, it keeps its path. */
static bool can_go_to(struct json_object *volume, struct json_object *storage)
{
	return !holds_devices(storage) || str_same(json_text_or(volume, "device", "disk"), "disk");
}

/* Adds "to_storage", the storage `name`, and "to", the volume's path in it; no "to" if this node has no such
 * storage. */
static void add_mapped(struct json_object *found, struct json_object *guest, struct json_object *volume,
		       struct json_object *destinations, struct json_object *storages, const char *name)
{
	json_put(found, "to_storage:s", name);
	json_each (storage, storages, "") {
		const char *root = json_text(storage, "path");
		if (!str_same(json_text(storage, "name"), name) || !root)
			continue;
		/* A tree cannot be on a device: without "to" a check refuses it. */
		if (json_true(volume, "tree") && holds_devices(storage))
			return;
		if (!can_go_to(volume, storage)) {
			json_object_object_del(found, "to_storage");
			return;
		}
		vmm_auto_free char *dir = str_format("%.*s", (int)(strlen(root) - str_ends(root, "/")), root);
		vmm_auto_free char *to = path_in(dir, holds_devices(storage), guest, volume, destinations);
		json_put(found, "to:s", to);
	}
}

/* ---------------------------------------------------------------- what is there */

/* True if a guest that is not shut off has this file or disk here. */
static bool in_use_here(struct json_object *guests, const char *path)
{
	json_each (other, guests, "")
		if (!str_same(json_text(other, "state"), "shutoff") && json_has(other, "volumes", path))
			return true;
	return false;
}

static int64_t seed_at(const char *path, bool tree)
{
	int64_t allocated;
	return seed_usable(path, tree, &allocated) ? allocated : 0;
}

/* Adds the storage on which a file (or device) of that path would be to `storages`, if it is not among them: no guest
 * of this node may have used it so far, and the checks need to know how much room it has. */
static void add_storage_of(const char *path, bool device, struct json_object *storages)
{
	vmm_auto_json struct json_object *file = json_make("type:s path:s", device ? "block" : "file", path);
	vmm_auto_error struct vmm_error *problem = NULL;
	struct json_object *storage;
	if (storage_at(file, storages, &storage, &problem) < 0)
		log_debug("%s: %s", path, problem->message);
}

/* Adds the size of what is at the path, if that is a file. */
static void add_size(struct json_object *found, const char *path)
{
	struct stat info;
	if (stat(path, &info) == 0 && S_ISREG(info.st_mode))
		json_put(found, "size:i", (int64_t)info.st_size);
}

/* Where this node looks for a file that the volume's image stands on. The image may name it relative to its own
 * directory, which is another one if the image is sent elsewhere. Belongs to the caller. */
static char *path_below(struct json_object *volume, const char *to, struct json_object *file)
{
	const char *path = json_text_or(file, "path", "");
	vmm_auto_free char *from_dir = path_dir(json_text_or(volume, "path", "")), *to_dir = path_dir(to);
	size_t length = strlen(from_dir);
	bool follows = json_true(file, "relative") && str_starts(path, from_dir) && path[length] == '/';
	return follows ? str_format("%s%s", to_dir, path + length) : str_copy(path);
}

/* Adds "stands_on": of each file below the volume's image, in their order, its path here and what is there. */
static void look_below(struct json_object *found, struct json_object *volume, const char *to)
{
	json_each (file, volume, "stands_on") {
		vmm_auto_free char *path = path_below(volume, to, file);
		bool good = path_check(path, "volume", NULL) == 0;
		struct json_object *below = json_make("path:s there:b", path, (int)(good && file_there(path)));
		if (good)
			add_size(below, path);
		json_append(found, "stands_on", below);
	}
}

static void look_at(struct json_object *found, struct json_object *guest, struct json_object *volume,
		    struct json_object *guests, struct json_object *storages)
{
	const char *path = json_text(volume, "path"), *to = json_text_or(found, "to", path);
	vmm_auto_free char *name = guest_record_name(guest);
	json_put(found, "open:b", (int)in_use_here(guests, json_text_or(volume, "source", path)));
	if (!path || path_check(path, "volume", NULL) < 0 || path_check(to, "volume", NULL) < 0)
		return;
	/* The guest's own directory is made if it is missing; so it is looked whether the one above is there. */
	vmm_auto_free char *parent = path_dir(to);
	bool own = tree_is_own_directory(parent, json_text_or(guest, "id", ""), json_text_or(volume, "target", ""));
	vmm_auto_free char *dir = path_dir(own			    ? parent
					   : json_text(found, "to") ? to
								    : json_text_or(volume, "home", path));
	bool tree = json_true(volume, "tree");
	json_put(found, "there:b missing_dir:b seed:i", (int)file_there(path), (int)!file_there(dir),
		 seed_at(to, tree));
	add_size(found, path);
	vmm_auto_free char *opener = storage_opener(to);
	json_put(found, "opener:s", opener);
	json_put(found, "used_by:o", local_users_of(to, guest, guests));
	look_below(found, volume, to);
	device_look(found, volume, to, guests, name);
	if (str_same(json_text(volume, "kind"), storage_dir.kind) || tree || is_device(volume))
		add_storage_of(path, is_device(volume), storages);
	if (json_text(found, "to"))
		json_put(found, "to_there:b to_open:b", (int)file_there(to), (int)in_use_here(guests, to));
}

struct json_object *local_destinations(struct json_object *guest, struct json_object *guests,
				       struct json_object *storages, struct json_object *mapping)
{
	struct json_object *destinations = json_object_new_array();
	json_each (volume, guest, "volumes") {
		struct json_object *found = json_make("there:b open:b missing_dir:b same_block:b", 0, 0, 0, 0);
		const char *name = can_be_mapped(volume) ? mapped(mapping, json_text(volume, "storage")) : NULL;
		if (name)
			add_mapped(found, guest, volume, destinations, storages, name);
		look_at(found, guest, volume, guests, storages);
		json_object_array_add(destinations, found);
	}
	return destinations;
}
