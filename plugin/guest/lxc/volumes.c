/* volumes.c: what a container's root lies on. */
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

enum { LOOP_WAIT_MS = 10000, LOOP_POLL_MS = 50 };

/* A volume within the container's own directory takes that directory along ("home"). */
static void add(struct json_object *volumes, struct guest_host *host, const char *id, const char *target,
		const char *type, const char *path, bool readonly)
{
	vmm_auto_free char *home = lxc_directory(host, id), *within = str_format("%s/", home);
	struct json_object *volume = json_make("target:s type:s device:s format:s path:s readonly:b shareable:b in:s",
					       target, type, "disk", "raw", path, (int)readonly, (int)readonly, "both");
	if (str_starts(path, within))
		json_put(volume, "home:s", home);
	json_object_array_add(volumes, volume);
}

/* "overlay:LOWER[:LOWER]:UPPER": the lowest ones are read only, and often the root of another container. */
static void add_overlay(struct json_object *volumes, struct guest_host *host, const char *id, const char *value)
{
	vmm_auto_free char *copy = str_copy(value);
	char *upper = strrchr(copy, ':'), *rest = copy, *lower;
	if (!upper)
		return;
	*upper++ = 0;
	for (int number = 0; (lower = strsep(&rest, ":")); number++) {
		vmm_auto_free char *name = number ? str_format("lower%d", number + 1) : str_copy("lower");
		add(volumes, host, id, name, "tree", lower, true);
	}
	add(volumes, host, id, "upper", "tree", upper, false);
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
	static const char *const trees[] = {"dir:", "btrfs:"};
	struct json_object *volumes = json_object_new_array();
	vmm_auto_free char *value = lxc_item(c, "lxc.rootfs.path");
	if (!value)
		return volumes;
	const char *colon = strchr(value, ':');
	if (*value == '/')
		add(volumes, host, c->name, "rootfs", type_of_path(value), value, false);
	else if (str_starts(value, "overlay:") || str_starts(value, "overlayfs:"))
		add_overlay(volumes, host, c->name, colon + 1);
	else if (str_starts(value, "loop:"))
		add(volumes, host, c->name, "rootfs", "file", colon + 1, false);
	else if (str_starts(value, trees[0]) || str_starts(value, trees[1]))
		add(volumes, host, c->name, "rootfs", "tree", colon + 1, false);
	else if (str_starts(value, "lvm:"))
		add(volumes, host, c->name, "rootfs", "block", colon + 1, false);
	else /* zfs, rbd, nbd: no storage of ours is asked for it, and says so */
		json_object_array_add(volumes, json_make("target:s type:s device:s format:s source:s", "rootfs",
							 colon ? "lxc-backend" : "unknown", "disk", "raw", value));
	return volumes;
}

/* ------------------------------------------------------------------ loop devices */

static bool is_attached(const char *path)
{
	vmm_auto_json struct json_object *all = NULL;
	vmm_auto_free char *real = realpath(path, NULL);
	if (!real || dir_list("/sys/block", &all, NULL) < 0)
		return false;
	json_each (name, all, "") {
		vmm_auto_free char *file = str_format("/sys/block/%s/loop/backing_file", json_text_or(name, "", ""));
		vmm_auto_free char *backing = NULL;
		if (!file_there(file) || file_read(file, 8192, &backing, NULL, NULL) < 0)
			continue;
		backing[strcspn(backing, "\n")] = 0;
		if (str_ends(backing, real) || str_ends(backing, path))
			return true;
	}
	return false;
}

/* The kernel lets go of the image a moment after the container's last mount of it is gone. */
int lxc_await_loop(struct lxc_container *c, struct vmm_error **err)
{
	vmm_auto_free char *value = lxc_item(c, "lxc.rootfs.path");
	const char *path = !value ? NULL : str_starts(value, "loop:") ? value + strlen("loop:") : value;
	struct stat info;
	if (!path || stat(path, &info) < 0 || !S_ISREG(info.st_mode))
		return 0;
	int64_t end = clock_steady_ms() + LOOP_WAIT_MS;
	while (is_attached(path)) {
		if (clock_steady_ms() > end)
			return error_set(err, VMM_FAILED, "volume-in-use",
					 "container %s is off, but %s is still mounted", c->name, path);
		clock_sleep_ms(LOOP_POLL_MS);
	}
	return 0;
}
