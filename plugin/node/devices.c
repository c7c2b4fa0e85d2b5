/* devices.c: block devices in the place of a volume that comes - what they are, and whether anybody has them. A device may be filled
 * where the system does not use it (storage/device.c) and no other guest of this node has it for a disk, under whatever name. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "node/local.h"

/* Paths, and of network disks what no path looks like. */
static bool is_that_device(const char *path, dev_t device)
{
	struct stat info;
	return path && *path == '/' && stat(path, &info) == 0 && S_ISBLK(info.st_mode) && info.st_rdev == device;
}

/* The guest other than `own` that has the device for a disk, or NULL. An old definition of `own` itself is in nobody's way. */
static struct json_object *owner_of(struct json_object *guests, dev_t device, const char *own)
{
	json_each (guest, guests, "") {
		vmm_auto_free char *key =
			str_format("%s-%s", json_text_or(guest, "kind", ""), json_text_or(guest, "id", ""));
		if (str_same(key, own) && str_same(json_text(guest, "state"), "shutoff"))
			continue;
		json_each (path, guest, "volumes")
			if (is_that_device(json_text(path, ""), device))
				return guest;
	}
	return NULL;
}

/* Why it may not be filled. */
static int device_free(int fd, const char *path, struct json_object *guests, const char *own, struct vmm_error **err)
{
	struct stat info;
	if (fstat(fd, &info) < 0)
		return error_errno(err, errno, "look at the block device %s", path);
	struct json_object *owner = owner_of(guests, info.st_rdev, own);
	if (owner) {
		error_set(err, VMM_BLOCKED, "volume-taken", "the block device %s is a disk of guest %s", path,
			  json_text_or(owner, "id", "?"));
		return error_hint(err, "Name another device, or take it from that guest.");
	}
	return device_unused(path, err);
}

int device_unclaimed(struct local_node *node, const char *path, const char *guest, struct vmm_error **err)
{
	vmm_auto_json struct json_object *all = NULL;
	vmm_auto_close int fd = device_open(path, O_RDONLY, err);
	if (fd < 0 || local_guests(node, NULL, &all, err) < 0)
		return -1;
	return device_free(fd, path, json_at(all, "guests"), guest, err);
}

/* The identity of the volume and that of a device of this node: equal, different, or not known of one of them. */
static void compare(struct json_object *into, const char *same, const char *other, struct json_object *volume, int fd)
{
	const char *theirs = json_text(volume, "identity");
	vmm_auto_free char *ours = fd >= 0 ? device_identity(fd) : NULL;
	bool known = theirs && ours;
	json_object_object_add(into, same, json_object_new_boolean(known && !strcmp(theirs, ours)));
	json_object_object_add(into, other, json_object_new_boolean(known && strcmp(theirs, ours)));
}

void device_look(struct json_object *place, struct json_object *volume, const char *path, struct json_object *guests,
		 const char *guest)
{
	vmm_auto_error struct vmm_error *busy = NULL;
	uint64_t size = 0;
	vmm_auto_close int here = device_open(json_text_or(volume, "path", ""), O_RDONLY, NULL),
			   there = device_open(path, O_RDONLY, NULL);
	compare(place, "same_block", "other_block", volume, here);
	if (there < 0 || device_size(there, path, &size, NULL) < 0)
		return;
	device_free(there, path, guests, guest, &busy);
	struct json_object *device = json_make("size:i busy:s", (int64_t)size, busy ? busy->message : NULL);
	compare(device, "same", "other", volume, there);
	json_put(place, "device:o", device);
}
