/* track: what has changed in a volume since it was frozen, told without reading it.
 *
 * A round freezes the volume into a file beside it, copies what that file holds, and keeps it until the next one: the
 * filesystem lets both share their blocks, and gives a block that is written a new place. So what has changed is what lies at
 * another physical address by now. Both files exist while they are compared, so two blocks at one address are one
 * block, whoever else shares it: the flag that says "shared" is not asked, since a third party's copy sets it again.
 *
 * Any doubt is an error ("track-doubt", which says why): the caller then takes it that all may have changed.
 */
#ifndef VMM_TRACK_H
#define VMM_TRACK_H

#include <linux/fiemap.h>

#include "base/base.h"

struct copy_range; /* copy/copy.h */

/* A volume as it was once. */
struct track_snapshot {
	char *place; /* of the frozen file; NULL: nothing is frozen */
	int fd;	     /* open for reading */
	uint64_t device, inode, size;
};

struct track_changes {
	struct copy_range *ranges; /* ascending, apart from each other */
	size_t count;
	uint64_t bytes; /* in them */
};

struct track_ops {
	const char *name; /* "reflink", "none"; stable, shown to people */

	/* Freezes the file at `path` into a new file `place` on the same filesystem, mode 0600. The writer goes on meanwhile; what it
	 * had written before is in it. Error "track-unable" where this storage cannot, or has too little room for what is
	 * written from now on; nothing is left at `place` then. It ends when its file is removed, by whoever has noted it. NULL: nothing is ever frozen. */
	int (*begin)(const char *path, const char *place, struct vmm_error **err);

	/* What differs between the snapshot and `fd`, another frozen file or the volume itself, which nobody writes to meanwhile and
	 * which may have grown. Takes no longer for a large volume than for a small one of as many extents. */
	int (*changed)(const struct track_snapshot *since, int fd, struct track_changes *changes,
		       struct vmm_error **err);
};

/* reread.c is the one that knows nothing: all may have changed. */
extern const struct track_ops track_reflink, track_reread;

/* By its name; track_reread where there is none of that name. */
const struct track_ops *track_named(const char *name);
/* Is the filesystem of that name (storage.h, "fs") one that is worth trying with track_reflink? */
bool track_reflink_fits(const char *fs);

/* Opens what `begin` has made: the very file of that device and inode. Error "track-doubt". */
int track_open(const char *place, uint64_t device, uint64_t inode, struct track_snapshot *snapshot,
	       struct vmm_error **err);
/* Closes; the file stays. Harmless on one that is all zero. */
void track_close(struct track_snapshot *snapshot);
void track_changes_free(struct track_changes *changes);

/* ------------------------------------------------------------------ within the room (extents.c, compare.c) */

struct track_extent {
	uint64_t logical, length, physical;
	bool sure; /* plain written blocks at that address, and nothing else */
};

/* The extents of a file, ascending; what is not in it is a hole. */
struct track_map {
	uint64_t size; /* of the file */
	struct track_extent *extents;
	size_t count, room;
};

/* What is written is on the disk first, so that all has its place. Error "track-doubt" where the map cannot be had, makes no
 * sense, or is too long. */
int track_map_read(int fd, struct track_map *map, struct vmm_error **err);
void track_map_free(struct track_map *map);
/* Adds an extent as the kernel gives it; an error as above where it does not lie behind those before. */
int track_map_add(struct track_map *map, const struct fiemap_extent *extent, struct vmm_error **err);
bool track_map_same(const struct track_map *a, const struct track_map *b);

/* Everything that is not surely the same in both; `now` may be longer, but not shorter. */
void track_compare(const struct track_map *then, const struct track_map *now, struct track_changes *changes);
/* Appends a range, joined to the last where they touch. */
void track_changes_add(struct track_changes *changes, uint64_t offset, uint64_t length);

#endif
