/* extra-files.c: small files in a container's own directory, such as its hooks or an fstab, are carried to the target
 * in its definition. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

struct gather {
	struct json_object *files, *left, *volumes;
	size_t bytes;
};

/* Files that LXC or we make and that each node has its own of; volumes, which are carried by themselves; logs. */
static bool is_skipped(struct gather *g, const char *path, const char *name)
{
	static const char *const known[] = {"config", "config.vmmigrate", "olwork", "olmount", "snaps", "partial"};
	for (size_t i = 0; i < VMM_COUNT(known); i++)
		if (!strcmp(known[i], name))
			return true;
	json_each (volume, g->volumes, "")
		if (str_same(json_text(volume, "path"), path))
			return true;
	return str_starts(name, ".vmmigrate-") || str_starts(name, "config.new-") || str_ends(name, ".log");
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
		json_object_array_add(g->files, file);
		return gather(g, path, relative, depth + 1, err);
	}
	g->bytes += (size_t)info.st_size;
	if (!S_ISREG(info.st_mode) || g->bytes > LXC_EXTRA_FILES_MOST) {
		json_object_put(file);
		json_object_array_add(g->left, json_object_new_string(relative));
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
	json_object_array_add(g->files, file);
	return 0;
}

static int gather(struct gather *g, const char *directory, const char *relative, int depth, struct vmm_error **err)
{
	vmm_auto_json struct json_object *names = NULL;
	if (dir_list(directory, &names, err) < 0)
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

int lxc_extra_files_read(const char *directory, struct json_object *volumes, struct json_object **files,
			 struct json_object *left, struct vmm_error **err)
{
	struct gather g = {.files = json_object_new_array(), .left = left, .volumes = volumes};
	if (gather(&g, directory, "", 0, err) == 0) {
		*files = g.files;
		return 0;
	}
	json_object_put(g.files);
	return -1;
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

/* Backward: a directory comes before its files in the list, and can be removed only after them. */
void lxc_extra_files_remove(const char *directory, struct json_object *files)
{
	for (size_t i = json_count(files, ""); i > 0; i--) {
		const char *relative = json_text(json_object_array_get_idx(files, i - 1), "path");
		vmm_auto_free char *path = str_format("%s/%s", directory, relative);
		if (path_check(path, "definition", NULL) == 0)
			remove(path);
	}
}
