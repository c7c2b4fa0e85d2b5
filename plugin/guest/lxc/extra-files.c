/* extra-files.c: small files in a container's own directory, such as its hooks or an fstab, are carried to the target
 * in its definition. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

struct gather {
	struct lxc_extra_files *found;
	struct json_object *volumes;
	size_t bytes;
};

/* The volume may be named by another path that leads to the same file. */
static bool is_volume(struct gather *g, const char *path)
{
	struct stat own, info;
	if (lstat(path, &own) < 0)
		return false;
	json_each (volume, g->volumes, "") {
		const char *named = json_text(volume, "path");
		if (str_same(named, path) ||
		    (named && stat(named, &info) == 0 && info.st_dev == own.st_dev && info.st_ino == own.st_ino))
			return true;
	}
	return false;
}

/* Files that LXC or we make and that each node has its own of; volumes, which are carried by themselves. */
static bool is_skipped(struct gather *g, const char *path, const char *name)
{
	static const char *const known[] = {"config", "config.vmmigrate", "olmount", "snaps", "partial"};
	for (size_t i = 0; i < VMM_COUNT(known); i++)
		if (!strcmp(known[i], name))
			return true;
	return str_starts(name, ".vmmigrate-") || str_starts(name, ".config.vmmigrate.") ||
	       str_starts(name, "config.new-") || lxc_is_work_directory(g->volumes, path) || is_volume(g, path);
}

/* The names in a directory, those that begin with a dot too. */
static int list_all(const char *path, struct json_object **names, struct vmm_error **err)
{
	struct dirent **found;
	int count = scandir(path, &found, NULL, alphasort);
	if (count < 0)
		return error_errno(err, errno, "read the directory %s", path);
	*names = json_object_new_array();
	for (int i = 0; i < count; i++) {
		if (strcmp(found[i]->d_name, ".") != 0 && strcmp(found[i]->d_name, "..") != 0)
			json_object_array_add(*names, json_object_new_string(found[i]->d_name));
		free(found[i]);
	}
	free(found);
	return 0;
}

static char *to_hex(const char *data, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	char *hex = mem_zero(length * 2 + 1);
	for (size_t i = 0; i < length; i++) {
		hex[2 * i] = digits[(unsigned char)data[i] >> 4];
		hex[2 * i + 1] = digits[data[i] & 15];
	}
	return hex;
}

static int gather(struct gather *g, const char *directory, const char *relative, int depth, struct vmm_error **err);

static int gather_one(struct gather *g, const char *path, const char *relative, int depth, struct vmm_error **err)
{
	struct stat info;
	if (lstat(path, &info) < 0)
		return errno == ENOENT ? 0 : error_errno(err, errno, "look at %s", path);
	struct json_object *file = json_make("path:s mode:d uid:i gid:i", relative, (int)(info.st_mode & 07777),
					     (int64_t)info.st_uid, (int64_t)info.st_gid);
	if (S_ISDIR(info.st_mode) && depth < 8) {
		json_put(file, "directory:b", 1);
		json_object_array_add(g->found->files, file);
		return gather(g, path, relative, depth + 1, err);
	}
	/* A log that is written to while the container runs would look like a change of its definition. */
	if (S_ISREG(info.st_mode) && str_ends(relative, ".log")) {
		json_object_put(file);
		json_object_array_add(g->found->logs, json_object_new_string(relative));
		return 0;
	}
	g->bytes += (size_t)info.st_size;
	if (!S_ISREG(info.st_mode) || g->bytes > LXC_EXTRA_FILES_MOST) {
		json_object_put(file);
		json_object_array_add(g->found->left, json_object_new_string(relative));
		return 0;
	}
	vmm_auto_free char *data = NULL;
	size_t length;
	if (file_read(path, LXC_EXTRA_FILES_MOST, &data, &length, err) < 0) {
		json_object_put(file);
		return -1;
	}
	vmm_auto_free char *hex = to_hex(data, length);
	json_put(file, "hex:s", hex);
	json_object_array_add(g->found->files, file);
	return 0;
}

static int gather(struct gather *g, const char *directory, const char *relative, int depth, struct vmm_error **err)
{
	vmm_auto_json struct json_object *names = NULL;
	if (list_all(directory, &names, err) < 0)
		return -1;
	json_each (item, names, "") {
		const char *name = json_text_or(item, "", "?");
		vmm_auto_free char *path = str_format("%s/%s", directory, name);
		vmm_auto_free char *below = str_format("%s%s%s", relative, *relative ? "/" : "", name);
		if (!is_skipped(g, path, name) && gather_one(g, path, below, depth, err) < 0)
			return -1;
	}
	return 0;
}

int lxc_extra_files_read(const char *directory, struct json_object *volumes, struct lxc_extra_files *found,
			 struct vmm_error **err)
{
	struct gather g = {.found = found, .volumes = volumes};
	*found = (struct lxc_extra_files){json_object_new_array(), json_object_new_array(), json_object_new_array()};
	return gather(&g, directory, "", 0, err);
}

void lxc_cleanup_extra_files(struct lxc_extra_files *found)
{
	json_object_put(found->files);
	json_object_put(found->left);
	json_object_put(found->logs);
	*found = (struct lxc_extra_files){0};
}

/* ------------------------------------------------------------------ write, remove */

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int write_file(const char *path, const char *hex, struct vmm_error **err)
{
	size_t length = strlen(hex) / 2;
	vmm_auto_free char *data = mem_zero(length + 1);
	for (size_t i = 0; i < length; i++) {
		int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return error_set(err, VMM_FAILED, "malformed",
					 "the content of %s in the definition is not hexadecimal", path);
		data[i] = (char)(high << 4 | low);
	}
	return file_write(path, data, length, 0600, err);
}

static int write_one(const char *directory, struct json_object *file, struct vmm_error **err)
{
	const char *relative;
	if (json_need(file, "path", "definition", &relative, err) < 0)
		return -1;
	vmm_auto_free char *path = str_format("%s/%s", directory, relative);
	if (path_check(path, "definition", err) < 0)
		return -1;
	if ((json_true(file, "directory") ? dir_make(path, 0700, err)
					  : write_file(path, json_text_or(file, "hex", ""), err)) < 0)
		return -1;
	if (lchown(path, (uid_t)json_number(file, "uid"), (gid_t)json_number(file, "gid")) < 0 ||
	    chmod(path, (mode_t)json_number(file, "mode") & 07777) < 0)
		return error_errno(err, errno, "set owner and mode of %s", path);
	return 0;
}

int lxc_extra_files_write(const char *directory, struct json_object *files, struct vmm_error **err)
{
	json_each (file, files, "")
		if (write_one(directory, file, err) < 0)
			return -1;
	return 0;
}

/* Working directories of overlays, which are not among the files, go with what is in them: nothing lives there while
 * the container is off. */
static void remove_work(const char *directory, struct json_object *volumes)
{
	static const char *const places[] = {"work", "olwork", "overlay/work"};
	for (size_t i = 0; i < VMM_COUNT(places); i++) {
		vmm_auto_free char *path = str_format("%s/%s", directory, places[i]);
		if (lxc_is_work_directory(volumes, path))
			dir_remove(path, NULL);
	}
}

/* Backward: a directory comes before its files in the list, and can be removed only after them. */
void lxc_extra_files_remove(const char *directory, struct json_object *volumes, struct json_object *files)
{
	remove_work(directory, volumes);
	for (size_t i = json_count(files, ""); i > 0; i--) {
		const char *relative = json_text(json_object_array_get_idx(files, i - 1), "path");
		vmm_auto_free char *path = str_format("%s/%s", directory, relative);
		if (path_check(path, "definition", NULL) == 0)
			remove(path);
	}
}
