/* users.c: which other guests of this node need the files of a guest's volumes: as a disk of their own, or because an
 * image, an overlay or a clone of theirs stands on them. Files are compared by device and inode, whatever their paths.
 */
#include <sys/stat.h>

#include "node/local.h"

struct file {
	dev_t device; /* of a block device: its own number */
	ino_t inode;  /* of a block device: 0 */
};

static bool file_look(const char *path, struct file *file)
{
	struct stat info;
	if (!path || *path != '/' || stat(path, &info) < 0)
		return false;
	*file = S_ISBLK(info.st_mode) ? (struct file){info.st_rdev, 0} : (struct file){info.st_dev, info.st_ino};
	return true;
}

static bool is_file(const char *path, const struct file *file)
{
	struct file other;
	return file_look(path, &other) && other.device == file->device && other.inode == file->inode;
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
	struct file file;
	if (!file_look(path, &file))
		return users;
	json_each (other, guests, "")
		if (!is_same_guest(guest, other) && needs(other, &file))
			json_object_array_add(users, json_object_new_string(json_text_or(other, "id", "?")));
	return users;
}

/* Adds "alias": other paths under which the guest itself or another one has the very file as a disk, by a link or
 * another mount: {"guest": id, "target": of the guest's own volumes, "path"}. */
static void add_aliases(struct json_object *volume, size_t index, struct json_object *guest, struct json_object *guests)
{
	struct file file;
	if (!file_look(json_text(volume, "path"), &file))
		return;
	json_each (earlier, guest, "volumes")
		if (earlier_i < index && is_file(json_text(earlier, "path"), &file))
			json_append(volume, "alias",
				    json_make("guest:s target:s path:s", json_text(guest, "id"),
					      json_text(earlier, "target"), json_text(earlier, "path")));
	json_each (other, guests, "")
		json_each (path, other, "volumes")
			if (!is_same_guest(guest, other) && !str_same(json_text(path, ""), json_text(volume, "path")) &&
			    is_file(json_text(path, ""), &file))
				json_append(volume, "alias",
					    json_make("guest:s path:s", json_text(other, "id"), json_text(path, "")));
}

void local_add_users(struct json_object *guest, struct json_object *guests)
{
	json_each (volume, guest, "volumes") {
		json_put(volume, "used_by:o", local_users_of(json_text(volume, "path"), guest, guests));
		add_aliases(volume, volume_i, guest, guests);
	}
}
