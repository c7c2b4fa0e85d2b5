/* leaf-map.c: bitmaps of leaves; which leaves of a volume may hold data. */
#include <errno.h>

#include "copy-internal.h"

void bits_set(uint64_t *bits, uint64_t leaf, uint64_t end)
{
	while (leaf < end) {
		unsigned first = leaf % COPY_EXTENT_LEAVES;
		unsigned count = min64(COPY_EXTENT_LEAVES - first, end - leaf);
		bits[leaf / COPY_EXTENT_LEAVES] |= (count == COPY_EXTENT_LEAVES ? ~0ull : (1ull << count) - 1) << first;
		leaf += count;
	}
}

/* Sets the bits of all leaves that these bytes touch. */
static void set_bytes(uint64_t *bits, uint64_t from, uint64_t to)
{
	bits_set(bits, from / COPY_LEAF, leaf_count(to));
}

int leaf_map_read_part(int fd, uint64_t size, uint64_t from, uint64_t to, struct leaf_map *map, struct vmm_error **err)
{
	*map = (struct leaf_map){.size = size, .count = extent_count(size)};
	map->bits = mem_zero(map->count * sizeof(*map->bits));
	/* One pass over the file: with one for each extent, tmpfs would search for the next hole each time. */
	for (uint64_t at = from; at < to;) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0 && errno == EIO)
			return error_errno(err, errno, "reading the map of extents at offset %llu",
					   (unsigned long long)at);
		if (data < 0) {
			set_bytes(map->bits, at, to);
			break;
		}
		if ((uint64_t)data >= to)
			break;
		off_t hole = lseek(fd, data, SEEK_HOLE);
		uint64_t end = hole <= data ? to : min64((uint64_t)hole, to);
		set_bytes(map->bits, (uint64_t)data, end);
		at = end;
	}
	return 0;
}

int leaf_map_read(int fd, uint64_t size, struct leaf_map *map, struct vmm_error **err)
{
	return leaf_map_read_part(fd, size, 0, size, map, err);
}

void leaf_map_free(struct leaf_map *map)
{
	free(map->bits);
	map->bits = NULL;
}

uint64_t *bits_of_ranges(uint64_t size, const struct copy_range *ranges, size_t count)
{
	uint64_t *bits = mem_zero(extent_count(size) * sizeof(*bits));
	for (size_t i = 0; i < count; i++)
		if (ranges[i].offset < size && ranges[i].length)
			set_bytes(bits, ranges[i].offset,
				  ranges[i].offset + min64(ranges[i].length, size - ranges[i].offset));
	return bits;
}

uint64_t bits_of_extent(uint64_t size, uint64_t extent)
{
	size_t leaves = leaf_count(extent_length(size, extent));
	return leaves == COPY_EXTENT_LEAVES ? ~0ull : (1ull << leaves) - 1;
}

void leaf_set_begin(struct leaf_set *set, uint64_t size)
{
	*set = (struct leaf_set){0};
	/* The kernel allocates pages of it only where a bit is set. */
	set->bits = mem_zero(extent_count(size) * sizeof(*set->bits));
}

void leaf_set_free(struct leaf_set *set)
{
	free(set->bits);
}

bool bits_run(uint64_t bits, unsigned from, unsigned *first, unsigned *end)
{
	if (from >= 64 || !(bits >> from))
		return false;
	*first = from + (unsigned)__builtin_ctzll(bits >> from);
	uint64_t clear = ~(bits >> *first);
	*end = clear ? *first + (unsigned)__builtin_ctzll(clear) : 64;
	if (*end > 64)
		*end = 64;
	return true;
}
