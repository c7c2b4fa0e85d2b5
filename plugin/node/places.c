/* places.c: where the volumes of a guest that comes would lie on this node, and what is there already. */
#include <string.h>
#include <sys/stat.h>

#include "node/seeds.h"

/* Does a guest that is not stopped have this file or disk open here? */
static bool in_use_here(struct json_object *guests, const char *place)
{
	json_each (other, guests, "")
		if (!str_same(json_text(other, "state"), "shutoff") && json_has(other, "volumes", place))
			return true;
	return false;
}

/* ---------------------------------------------------------------- --targetstorage */

/* The storage that `mapping` ("other", "from:to") sends volumes of the storage `from` to, or NULL: they keep their place. */
static const char *mapped(struct json_object *mapping, const char *from)
{
	const char *rest = NULL;
	json_each (item, mapping, "") {
		const char *word = json_text_or(item, "", ""), *colon = strchr(word, ':');
		if (!colon)
			rest = word;
		else if (from && strlen(from) == (size_t)(colon - word) && !strncmp(word, from, strlen(from)))
			return colon + 1;
	}
	return rest;
}

/* What belongs to one node's way of doing things stays: a TPM's state, what is only read. */
static bool can_be_mapped(struct json_object *volume)
{
	bool state = json_true(volume, "directory") && !json_true(volume, "tree");
	return json_text(volume, "path") && !state && !json_true(volume, "readonly") &&
	       !str_same(json_text(volume, "device"), "tpm") && !str_same(json_text(volume, "kind"), "network");
}

static bool is_given(struct json_object *places, const char *path)
{
	json_each (place, places, "")
		if (str_same(json_text(place, "to"), path))
			return true;
	return false;
}

/* "vm100.img" as a file is "vm100" as a device, unless there is a device of just that name. */
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

/* Two volumes of one name from two storages do not get in each other's way. */
static char *place_in(const char *dir, bool devices, struct json_object *guest, struct json_object *volume,
		      struct json_object *places)
{
	const char *base = path_base(json_text(volume, "path")), *id = json_text_or(guest, "id", "guest");
	/* Many a container's root has the name "rootfs". */
	if (json_true(volume, "tree") && !str_starts(base, id))
		return str_format("%s/%s-%s", dir, id, base);
	const char *ending = is_device(volume) && !strchr(base, '.') ? ".raw" : "";
	char *path = devices ? device_in(dir, base) : str_format("%s/%s%s", dir, base, ending);
	if (!is_given(places, path))
		return path;
	free(path);
	return str_format("%s/%s-%s-%s", dir, id, json_text_or(volume, "target", "disk"), base);
}

static bool holds_devices(struct json_object *storage)
{
	const struct storage_ops *ops = storage_kind(json_text(storage, "kind"));
	return ops && ops->device;
}

/* NVRAM is a small file of libvirt's own: where disks go to devices it stays among files. */
static bool can_go_to(struct json_object *volume, struct json_object *storage)
{
	return !holds_devices(storage) || str_same(json_text_or(volume, "device", "disk"), "disk");
}

static void add_mapped(struct json_object *place, struct json_object *guest, struct json_object *volume,
		       struct json_object *places, struct json_object *storages, const char *name)
{
	json_put(place, "to_storage:s", name);
	json_each (storage, storages, "") {
		const char *root = json_text(storage, "path");
		if (!str_same(json_text(storage, "name"), name) || !root)
			continue;
		/* A tree that is sent to devices is refused. */
		if (json_true(volume, "tree") && holds_devices(storage))
			return;
		if (!can_go_to(volume, storage)) {
			json_object_object_del(place, "to_storage");
			return;
		}
		vmm_auto_free char *dir = str_format("%.*s", (int)(strlen(root) - str_ends(root, "/")), root);
		vmm_auto_free char *to = place_in(dir, holds_devices(storage), guest, volume, places);
		json_put(place, "to:s", to);
	}
}

/* ---------------------------------------------------------------- what is there */

static int64_t seed_at(const char *path, bool tree)
{
	int64_t allocated;
	return seed_usable(path, tree, &allocated) ? allocated : 0;
}

/* The storage that a file (or device) would lie on here is one of `storages`, so that its room is known: no guest may have used it
 * yet. */
static void add_storage_of(const char *path, bool device, struct json_object *storages)
{
	vmm_auto_json struct json_object *file = json_make("type:s path:s", device ? "block" : "file", path);
	vmm_auto_error struct vmm_error *problem = NULL;
	struct json_object *storage;
	if (storage_at(file, storages, &storage, &problem) < 0)
		log_debug("%s: %s", path, problem->message);
}

static void look_at(struct json_object *place, struct json_object *guest, struct json_object *volume,
		    struct json_object *guests, struct json_object *storages)
{
	const char *path = json_text(volume, "path"), *to = json_text_or(place, "to", path);
	vmm_auto_free char *key = str_format("%s-%s", json_text_or(guest, "kind", ""), json_text_or(guest, "id", ""));
	json_put(place, "open:b", (int)in_use_here(guests, json_text_or(volume, "source", path)));
	if (!path || path_check(path, "volume", NULL) < 0 || path_check(to, "volume", NULL) < 0)
		return;
	/* A directory of the guest's own is made for it. */
	vmm_auto_free char *dir = path_dir(json_text(place, "to") ? to : json_text_or(volume, "home", path));
	bool tree = json_true(volume, "tree");
	json_put(place, "there:b missing_dir:b seed:i", (int)file_there(path), (int)!file_there(dir),
		 seed_at(to, tree));
	device_look(place, volume, to, guests, key);
	if (str_same(json_text(volume, "kind"), storage_dir.kind) || tree || is_device(volume))
		add_storage_of(path, is_device(volume), storages);
	if (json_text(place, "to"))
		json_put(place, "to_there:b to_open:b", (int)file_there(to), (int)in_use_here(guests, to));
}

struct json_object *local_places(struct json_object *guest, struct json_object *guests, struct json_object *storages,
				 struct json_object *mapping)
{
	struct json_object *places = json_object_new_array();
	json_each (volume, guest, "volumes") {
		struct json_object *place = json_make("there:b open:b missing_dir:b same_block:b", 0, 0, 0, 0);
		const char *name = can_be_mapped(volume) ? mapped(mapping, json_text(volume, "storage")) : NULL;
		if (name)
			add_mapped(place, guest, volume, places, storages, name);
		look_at(place, guest, volume, guests, storages);
		json_object_array_add(places, place);
	}
	return places;
}
