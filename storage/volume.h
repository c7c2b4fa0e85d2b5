/* volume: one volume of a plan - what it is on the source, and what becomes of it. The plan makes it, the migration
 * works by it, and the target's node receives it with ALLOCATE and PUBLISH, the source's with GIVE_UP. As JSON it is an
 * element of the plan's "volumes"; the table in volume.c names its fields. A volume that is not planned yet is JSON
 * (storage.h). */
#ifndef VMM_VOLUME_H
#define VMM_VOLUME_H

#include "storage/storage.h"

enum plan_action { PLAN_KEEP, PLAN_COPY };

struct plan_volume {
	/* What is known of it on the source (storage.h says what each one means). NULL, and -1 of `files`,
	 * `virtual_size`, `snapshots`, `root_uid` and the owner, if it is not known; `size` and `allocated` are 0 then.
	 */
	char *target, *type, *device, *format, *bus, *cache, *path, *source, *pool, *volume, *in, *home;
	char *real, *storage, *kind, *sharing, *backing, *data_file, *identity;
	int64_t size, allocated, virtual_size, files, snapshots;
	int64_t root_uid; /* of a container's tree: the uid of the container's root on the node */
	struct storage_owner owner;
	bool readonly, shareable, type_fixed, open, directory, tree;
	bool absent;		   /* the hypervisor makes it at the guest's next start: there is nothing yet */
	struct json_object *error; /* why it could not be looked at, or NULL */

	/* What becomes of it. */
	enum plan_action action;
	char *from;	  /* path on the source; NULL: of a network disk */
	char *to;	  /* path on the target */
	char *to_storage; /* name of the target's storage, or NULL */
	/* Of a copy only; else NULL and false. */
	char *to_kind; /* its kind on the target */
	/* Path on the target while it is copied; of a device the same as `to`. NULL in a plan that is only shown. */
	char *temporary;
	char *track;	/* how later rounds learn what has changed: the name of a track_ops */
	bool media;	/* small or read-only: it is copied also if the guest's memory moves */
	bool as_file;	/* the definition names it by a libvirt pool that the target does not have like that */
	bool set_aside; /* a file of that name is on the target, and is set aside first */
};
#define vmm_auto_volume __attribute__((cleanup(plan_volume_free)))

/* Reads a plan's volume; plan_volume_free frees what is in it. Error "bad-plan", naming the volume and the field, or
 * "bad-path" for a path of a copy; then there is nothing to free. */
int plan_volume_read(struct json_object *json, struct plan_volume *volume, struct vmm_error **err);
/* Reads a volume as storage_describe leaves it: it is kept, and has no paths on the target yet. */
int plan_volume_from_facts(struct json_object *described, struct plan_volume *volume, struct vmm_error **err);
/* The object belongs to the caller. */
struct json_object *plan_volume_write(const struct plan_volume *volume);
void plan_volume_free(struct plan_volume *volume);

/* Reads a list of them; if one of them cannot be read, there is nothing to free. plan_volumes_free frees them all. */
int plan_volumes_read(struct json_object *list, struct plan_volume **volumes, size_t *count, struct vmm_error **err);
void plan_volumes_free(struct plan_volume *volumes, size_t count);

#endif
