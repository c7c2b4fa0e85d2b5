/* compare.c: compares two maps of extents, both in one pass. */
#include "copy/copy.h"
#include "track/track.h"

/* An offset in a map that only moves forward. */
struct cursor {
	const struct track_map *map;
	size_t next; /* the first extent that does not end before the offset */
};

/* What is at an offset, and up to where. */
struct span {
	const struct track_extent *extent; /* NULL: a hole */
	uint64_t end;
};

static struct span cursor_span(struct cursor *cursor, uint64_t at, uint64_t size)
{
	const struct track_map *map = cursor->map;
	while (cursor->next < map->count &&
	       map->extents[cursor->next].logical + map->extents[cursor->next].length <= at)
		cursor->next++;
	if (cursor->next == map->count)
		return (struct span){NULL, size};
	const struct track_extent *extent = &map->extents[cursor->next];
	if (extent->logical > at)
		return (struct span){NULL, extent->logical};
	return (struct span){extent, extent->logical + extent->length};
}

static bool is_same_block(const struct track_extent *then, const struct track_extent *now, uint64_t at)
{
	if (!then || !now)
		return then == now;
	return then->comparable && now->comparable &&
	       then->physical + (at - then->logical) == now->physical + (at - now->logical);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void track_changes_add(struct track_changes *changes, uint64_t offset, uint64_t length)
{
	struct copy_range *last = changes->count ? &changes->ranges[changes->count - 1] : NULL;
	changes->bytes += length;
	if (last && last->offset + last->length == offset) {
		last->length += length;
		return;
	}
	/* The array has room for the next power of two: it doubles when the count reaches one. */
	if (!(changes->count & (changes->count - 1))) {
		size_t room = changes->count ? changes->count * 2 : 1;
		changes->ranges = realloc(changes->ranges, room * sizeof(*changes->ranges));
		if (!changes->ranges)
			abort();
	}
	changes->ranges[changes->count++] = (struct copy_range){offset, length};
}

void track_changes_free(struct track_changes *changes)
{
	free(changes->ranges);
	*changes = (struct track_changes){0};
}

void track_compare(const struct track_map *then, const struct track_map *now, struct track_changes *changes)
{
	struct cursor old = {.map = then}, new = {.map = now};
	*changes = (struct track_changes){0};
	for (uint64_t at = 0, end; at < then->size; at = end) {
		struct span a = cursor_span(&old, at, then->size), b = cursor_span(&new, at, then->size);
		end = min_u64(min_u64(a.end, b.end), then->size);
		if (!is_same_block(a.extent, b.extent, at))
			track_changes_add(changes, at, end - at);
	}
	/* All that lies behind the old end has changed. */
	if (now->size > then->size)
		track_changes_add(changes, then->size, now->size - then->size);
}
