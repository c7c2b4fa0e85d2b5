/* scan.c: reads volumes and makes the tags of their leaves.
 *
 * Where only the tags are wanted, one small piece after the other is read into the same memory: both the copying of it by the kernel and
 * the tags are quicker there than in an extent's, which is larger than a core's cache.
 */
#include <errno.h>
#include <fcntl.h>

#include "parts.h"

enum { PIECE = 4 }; /* leaves that are read at once, out of the cache; past it, all that there are */

bool cache_spared(uint64_t size)
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

void scan_begin(struct scan *scan, int fd, const struct extents *map, const uint8_t key[COPY_KEY])
{
	*scan = (struct scan){.fd = fd, .map = map, .tagger = tagger_new(key), .spare = cache_spared(map->size)};
	int flags = fcntl(fd, F_GETFL);
	scan->piece = flags >= 0 && flags & O_DIRECT ? COPY_LEAVES : PIECE;
}

void scan_end(struct scan *scan)
{
	tagger_free(scan->tagger);
	free(scan->data);
}

/* Reads `length` bytes; asks for `asked`, which is that rounded up for O_DIRECT. */
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
	uint64_t word = scan->map->leaves[extent];
	tags->nonzero = 0;
	scan->data = scan->data ? scan->data : scan_buffer();
	for (unsigned first, end = 0; bits_run(word, end, &first, &end);) {
		end = (unsigned)min64(end, first + scan->piece);
		uint8_t *data = scan->data + (keep ? (size_t)first * COPY_LEAF : 0);
		if (scan_leaves(scan, extent, first, end, data, tags, err) < 0)
			return -1;
		size_t from = (size_t)first * COPY_LEAF, bytes = min64((uint64_t)end * COPY_LEAF, length) - from;
		scan->read += bytes;
		if (scan->look && scan->look(scan->context, extent * COPY_EXTENT + from, data, bytes, err) < 0)
			return -1;
	}
	if (scan->spare && word)
		posix_fadvise(scan->fd, (off_t)(extent * COPY_EXTENT), (off_t)length, POSIX_FADV_DONTNEED);
	return 0;
}

void scan_ahead(const struct scan *scan, uint64_t extent)
{
	uint64_t word = extent < scan->map->count ? scan->map->leaves[extent] : 0;
	/* Not what lies between: the kernel would fill its cache with the zeros of holes. */
	for (unsigned first, end = 0; bits_run(word, end, &first, &end);)
		posix_fadvise(scan->fd, (off_t)(extent * COPY_EXTENT + (uint64_t)first * COPY_LEAF),
			      (off_t)(end - first) * COPY_LEAF, POSIX_FADV_WILLNEED);
}

/* ------------------------------------------------------------------ a whole volume, by a few threads */

enum { SCAN_THREADS = 2 };

struct scan_share {
	int fd;
	uint64_t end; /* extent behind the last */
	struct extents map;
	struct copy_leaves *leaves;
	atomic_ullong next; /* extent that nobody has taken yet */
	atomic_bool failed;
	struct vmm_error *errors[SCAN_THREADS];
	atomic_uint starter;
};

static void *scan_share_run(void *argument)
{
	struct scan_share *share = argument;
	struct vmm_error **err = &share->errors[share->starter++];
	struct scan scan;
	struct extent_tags tags;
	scan_begin(&scan, share->fd, &share->map, share->leaves->key);
	while (!share->failed) {
		uint64_t extent = share->next++;
		if (extent >= share->end)
			break;
		if (!share->map.leaves[extent])
			continue;
		if (scan_extent(&scan, extent, false, &tags, err) < 0) {
			share->failed = true;
			break;
		}
		leaves_put(share->leaves, extent, &tags);
	}
	scan_end(&scan);
	return NULL;
}

/* Maps what is to be read, and nothing else. */
static int map_picked(struct scan_share *share, const struct picked *picked, uint64_t size, struct vmm_error **err)
{
	share->end = extent_count(size);
	if (!picked)
		return extents_map(share->fd, size, &share->map, err);
	share->next = picked->first;
	share->end = picked->end;
	if (extents_map_part(share->fd, size, picked->first * COPY_EXTENT, min64(size, picked->end * COPY_EXTENT),
			     &share->map, err) < 0)
		return -1;
	for (uint64_t extent = picked->first; extent < picked->end; extent++)
		share->map.leaves[extent] &= picked->leaves[extent];
	return 0;
}

int scan_all(int fd, const struct picked *picked, struct copy_leaves *leaves, struct vmm_error **err)
{
	struct scan_share share = {.fd = fd, .leaves = leaves};
	pthread_t threads[SCAN_THREADS - 1];
	size_t started = 0;
	int result = map_picked(&share, picked, leaves->size, err);
	if (!result) {
		/* This thread works too, so that a thread that cannot be started costs time only. */
		while (started < VMM_COUNT(threads) && !pthread_create(&threads[started], NULL, scan_share_run, &share))
			started++;
		scan_share_run(&share);
	}
	while (started)
		pthread_join(threads[--started], NULL);
	for (size_t i = 0; i < SCAN_THREADS; i++) {
		if (!share.errors[i])
			continue;
		result = -1;
		error_take(err, share.errors[i]);
	}
	extents_free(&share.map);
	return result;
}
