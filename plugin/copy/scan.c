/* scan.c: reads volumes and makes the tags of their leaves.
 *
 * If only the tags are wanted, a few leaves at a time are read into the same memory. Both the kernel's copying and the
 * tagging are faster there than in the memory of a whole extent, which is larger than a core's cache. */
#include <errno.h>
#include <fcntl.h>

#include "copy-internal.h"

enum { PIECE = 4 }; /* leaves that are read by one call; with O_DIRECT all of the extent */

bool exceeds_cache(uint64_t size)
{
	return size / 2 > (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 4;
}

uint8_t *scan_buffer(void)
{
	void *data = NULL;
	if (posix_memalign(&data, 4096, COPY_EXTENT))
		abort();
	return data;
}

void scan_begin(struct scan *scan, int fd, const struct leaf_map *map, const uint8_t key[COPY_KEY])
{
	*scan = (struct scan){.fd = fd, .map = map, .tagger = tagger_new(key), .drop_cache = exceeds_cache(map->size)};
	int flags = fcntl(fd, F_GETFL);
	scan->piece = flags >= 0 && flags & O_DIRECT ? COPY_EXTENT_LEAVES : PIECE;
}

void scan_end(struct scan *scan)
{
	tagger_free(scan->tagger);
	free(scan->data);
}

/* Reads `length` bytes. `asked` is the length that pread is called with: `length` rounded up, for O_DIRECT. */
static int read_at(int fd, uint8_t *data, size_t length, size_t asked, uint64_t offset, struct vmm_error **err)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = pread(fd, data + done, asked - done, (off_t)(offset + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, VMM_FAILED, "read-failed", "reading at offset %llu: %s",
					 (unsigned long long)(offset + done), n ? strerror(errno) : "the volume ends");
		done += (size_t)n;
	}
	return 0;
}

int scan_leaves(struct scan *scan, uint64_t extent, unsigned first, unsigned end, uint8_t *data,
		struct extent_tags *tags, struct vmm_error **err)
{
	size_t whole = extent_length(scan->map->size, extent), from = (size_t)first * COPY_LEAF,
	       length = min64((uint64_t)end * COPY_LEAF, whole) - from;
	if (read_at(scan->fd, data, length, (length + 4095) & ~(size_t)4095, extent * COPY_EXTENT + from, err) < 0)
		return -1;
	for (unsigned leaf = first; leaf < end; leaf++, data += COPY_LEAF) {
		size_t bytes = leaf_length(whole, leaf);
		tags->nonzero &= ~(1ull << leaf);
		if (bytes_are_zero(data, bytes))
			continue;
		tags->nonzero |= 1ull << leaf;
		tagger_tag(scan->tagger, data, bytes, tags->tag[leaf]);
	}
	return 0;
}

int scan_extent(struct scan *scan, uint64_t extent, bool keep, struct extent_tags *tags, struct vmm_error **err)
{
	size_t length = extent_length(scan->map->size, extent);
	uint64_t bits = scan->map->bits[extent];
	tags->nonzero = 0;
	scan->data = scan->data ? scan->data : scan_buffer();
	for (unsigned first, end = 0; bits_run(bits, end, &first, &end);) {
		end = (unsigned)min64(end, first + scan->piece);
		uint8_t *data = scan->data + (keep ? (size_t)first * COPY_LEAF : 0);
		if (scan_leaves(scan, extent, first, end, data, tags, err) < 0)
			return -1;
		size_t from = (size_t)first * COPY_LEAF, bytes = min64((uint64_t)end * COPY_LEAF, length) - from;
		scan->read += bytes;
		if (scan->on_data && scan->on_data(scan->context, extent * COPY_EXTENT + from, data, bytes, err) < 0)
			return -1;
	}
	if (scan->drop_cache && bits)
		posix_fadvise(scan->fd, (off_t)(extent * COPY_EXTENT), (off_t)length, POSIX_FADV_DONTNEED);
	return 0;
}

void scan_readahead(const struct scan *scan, uint64_t extent)
{
	uint64_t bits = extent < scan->map->count ? scan->map->bits[extent] : 0;
	/* Without the holes between: the kernel would fill its cache with their zeros. */
	for (unsigned first, end = 0; bits_run(bits, end, &first, &end);)
		posix_fadvise(scan->fd, (off_t)(extent * COPY_EXTENT + (uint64_t)first * COPY_LEAF),
			      (off_t)(end - first) * COPY_LEAF, POSIX_FADV_WILLNEED);
}

/* ------------------------------------------------------------------ a whole volume, by a few threads */

enum { SCAN_THREADS = 2 };

/* What the threads parallel. */
struct parallel_scan {
	int fd;
	uint64_t end; /* the extent behind the last */
	struct leaf_map map;
	struct copy_leaves *leaves;
	atomic_ullong next; /* first extent that no thread has taken yet */
	atomic_bool failed;
	struct vmm_error *errors[SCAN_THREADS];
	atomic_uint threads; /* that have begun: each has an error of its own */
};

static void *parallel_scan_run(void *argument)
{
	struct parallel_scan *parallel = argument;
	struct vmm_error **err = &parallel->errors[parallel->threads++];
	struct scan scan;
	struct extent_tags tags;
	scan_begin(&scan, parallel->fd, &parallel->map, parallel->leaves->key);
	while (!parallel->failed) {
		uint64_t extent = parallel->next++;
		if (extent >= parallel->end)
			break;
		if (!parallel->map.bits[extent])
			continue;
		if (scan_extent(&scan, extent, false, &tags, err) < 0) {
			parallel->failed = true;
			break;
		}
		leaves_put(parallel->leaves, extent, &tags);
	}
	scan_end(&scan);
	return NULL;
}

/* Maps the leaves of the set (NULL: all) that may hold data. */
static int map_leaves(struct parallel_scan *parallel, const struct leaf_set *set, uint64_t size, struct vmm_error **err)
{
	parallel->end = extent_count(size);
	if (!set)
		return leaf_map_read(parallel->fd, size, &parallel->map, err);
	parallel->next = set->first;
	parallel->end = set->end;
	if (leaf_map_read_part(parallel->fd, size, set->first * COPY_EXTENT, min64(size, set->end * COPY_EXTENT),
			       &parallel->map, err) < 0)
		return -1;
	for (uint64_t extent = set->first; extent < set->end; extent++)
		parallel->map.bits[extent] &= set->bits[extent];
	return 0;
}

int scan_all(int fd, const struct leaf_set *set, struct copy_leaves *leaves, struct vmm_error **err)
{
	struct parallel_scan parallel = {.fd = fd, .leaves = leaves};
	pthread_t threads[SCAN_THREADS - 1];
	size_t started = 0;
	int result = map_leaves(&parallel, set, leaves->size, err);
	if (!result) {
		/* The calling thread reads too, so a thread that cannot be started only makes it slower. */
		while (started < VMM_COUNT(threads) &&
		       !pthread_create(&threads[started], NULL, parallel_scan_run, &parallel))
			started++;
		parallel_scan_run(&parallel);
	}
	while (started)
		pthread_join(threads[--started], NULL);
	for (size_t i = 0; i < SCAN_THREADS; i++) {
		if (!parallel.errors[i])
			continue;
		result = -1;
		error_take(err, parallel.errors[i]);
	}
	leaf_map_free(&parallel.map);
	return result;
}
