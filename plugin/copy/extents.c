/* extents.c: which leaves of a volume may hold data. */
#include <errno.h>

#include "parts.h"

void leaves_pick(uint64_t *words, uint64_t leaf, uint64_t end)
{
	while (leaf < end) {
		unsigned first = leaf % COPY_LEAVES;
		unsigned count = min64(COPY_LEAVES - first, end - leaf);
		words[leaf / COPY_LEAVES] |= (count == COPY_LEAVES ? ~0ull : (1ull << count) - 1) << first;
		leaf += count;
	}
}

/* Sets the bits of all leaves that these bytes touch. */
static void mark(uint64_t *words, uint64_t from, uint64_t to)
{
	leaves_pick(words, from / COPY_LEAF, leaf_count(to));
}

int extents_map_part(int fd, uint64_t size, uint64_t from, uint64_t to, struct extents *map, struct vmm_error **err)
{
	*map = (struct extents){.size = size, .count = extent_count(size)};
	map->leaves = mem_zero(map->count * sizeof(*map->leaves));
	/* One walk for all: asking anew for each extent would make tmpfs walk to the next hole each time. */
	for (uint64_t at = from; at < to;) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0 && errno == EIO)
			return error_errno(err, errno, "reading the map of extents at offset %llu",
					   (unsigned long long)at);
		if (data < 0) {
			mark(map->leaves, at, to);
			break;
		}
		if ((uint64_t)data >= to)
			break;
		off_t hole = lseek(fd, data, SEEK_HOLE);
		uint64_t end = hole <= data ? to : min64((uint64_t)hole, to);
		mark(map->leaves, (uint64_t)data, end);
		at = end;
	}
	return 0;
}

int extents_map(int fd, uint64_t size, struct extents *map, struct vmm_error **err)
{
	return extents_map_part(fd, size, 0, size, map, err);
}

void extents_free(struct extents *map)
{
	free(map->leaves);
	map->leaves = NULL;
}

uint64_t *leaves_touched(uint64_t size, const struct copy_range *ranges, size_t count)
{
	uint64_t *words = mem_zero(extent_count(size) * sizeof(*words));
	for (size_t i = 0; i < count; i++)
		if (ranges[i].offset < size && ranges[i].length)
			mark(words, ranges[i].offset,
			     ranges[i].offset + min64(ranges[i].length, size - ranges[i].offset));
	return words;
}

uint64_t extent_bits(uint64_t size, uint64_t extent)
{
	size_t leaves = leaf_count(extent_length(size, extent));
	return leaves == COPY_LEAVES ? ~0ull : (1ull << leaves) - 1;
}

void picked_begin(struct picked *picked, uint64_t size)
{
	*picked = (struct picked){0};
	/* Pages of it that nothing is picked in are never touched. */
	picked->leaves = mem_zero(extent_count(size) * sizeof(*picked->leaves));
}

void picked_free(struct picked *picked)
{
	free(picked->leaves);
}

bool bits_run(uint64_t word, unsigned from, unsigned *first, unsigned *end)
{
	if (from >= 64 || !(word >> from))
		return false;
	*first = from + (unsigned)__builtin_ctzll(word >> from);
	uint64_t clear = ~(word >> *first);
	*end = clear ? *first + (unsigned)__builtin_ctzll(clear) : 64;
	if (*end > 64)
		*end = 64;
	return true;
}
