/* fit.c: guest_ops->fit: does this node have what the container needs? */
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

/* The first thing in the definition that cannot be used on this node, for people; NULL: all can. */
static char *objection(struct json_object *guest)
{
	if (!lxc_name_good(json_text_or(guest, "id", "")))
		return str_copy("its name has other characters than letters, digits and . _ - + @ :");
	json_each (left, guest, "left")
		return str_format(
			"its directory has %s, which cannot be carried to the target (only small plain files can)",
			json_text_or(left, "", "?"));
	return NULL;
}

static struct json_object *missing_mounts(struct json_object *guest)
{
	struct json_object *missing = json_object_new_array();
	json_each (mount, guest, "mounts")
		if (!json_true(mount, "optional") && !file_there(json_text_or(mount, "source", "/")))
			json_object_array_add(missing, json_object_get(json_at(mount, "source")));
	return missing;
}

/* ------------------------------------------------------------------ ids */

/* Reads /etc/subuid or subgid, lines "NAME:FIRST:COUNT". Sets `roots` where root has any ids, `granted` where root
 * has all of [first, first + count), `taken` where another user has some of them. */
static void read_subids(const char *path, unsigned long first, unsigned long count, bool *roots, bool *granted,
			bool *taken)
{
	vmm_auto_free char *text = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0)
		return;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		char *name = strsep(&line, ":"), *from = strsep(&line, ":");
		if (!from || !line)
			continue;
		unsigned long begin = strtoul(from, NULL, 10), length = strtoul(line, NULL, 10);
		bool root = !strcmp(name, "root") || !strcmp(name, "0");
		*roots |= root;
		*granted |= root && begin <= first && first + count <= begin + length;
		*taken |= !root && begin < first + count && first < begin + length;
	}
}

/* Why the map, such as "u 0 100000 65536", cannot be used on this node; NULL: it can. Where the file gives root
 * nothing at all, root may use every id that no other user has. */
static char *bad_map(const char *map)
{
	char which;
	unsigned long inside, first, count;
	bool roots = false, granted = false, taken = false;
	if (sscanf(map, "%c %lu %lu %lu", &which, &inside, &first, &count) != 4)
		return NULL;
	const char *path = which == 'u' ? "/etc/subuid" : "/etc/subgid";
	read_subids(path, first, count, &roots, &granted, &taken);
	if (granted || (!roots && !taken))
		return NULL;
	return str_format("%lu to %lu %s in %s", first, first + count - 1,
			  taken ? "are, in part, another user's" : "are not among root's", path);
}

static char *bad_idmap(struct json_object *guest)
{
	char *bad = NULL;
	json_each (map, guest, "idmap")
		if (!bad)
			bad = bad_map(json_text_or(map, "", ""));
	return bad;
}

/* ------------------------------------------------------------------ features */

static bool kernel_has(const char *filesystem)
{
	vmm_auto_free char *all = NULL, *line = str_format("\t%s\n", filesystem);
	return file_read("/proc/filesystems", 64 << 10, &all, NULL, NULL) < 0 || strstr(all, line);
}

static struct json_object *missing_features(struct json_object *guest)
{
	struct json_object *missing = json_object_new_array();
	const char *profile = json_text(guest, "apparmor");
	if (json_true(guest, "cgroup1") && file_there("/sys/fs/cgroup/cgroup.controllers"))
		json_object_array_add(
			missing, json_object_new_string("limits of cgroup version 1 (lxc.cgroup.*); it has version 2"));
	if (profile && strcmp(profile, "unconfined") != 0 && !file_there("/sys/kernel/security/apparmor"))
		json_object_array_add(missing, json_object_new_string("an AppArmor profile"));
	json_each (volume, guest, "volumes")
		if (str_same(json_text(volume, "target"), "upper") && !kernel_has("overlay"))
			json_object_array_add(missing, json_object_new_string("overlayfs"));
	return missing;
}

int lxc_fit(struct guest_host *host, struct json_object *guest, struct json_object **fit, struct vmm_error **err)
{
	(void)err;
	const char *id = json_text_or(guest, "id", "");
	vmm_auto_free char *no = objection(guest), *bad = bad_idmap(guest);
	vmm_auto_free char *directory = lxc_name_good(id) ? lxc_directory(host, id) : NULL;
	*fit = json_make("machine:b cpu:s cpu_missing:o definition:s mounts_missing:o idmap:s features:o", 1, "ok",
			 json_object_new_array(), no, missing_mounts(guest), bad, missing_features(guest));
	if (directory && file_there(directory))
		json_put(*fit, "directory:s", directory);
	return 0;
}
