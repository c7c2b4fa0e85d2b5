/* compare.c: two maps of extents walked side by side. */
#include "copy/copy.h"
#include "track/track.h"

/* A place in a map: what covers it, and how far that goes. */
struct walk {
	const struct track_map *map;
	size_t next; /* the first extent that does not end before the place */
};

struct cover {
	const struct track_extent *extent; /* NULL: a hole */
	uint64_t end;
};

static struct cover cover_at(struct walk *walk, uint64_t at, uint64_t size)
{
	const struct track_map *map = walk->map;
	while (walk->next < map->count && map->extents[walk->next].logical + map->extents[walk->next].length <= at)
		walk->next++;
	if (walk->next == map->count)
		return (struct cover){NULL, size};
	const struct track_extent *extent = &map->extents[walk->next];
	if (extent->logical > at)
		return (struct cover){NULL, extent->logical};
	return (struct cover){extent, extent->logical + extent->length};
}

static bool is_same(const struct track_extent *then, const struct track_extent *now, uint64_t at)
{
	if (!then || !now)
		return then == now;
	return then->sure && now->sure && then->physical + (at - then->logical) == now->physical + (at - now->logical);
}

static uint64_t least(uint64_t a, uint64_t b)
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
	/* It doubles whenever the count is a power of two. */
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
	struct walk old = {.map = then}, new = {.map = now};
	*changes = (struct track_changes){0};
	for (uint64_t at = 0, end; at < then->size; at = end) {
		struct cover a = cover_at(&old, at, then->size), b = cover_at(&new, at, then->size);
		end = least(least(a.end, b.end), then->size);
		if (!is_same(a.extent, b.extent, at))
			track_changes_add(changes, at, end - at);
	}
	/* What it has grown by was not there at all. */
	if (now->size > then->size)
		track_changes_add(changes, then->size, now->size - then->size);
}
