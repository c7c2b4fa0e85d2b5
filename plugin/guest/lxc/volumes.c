/* volumes.c: what a container's root lies on. */
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

/* A volume within the container's own directory takes that directory along ("home"). */
static void add(struct json_object *volumes, struct guest_host *host, const char *id, const char *target,
		const char *type, const char *path, bool readonly)
{
	vmm_auto_free char *home = lxc_directory(host, id), *within = str_format("%s/", home);
	struct json_object *volume =
		json_make("target:s type:s device:s format:s path:s readonly:b shareable:b in:s type_fixed:b", target,
			  type, "disk", "raw", path, (int)readonly, (int)readonly, "both", 1);
	if (str_starts(path, within))
		json_put(volume, "home:s", home);
	json_object_array_add(volumes, volume);
}

/* LOWER[:LOWER]:UPPER: the lower ones are read only, and often the root of another container. */
static void add_overlay(struct json_object *volumes, struct guest_host *host, const char *id, const char *paths)
{
	vmm_auto_free char *copy = str_copy(paths);
	char *rest = copy, *path;
	for (int number = 0; (path = strsep(&rest, ":")); number++) {
		vmm_auto_free char *name = lxc_layer(number, rest == NULL);
		add(volumes, host, id, name, "tree", path, rest != NULL);
	}
}

static const char *type_of_path(const char *path)
{
	struct stat info;
	if (stat(path, &info) < 0 || S_ISDIR(info.st_mode))
		return "tree";
	return S_ISBLK(info.st_mode) ? "block" : "file";
}

struct json_object *lxc_volumes(struct guest_host *host, struct lxc_container *c)
{
	struct json_object *volumes = json_object_new_array();
	vmm_auto_free char *root = lxc_root(host, c);
	const char *paths = root ? lxc_root_paths(root) : NULL;
	if (!root)
		return volumes;
	if (lxc_is_overlay(root))
		add_overlay(volumes, host, c->name, paths);
	else if (paths)
		add(volumes, host, c->name, "rootfs", type_of_path(paths), paths, false);
	else /* zfs, rbd, nbd: no storage of ours is asked for it, and says so */
		json_object_array_add(volumes,
				      json_make("target:s type:s device:s format:s source:s", "rootfs",
						strchr(root, ':') ? "lxc-backend" : "unknown", "disk", "raw", root));
	return volumes;
}
