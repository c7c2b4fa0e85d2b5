/* rootfs.c: a container's root filesystem: the value of lxc.rootfs.path ([TYPE:]PATH, or
 * overlay:LOWER[:LOWER...]:UPPER), and the volumes that it stands for. */
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

/* The value in the container's own config file; the last line counts, as in LXC. NULL where the file has no
 * such line. */
static char *root_in_file(struct guest_host *host, const char *id)
{
	vmm_auto_free char *path = lxc_present_config(host, id), *text = NULL;
	const char *found = NULL;
	if (!path || file_read(path, LXC_CONFIG_MOST, &text, NULL, NULL) < 0)
		return NULL;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		const char *value = lxc_value(line, "lxc.rootfs.path");
		found = value ? value : found;
	}
	return found ? str_format("%.*s", (int)strcspn(found, " \t\r"), found) : NULL;
}

/* liblxc may leave out the type, so the config file is read as well. Where the file has no such line, because a file
 * that it includes sets the root, liblxc's value is returned. */
char *lxc_root(struct guest_host *host, struct lxc_container *c)
{
	char *answer = lxc_item(c, "lxc.rootfs.path");
	vmm_auto_free char *value = root_in_file(host, c->name);
	if (!answer || !value || !str_ends(value, answer))
		return answer;
	free(answer);
	answer = value;
	value = NULL;
	return answer;
}

bool lxc_is_overlay(const char *root)
{
	return str_starts(root, "overlay:") || str_starts(root, "overlayfs:");
}

const char *lxc_root_paths(const char *root)
{
	const char *path = strchr(root, ':');
	path = *root == '/' ? root : path ? path + 1 : NULL;
	return path && *path == '/' ? path : NULL;
}

char *lxc_layer(int number, bool last)
{
	return last ? str_copy("upper") : number ? str_format("lower%d", number + 1) : str_copy("lower");
}

/* ------------------------------------------------------------------ volumes */

/* The directory of a container, this one's or another's, that the path is in; NULL: none. Belongs to the caller. */
static char *directory_of(struct guest_host *host, const char *path)
{
	vmm_auto_free char *all = lxc_directory(host, "");
	size_t length = str_starts(path, all) ? strlen(all) : 0, name = strcspn(path + length, "/");
	return length && name && path[length + name] ? str_format("%.*s", (int)(length + name), path) : NULL;
}

/* "home" of a volume in a container's directory: the target has to have that directory as well. A lower layer is often
 * in another container's. */
static void add_volume(struct json_object *volumes, struct guest_host *host, const char *target, const char *type,
		       const char *path, bool readonly)
{
	vmm_auto_free char *home = directory_of(host, path);
	struct json_object *volume =
		json_make("target:s type:s device:s format:s path:s readonly:b shareable:b in:s type_fixed:b", target,
			  type, "disk", "raw", path, (int)readonly, (int)readonly, "both", 1);
	if (home)
		json_put(volume, "home:s", home);
	json_object_array_add(volumes, volume);
}

/* `paths`: LOWER[:LOWER...]:UPPER. The lower ones are read-only; often one of them is another container's root. */
static void add_overlay(struct json_object *volumes, struct guest_host *host, const char *paths)
{
	vmm_auto_free char *copy = str_copy(paths);
	char *rest = copy, *path;
	for (int number = 0; (path = strsep(&rest, ":")); number++) {
		vmm_auto_free char *name = lxc_layer(number, rest == NULL);
		add_volume(volumes, host, name, "tree", path, rest != NULL);
	}
}

static const char *type_of_path(const char *path)
{
	struct stat info;
	if (stat(path, &info) < 0 || S_ISDIR(info.st_mode))
		return "tree";
	return S_ISBLK(info.st_mode) ? "block" : "file";
}

/* The uid of the container's root on this node: what lxc.idmap maps 0 to. */
static int64_t root_uid(struct lxc_container *c)
{
	vmm_auto_free char *maps = lxc_item(c, "lxc.idmap");
	for (char *rest = maps, *line; rest && (line = strsep(&rest, "\n"));) {
		unsigned long inside, first;
		if (sscanf(line, "u %lu %lu", &inside, &first) == 2 && inside == 0)
			return (int64_t)first;
	}
	return 0;
}

struct json_object *lxc_volumes(struct guest_host *host, struct lxc_container *c)
{
	struct json_object *volumes = json_object_new_array();
	vmm_auto_free char *root = lxc_root(host, c);
	const char *paths = root ? lxc_root_paths(root) : NULL;
	if (!root)
		return volumes;
	if (lxc_is_overlay(root))
		add_overlay(volumes, host, paths);
	else if (paths)
		add_volume(volumes, host, "rootfs", type_of_path(paths), paths, false);
	else /* zfs, rbd, nbd: no storage kind accepts this type, so the checks refuse it */
		json_object_array_add(volumes,
				      json_make("target:s type:s device:s format:s source:s", "rootfs",
						strchr(root, ':') ? "lxc-backend" : "unknown", "disk", "raw", root));
	vmm_auto_free char *own = root_in_file(host, c->name);
	json_each (volume, volumes, "")
		json_put(volume, "root_uid:i included:b", root_uid(c), (int)!own);
	return volumes;
}

bool lxc_is_work_directory(struct json_object *volumes, const char *path)
{
	vmm_auto_free char *dir = path_dir(path);
	const char *name = path_base(path);
	if (strcmp(name, "work") != 0 && strcmp(name, "olwork") != 0) /* of LXC 2 and newer, and of older ones */
		return false;
	json_each (volume, volumes, "") {
		vmm_auto_free char *beside = path_dir(json_text_or(volume, "path", "/"));
		if (str_same(json_text(volume, "target"), "upper") && !strcmp(beside, dir))
			return true;
	}
	return false;
}
