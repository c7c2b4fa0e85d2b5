/* track: which parts of a volume have changed since its last snapshot, found without reading the volume.
 *
 * Each round makes a snapshot of the volume, a file beside it, copies the snapshot's content, and keeps it until the
 * next round. The two files share their blocks (reflinks); when the guest writes a block, the filesystem puts the new
 * data at another physical address. So the parts that have changed are those whose physical address differs between the
 * snapshot and the volume. While both files exist, two blocks at one address are the same block. The extents' flag
 * "shared" is not used: it is set again as soon as any third file shares the block.
 *
 * If the changes cannot be known for certain, that is the error "track-doubt", which says why; the caller then treats
 * the whole volume as changed.
 */
#ifndef VMM_TRACK_H
#define VMM_TRACK_H

#include <linux/fiemap.h>

#include "base/base.h"

struct copy_range; /* copy/copy.h */

/* A volume's content at one moment. */
struct track_snapshot {
	char *path; /* the snapshot's file; NULL: there is no snapshot */
	int fd;	    /* open for reading */
	uint64_t device, inode, size;
};

struct track_changes {
	struct copy_range *ranges; /* ascending; no two of them touch */
	size_t count;
	uint64_t bytes; /* the sum of their lengths */
};

struct track_ops {
	const char *name; /* "reflink", "none"; stable, in messages and in the plan */

	/* Makes a snapshot of the file at `path`: a new file `snapshot` on the same filesystem, mode 0600. The guest
	 * may go on writing; everything that it wrote before the call is in the snapshot. Error "track-unable": this
	 * storage has no snapshots, or less room than `need` bytes (track_check_room); no new file is left at
	 * `snapshot` then. The caller notes the file in the made journal before the call, and removes it. NULL: this
	 * tracker makes no snapshots. */
	int (*begin)(const char *path, const char *snapshot, uint64_t need, struct vmm_error **err);

	/* What differs between the snapshot and `fd`: a later snapshot, or the volume itself while nobody writes to it.
	 * It may have grown, but not shrunk. The time depends on the number of extents, not on the size. The caller
	 * frees `changes`. Error "track-doubt". */
	int (*changed)(const struct track_snapshot *since, int fd, struct track_changes *changes,
		       struct vmm_error **err);
};

/* track_reread (reread.c) reports the whole volume as changed. */
extern const struct track_ops track_reflink, track_reread;

/* The tracker of that name; track_reread if there is none. */
const struct track_ops *track_named(const char *name);
/* Can track_reflink be expected to work on a filesystem of that type (storage.h, "fs")? */
bool track_reflink_fits(const char *fs);

/* While there are snapshots, the guest's first write to each block takes a new block of the filesystem, and a guest
 * that finds it full is paused by its hypervisor, like all others whose disks are there. Error "track-unable" if the
 * filesystem of `fd` has less free space than `need` bytes and a floor: a twentieth of its size, 4 GiB at most. */
int track_check_room(int fd, uint64_t need, struct vmm_error **err);

/* Opens the snapshot at `path` that `begin` has made. Error "track-doubt": it is missing, or is not the file of that
 * device and inode. */
int track_open(const char *path, uint64_t device, uint64_t inode, struct track_snapshot *snapshot,
	       struct vmm_error **err);
/* Closes the snapshot and leaves its file where it is. Does nothing to a struct that is all zero. */
void track_close(struct track_snapshot *snapshot);
void track_changes_free(struct track_changes *changes);

/* ------------------------------------------------------------------ within the room (extents.c, compare.c) */

struct track_extent {
	uint64_t logical, length, physical;
	bool comparable; /* whole, written blocks that lie at `physical`: only these can be found to be the same */
};

/* The extents of a file, ascending. The gaps between them are holes. */
struct track_map {
	uint64_t size; /* of the file */
	struct track_extent *extents;
	size_t count, room;
};

/* Reads the map of `fd`, after writing the file's dirty pages to the disk, since they have no address before. Error
 * "track-doubt": the filesystem gives no map, or one that is inconsistent or too long. */
int track_map_read(int fd, struct track_map *map, struct vmm_error **err);
void track_map_free(struct track_map *map);
/* Adds an extent of the kernel's. Error "track-doubt": it is malformed, overlaps the one before, or is one too many. */
int track_map_add(struct track_map *map, const struct fiemap_extent *extent, struct vmm_error **err);
bool track_map_same(const struct track_map *a, const struct track_map *b);

/* Every range that is not certainly the same in both. `now` may be larger than `then`, but not smaller. */
void track_compare(const struct track_map *then, const struct track_map *now, struct track_changes *changes);
/* Appends a range. If it touches the last one, the two become one. */
void track_changes_add(struct track_changes *changes, uint64_t offset, uint64_t length);

#endif
