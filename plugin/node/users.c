/* users.c: which other guests of this node need the files of a guest's volumes: as a disk of their own, or because an
 * image, an overlay or a clone of theirs stands on them. Files are compared by device and inode, whatever their paths.
 */
#include <sys/stat.h>

#include "node/local.h"

struct file {
	dev_t device;
	ino_t inode;
};

static bool is_file(const char *path, const struct file *file)
{
	struct stat info;
	return path && *path == '/' && stat(path, &info) == 0 && info.st_dev == file->device &&
	       info.st_ino == file->inode;
}

static bool needs(struct json_object *guest, const struct file *file)
{
	json_each (reads, guest, "reads") {
		vmm_auto_json struct json_object *chain =
			image_chain(json_text(reads, "path"), json_text_or(reads, "format", "raw"));
		json_each (path, chain, "")
			if (is_file(json_text(path, ""), file))
				return true;
	}
	return false;
}

static bool is_same_guest(struct json_object *a, struct json_object *b)
{
	return str_same(json_text(a, "kind"), json_text(b, "kind")) && str_same(json_text(a, "id"), json_text(b, "id"));
}

void local_add_users(struct json_object *guest, struct json_object *guests)
{
	json_each (volume, guest, "volumes") {
		struct stat info;
		const char *path = json_text(volume, "path");
		if (!path || stat(path, &info) < 0)
			continue;
		const struct file file = {info.st_dev, info.st_ino};
		json_each (other, guests, "")
			if (!is_same_guest(guest, other) && needs(other, &file))
				json_append(volume, "used_by", json_object_new_string(json_text_or(other, "id", "?")));
	}
}
