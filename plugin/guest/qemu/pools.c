/* pools.c: disks that a definition names by a libvirt pool and a volume in it. */
#include <string.h>

#include "qemu.h"

/* The volume as the pool knows it, or NULL if its file or device is gone. */
static virStorageVolPtr known_volume(virStoragePoolPtr pool, const char *name)
{
	virStorageVolPtr found = virStorageVolLookupByName(pool, name);
	virStorageVolInfo info;
	if (!found || virStorageVolGetInfo(found, &info) == 0)
		return found;
	virStorageVolFree(found);
	return NULL;
}

/* The pool's volume of that name, or NULL. A pool does not see by itself what was put into its directory or removed
 * from it: it is read again if it does not know the volume. */
static virStorageVolPtr pool_volume(virConnectPtr connection, struct json_object *volume)
{
	const char *name = json_text_or(volume, "volume", "");
	virStoragePoolPtr pool = virStoragePoolLookupByName(connection, json_text_or(volume, "pool", ""));
	virStorageVolPtr found = pool ? known_volume(pool, name) : NULL;
	if (pool && !found && virStoragePoolRefresh(pool, 0) == 0)
		found = known_volume(pool, name);
	if (pool)
		virStoragePoolFree(pool);
	return found;
}

static bool is_in_pool(struct json_object *volume)
{
	return str_same(json_text(volume, "type"), "volume");
}

/* Turns it into a file, device or network disk with a path. Where the pool is inactive or does not have it, it stays as
 * it is; no storage kind accepts it then, and the checks say so. */
static void resolve(virConnectPtr connection, struct json_object *volume)
{
	virStorageVolPtr found = pool_volume(connection, volume);
	char *path = found ? virStorageVolGetPath(found) : NULL;
	virStorageVolInfo info;
	if (path && virStorageVolGetInfo(found, &info) == 0) {
		const char *type = info.type == VIR_STORAGE_VOL_BLOCK	  ? "block"
				   : info.type == VIR_STORAGE_VOL_NETWORK ? "network"
									  : "file";
		json_put(volume, "type:s", type);
		json_put(volume, strcmp(type, "network") != 0 ? "path:s" : "source:s", path);
	}
	free(path);
	if (found)
		virStorageVolFree(found);
}

void qemu_pools_resolve(virConnectPtr connection, struct json_object *facts)
{
	json_each (volume, facts, "volumes")
		if (is_in_pool(volume))
			resolve(connection, volume);
}

void qemu_pools_refresh(virConnectPtr connection, struct json_object *facts)
{
	json_each (volume, facts, "volumes") {
		virStorageVolPtr found = is_in_pool(volume) ? pool_volume(connection, volume) : NULL;
		if (found)
			virStorageVolFree(found);
	}
}

/* The path of the guest's volume `target`; NULL if it has none, or may be on storage that both nodes share. */
static const char *local_path(struct json_object *guest, const char *target)
{
	json_each (volume, guest, "volumes")
		if (str_same(json_text(volume, "target"), target) && str_same(json_text(volume, "sharing"), "local"))
			return json_text(volume, "path");
	return NULL;
}

int qemu_pools_to_files(virConnectPtr connection, struct json_object *guest, const char *definition, char **changed,
			struct vmm_error **err)
{
	vmm_auto_json struct json_object *facts = NULL, *changes = json_object_new_array();
	*changed = NULL;
	if (definition_facts(definition, &facts, err) < 0)
		return -1;
	json_each (volume, facts, "volumes") {
		const char *target = json_text(volume, "target"), *path = local_path(guest, target);
		virStorageVolPtr found = is_in_pool(volume) ? pool_volume(connection, volume) : NULL;
		if (is_in_pool(volume) && !found && path)
			json_object_array_add(changes, json_make("target:s path:s", target, path));
		if (found)
			virStorageVolFree(found);
	}
	return json_count(changes, "") ? definition_rewrite(definition, changes, changed, err) : 0;
}
