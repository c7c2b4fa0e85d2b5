/* extents.c: the physical addresses of a file's blocks, by the ioctl FIEMAP. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "copy/copy.h"
#include "track/track.h"

enum { BATCH = 1024, EXTENTS_MOST = 512 << 10 };

static int doubt(struct vmm_error **err, const char *why)
{
	return error_set(err, VMM_FAILED, "track-doubt", "%s", why);
}

/* With any other flag there is no address yet (delayed allocation), the address does not determine the content
 * (encoded, unwritten), or it is not that of whole blocks (inline, tail). */
static bool is_comparable(uint32_t flags)
{
	return !(flags & ~(uint32_t)(FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_SHARED));
}

/* Does `next` continue `last`? Filesystems split extents also where only the flag "shared" changes, so such extents are
 * joined. */
static bool continues(const struct track_extent *last, const struct track_extent *next)
{
	return last->comparable && next->comparable && last->logical + last->length == next->logical &&
	       last->physical + last->length == next->physical;
}

int track_map_add(struct track_map *map, const struct fiemap_extent *extent, struct vmm_error **err)
{
	struct track_extent next = {extent->fe_logical, extent->fe_length, extent->fe_physical,
				    is_comparable(extent->fe_flags)};
	struct track_extent *last = map->count ? &map->extents[map->count - 1] : NULL;
	if (!next.length || next.logical > UINT64_MAX - next.length || next.physical > UINT64_MAX - next.length ||
	    (last && next.logical < last->logical + last->length))
		return doubt(err, "its map of extents is inconsistent");
	if (last && continues(last, &next)) {
		last->length += next.length;
		return 0;
	}
	if (map->count == EXTENTS_MOST)
		return doubt(err, "it has too many extents");
	if (map->count == map->room) {
		map->room = map->room ? map->room * 2 : BATCH;
		map->extents = realloc(map->extents, map->room * sizeof(*map->extents));
		if (!map->extents)
			abort();
	}
	map->extents[map->count++] = next;
	return 0;
}

/* Reads the next extents from *at on and advances *at. 1: there may be more, 0: that was all. */
static int read_batch(int fd, struct fiemap *batch, uint64_t *at, struct track_map *map, struct vmm_error **err)
{
	*batch = (struct fiemap){.fm_start = *at,
				 .fm_length = FIEMAP_MAX_OFFSET - *at,
				 .fm_flags = FIEMAP_FLAG_SYNC,
				 .fm_extent_count = BATCH};
	if (ioctl(fd, FS_IOC_FIEMAP, batch) < 0)
		return error_set(err, VMM_FAILED, "track-doubt", "its map of extents cannot be read: %s",
				 strerror(errno));
	for (uint32_t i = 0; i < batch->fm_mapped_extents; i++) {
		const struct fiemap_extent *extent = &batch->fm_extents[i];
		if (track_map_add(map, extent, err) < 0)
			return -1;
		*at = extent->fe_logical + extent->fe_length;
		if (extent->fe_flags & FIEMAP_EXTENT_LAST)
			return 0;
	}
	return batch->fm_mapped_extents > 0;
}

int track_map_read(int fd, struct track_map *map, struct vmm_error **err)
{
	struct stat info;
	*map = (struct track_map){0};
	if (fstat(fd, &info) < 0)
		return error_errno(err, errno, "stat the file");
	map->size = (uint64_t)info.st_size;
	vmm_auto_free struct fiemap *batch = mem_zero(sizeof(*batch) + BATCH * sizeof(batch->fm_extents[0]));
	uint64_t at = 0;
	int more;
	while ((more = read_batch(fd, batch, &at, map, err)) > 0)
		;
	if (more < 0)
		track_map_free(map);
	return more;
}

void track_map_free(struct track_map *map)
{
	free(map->extents);
	*map = (struct track_map){0};
}

bool track_map_same(const struct track_map *a, const struct track_map *b)
{
	bool same = a->size == b->size && a->count == b->count;
	for (size_t i = 0; same && i < a->count; i++) {
		const struct track_extent *x = &a->extents[i], *y = &b->extents[i];
		same = x->logical == y->logical && x->length == y->length && x->physical == y->physical &&
		       x->comparable == y->comparable;
	}
	return same;
}
