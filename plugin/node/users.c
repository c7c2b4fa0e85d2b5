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
		json_each (member, chain, "")
			if (is_file(json_text(member, "path"), file))
				return true;
	}
	return false;
}

/* Is `other` the guest itself, or one that has its id, name or UUID, which a check of its own deals with? */
static bool is_same_guest(struct json_object *guest, struct json_object *other)
{
	static const char *const keys[] = {"id", "name", "uuid"};
	if (!str_same(json_text(guest, "kind"), json_text(other, "kind")))
		return false;
	for (size_t i = 0; i < VMM_COUNT(keys); i++)
		if (json_text(guest, keys[i]) && str_same(json_text(guest, keys[i]), json_text(other, keys[i])))
			return true;
	return false;
}

struct json_object *local_users_of(const char *path, struct json_object *guest, struct json_object *guests)
{
	struct json_object *users = json_object_new_array();
	struct stat info;
	if (!path || stat(path, &info) < 0)
		return users;
	const struct file file = {info.st_dev, info.st_ino};
	json_each (other, guests, "")
		if (!is_same_guest(guest, other) && needs(other, &file))
			json_object_array_add(users, json_object_new_string(json_text_or(other, "id", "?")));
	return users;
}

void local_add_users(struct json_object *guest, struct json_object *guests)
{
	json_each (volume, guest, "volumes")
		json_put(volume, "used_by:o", local_users_of(json_text(volume, "path"), guest, guests));
}
