/* extents.c: which leaves of a volume may hold data. */
#include <errno.h>

#include "parts.h"

static void mark(struct extents *map, uint64_t from, uint64_t to)
{
	uint64_t leaf = from / COPY_LEAF, end = leaf_count(to);
	while (leaf < end) {
		unsigned first = leaf % COPY_LEAVES;
		unsigned count = min64(COPY_LEAVES - first, end - leaf);
		map->leaves[leaf / COPY_LEAVES] |= (count == COPY_LEAVES ? ~0ull : (1ull << count) - 1) << first;
		leaf += count;
	}
}

int extents_map(int fd, uint64_t size, struct extents *map, struct vmm_error **err)
{
	*map = (struct extents){.size = size, .count = extent_count(size)};
	map->leaves = mem_zero(map->count * sizeof(*map->leaves));
	/* One walk for all: asking anew for each extent would make tmpfs walk to the next hole each time. */
	for (uint64_t at = 0; at < size;) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		if (data < 0 && errno == EIO)
			return error_errno(err, errno, "reading the map of extents at offset %llu",
					   (unsigned long long)at);
		if (data < 0) {
			mark(map, at, size);
			break;
		}
		if ((uint64_t)data >= size)
			break;
		off_t hole = lseek(fd, data, SEEK_HOLE);
		uint64_t end = hole <= data ? size : min64((uint64_t)hole, size);
		mark(map, (uint64_t)data, end);
		at = end;
	}
	return 0;
}

void extents_free(struct extents *map)
{
	free(map->leaves);
	map->leaves = NULL;
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
