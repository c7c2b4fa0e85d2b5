/* copy-internal.h: what both sides of a copy share: the frames, and the pieces that both sides use. Nobody outside of
 * this room includes it but tests. What only one side has is in source.h and target.h.
 *
 * A push over one session, the source on the left:
 *
 *   OPEN size, key, name     ->
 *                            <-  OPENED (flag EMPTY: the volume holds no data at all, so no tags are asked for)
 *   GET_TAGS extents         ->                       } COPY_BATCHES requests are under way, so that both sides
 *                            <-  TAGS of an extent    } read their volumes at the same time
 *   CHANGES data and zeros   ->                       } counted against a window (flow control)
 *                            <-  APPLIED how much     }
 *   GET_SIGNATURE of a run   ->                       } of a run that has changed: the new data may
 *                            <-  SIGNATURE            } resemble the old
 *   DELTA (or none)          ->                       }
 *   SYNC                     ->
 *                            <-  SYNCED
 *
 * A verification: VERIFY, LEAF_RANGES -> ROOT <-. If the roots differ, GET_TAGS -> TAGS <- find the extents. ERROR ends
 * a session at any time.
 *
 * Why this cannot deadlock: the target's receiving thread never writes to the session and never uses the disk. It only
 * queues, and the window bounds what it queues; so the source's writes always end. What the target may have on its way
 * to the source (tags of the batches, signatures, one APPLIED for each COPY_APPLIED_EVERY) fits into a pipe; so the
 * source, which has one thread for a session, may write for a long time without reading. */
#ifndef VMM_COPY_INTERNAL_H
#define VMM_COPY_INTERNAL_H

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "copy.h"

/* ------------------------------------------------------------------ frames */

/* Payloads. Integers are big-endian, at any alignment; the number behind a field is its length in bytes. */
enum copy_frame {
	COPY_OPEN = FRAME_COPY, /* size 8, key COPY_KEY, the volume's name */
	COPY_OPENED,		/* flag COPY_IS_EMPTY */
	COPY_GET_TAGS,		/* first extent 8, count 4 */
	COPY_TAGS,		/* extent 8, bits of its leaves that are not zero 8, a tag for each of these */
	COPY_CHANGES,		/* records: offset 8, length 4, enum change 4, and for CHANGE_DATA the bytes. With the
				 * flag COPY_IS_COMPRESSED: length 4 of the records, then the records by zstd */
	COPY_GET_SIGNATURE,	/* slot 4, length 4, offset 8 of a run */
	COPY_SIGNATURE,		/* slot 4, the signature of the run's window */
	COPY_DELTA,   /* slot 4, the delta that makes the run from the window. No delta: the source sends the run
		       * as CHANGES; the slot is free again either way */
	COPY_APPLIED, /* sum 8 of window_cost of all frames of this push that were applied so far */
	COPY_SYNC,
	COPY_SYNCED,
	COPY_VERIFY,	  /* as COPY_OPEN; LEAF_RANGES follow */
	COPY_LEAF_RANGES, /* records: first leaf 8, count 8, in ascending order; an empty frame ends them */
	COPY_ROOT,	  /* COPY_ROOT_SIZE bytes */
	COPY_ERROR,	  /* an error as JSON */
};

enum { COPY_IS_EMPTY = 1, COPY_IS_COMPRESSED = 2 };
enum change { CHANGE_DATA = 1, CHANGE_ZERO = 2 };

enum {
	COPY_EXTENT_LEAVES = COPY_EXTENT / COPY_LEAF, /* 64: a uint64_t has a bit for each leaf of an extent */
	COPY_BLOCK = 4096,	/* the unit of holes, and of comparing a run with the old data before it is written */
	COPY_RUN = 1 << 20,	/* longest run of leaves that is sent as one */
	COPY_MARGIN = 64 << 10, /* librsync sees this much of the old data before and behind a run, too */
	COPY_SLOTS = 4,		/* runs for which a signature was asked and no delta was sent yet */
	COPY_BATCH_MOST = 16,	/* extents of one GET_TAGS */
	COPY_BATCHES = 2,	/* GET_TAGS under way */
	COPY_WINDOW = 16 << 20, /* window_cost of frames that the target has not applied yet */
	COPY_APPLIED_EVERY = 1 << 20,
	COPY_OPEN_HEAD = 8 + COPY_KEY,
	COPY_RECORD_HEAD = 16,
	COPY_COMPRESSED_HEAD = 4,
	COPY_NAME_MOST = 4096,
	COPY_ROOT_SIZE = 32,
	COPY_RANGE_SIZE = 16,
	COPY_RANGES_MOST = 4096,		 /* of a frame */
	COPY_LIMIT_TO_TARGET = COPY_RUN + 65536, /* longest payload that each side accepts */
	COPY_LIMIT_TO_SOURCE = 65536,
};
#define COPY_SIZE_MOST ((uint64_t)64 << 40) /* bytes of a volume */

/* What a frame counts against the window. More than 0 for an empty frame, so that their number is bounded as well. */
static inline uint64_t window_cost(size_t length)
{
	return length + 64;
}

/* The volume's name for messages. */
static inline const char *job_name(const struct copy_job *job)
{
	return job->name ? job->name : job->volume;
}

static inline void put32(void *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

static inline void put64(void *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
}

static inline uint32_t get32(const void *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

static inline uint64_t get64(const void *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

/* ------------------------------------------------------------------ extents and leaves */

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t extent_count(uint64_t size)
{
	return (size + COPY_EXTENT - 1) / COPY_EXTENT;
}

/* In bytes; only the last extent of a volume is shorter than COPY_EXTENT. */
static inline size_t extent_length(uint64_t size, uint64_t extent)
{
	return min64(COPY_EXTENT, size - extent * COPY_EXTENT);
}

static inline size_t leaf_count(uint64_t size)
{
	return (size + COPY_LEAF - 1) / COPY_LEAF;
}

/* The length in bytes of a leaf of an extent that has `length` bytes. */
static inline size_t leaf_length(size_t length, size_t leaf)
{
	return min64(COPY_LEAF, length - leaf * COPY_LEAF);
}

/* ------------------------------------------------------------------ bitmaps of leaves (leaf-map.c)
 *
 * A bitmap has a uint64_t for each extent and in it a bit for each leaf. */

/* Which leaves of a volume may hold data; the others lie in holes. */
struct leaf_map {
	uint64_t size, count; /* of the volume: bytes, extents */
	uint64_t *bits;
};

/* Reads the map of a file by SEEK_DATA and SEEK_HOLE. If the kernel cannot tell (block devices), all leaves may hold
 * data. Error "io-error". */
int leaf_map_read(int fd, uint64_t size, struct leaf_map *map, struct vmm_error **err);
/* The same between two offsets; the bits of all other leaves are 0. */
int leaf_map_read_part(int fd, uint64_t size, uint64_t from, uint64_t to, struct leaf_map *map, struct vmm_error **err);
void leaf_map_free(struct leaf_map *map);

/* Some leaves of a volume. */
struct leaf_set {
	uint64_t first, end; /* extents: no leaf outside of them is in the set */
	uint64_t *bits;	     /* for all extents of the volume */
};
/* An empty set for a volume of `size` bytes. */
void leaf_set_begin(struct leaf_set *set, uint64_t size);
void leaf_set_free(struct leaf_set *set);

/* Sets the bits of the leaves from `leaf` up to, not including, `end`. */
void bits_set(uint64_t *bits, uint64_t leaf, uint64_t end);
/* A bitmap of the leaves that the ranges touch, for a volume of `size` bytes; belongs to the caller (free). What lies
 * behind `size` is ignored. */
uint64_t *bits_of_ranges(uint64_t size, const struct copy_range *ranges, size_t count);
/* The bits of all leaves that an extent has. */
uint64_t bits_of_extent(uint64_t size, uint64_t extent);
/* The first run of set bits from bit `from` on: its first bit and the bit behind its last. False if there is none. */
bool bits_run(uint64_t bits, unsigned from, unsigned *first, unsigned *end);

/* ------------------------------------------------------------------ tags (tags.c) */

bool bytes_are_zero(const void *data, size_t length);

/* Walks data in blocks of COPY_BLOCK and gives out runs of blocks that are zero and runs of blocks that are not, in
 * turns. *at, 0 at first, is the end of the run, *run its length. False at the end of the data. */
bool block_runs_next(const uint8_t *data, size_t length, size_t *at, size_t *run, bool *zero);

/* Makes tags under one key. Used by one thread at a time. */
struct tagger;
struct tagger *tagger_new(const uint8_t key[COPY_KEY]);
void tagger_free(struct tagger *tagger);
/* The tag of data that are not all zero; the tag itself is never all zero. */
void tagger_tag(struct tagger *tagger, const void *data, size_t length, uint8_t tag[COPY_TAG]);
bool tag_is_zero(const uint8_t tag[COPY_TAG]);

/* The tags of one extent. */
struct extent_tags {
	uint64_t nonzero; /* a bit for each leaf that is not all zero; the tags of the others are undefined */
	uint8_t tag[COPY_EXTENT_LEAVES][COPY_TAG];
};

/* A table for a volume of `size` bytes in which every leaf is zero. Error "too-large" if there is no memory for it. */
int leaves_make(uint64_t size, const uint8_t key[COPY_KEY], struct copy_leaves *leaves, struct vmm_error **err);
/* Extends the table to a volume that has become longer: the new leaves are zero. Error "too-large". */
int leaves_grow(struct copy_leaves *leaves, uint64_t size, struct vmm_error **err);
/* Copies the tags of an extent out of the table, and into it. */
void leaves_get(const struct copy_leaves *leaves, uint64_t extent, struct extent_tags *tags);
void leaves_put(struct copy_leaves *leaves, uint64_t extent, const struct extent_tags *tags);
/* A digest over the volume's size, the numbers of the leaves in the set and their tags. */
void leaves_root(const struct copy_leaves *leaves, const struct leaf_set *set, uint8_t root[COPY_ROOT_SIZE]);

/* ------------------------------------------------------------------ reading a volume (scan.c) */

/* True if a volume of this size would push everything else out of the page cache: what was read or written of it is
 * then dropped from the cache at once. */
bool exceeds_cache(uint64_t size);

/* Reads extents of a volume and makes their tags. Used by one thread at a time. */
struct scan {
	int fd;
	const struct leaf_map *map;
	struct tagger *tagger;
	uint8_t *data;	 /* COPY_EXTENT bytes, or NULL: the extent that was read last with `keep`; undefined in holes */
	unsigned piece;	 /* leaves that are read by one call */
	uint64_t read;	 /* bytes read so far */
	bool drop_cache; /* see exceeds_cache */
	/* Called with all data that are read; or NULL. */
	int (*on_data)(void *context, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err);
	void *context;
};

/* COPY_EXTENT bytes, aligned for O_DIRECT; belongs to the caller (free). */
uint8_t *scan_buffer(void);
/* `fd` and `map` are borrowed until scan_end. */
void scan_begin(struct scan *scan, int fd, const struct leaf_map *map, const uint8_t key[COPY_KEY]);
void scan_end(struct scan *scan);
/* Reads an extent and makes its tags. With `keep` its data are in scan->data afterwards, otherwise scan->data is
 * undefined. Error "read-failed", which names the offset; errors of on_data. */
int scan_extent(struct scan *scan, uint64_t extent, bool keep, struct extent_tags *tags, struct vmm_error **err);
/* Reads the leaves from `first` up to, not including, `end` of an extent into `data` and makes their tags; the tags of
 * its other leaves stay as they are. Error "read-failed". */
int scan_leaves(struct scan *scan, uint64_t extent, unsigned first, unsigned end, uint8_t *data,
		struct extent_tags *tags, struct vmm_error **err);
/* Tells the kernel that this extent will be read soon. Does nothing behind the end of the volume. */
void scan_readahead(const struct scan *scan, uint64_t extent);
/* Reads the leaves of the set (NULL: all) with a few threads and puts their tags into the table that leaves_make has
 * made. */
int scan_all(int fd, const struct leaf_set *set, struct copy_leaves *leaves, struct vmm_error **err);

/* ------------------------------------------------------------------ librsync (delta.c) */

/* The length of the signature of `old_length` bytes. */
size_t delta_signature_length(size_t old_length);
void delta_signature(const void *old, size_t old_length, uint8_t *signature);
/* The delta that makes `data` from the old data whose signature this is. Returns 1 with *delta, which belongs to the
 * caller; 0 if a delta would not be much shorter than `data`; -1 with error "protocol-error" if the signature is not
 * one of `old_length` bytes. */
int delta_make(const void *signature, size_t signature_length, size_t old_length, const void *data, size_t length,
	       uint8_t **delta, size_t *delta_length, struct vmm_error **err);
/* Makes exactly `length` bytes of new data from old data and a delta. Error "protocol-error" if the delta makes more,
 * fewer, or reads outside of the old data. */
int delta_apply(const void *old, size_t old_length, const void *delta, size_t delta_length, void *data, size_t length,
		struct vmm_error **err);

/* ------------------------------------------------------------------ compression (compress.c) */

/* Bytes per microsecond of something, recent measurements counting most. Zero-initialised: nothing was measured. */
struct throughput {
	double bytes, us;
};
void throughput_add(struct throughput *throughput, size_t bytes, int64_t us);
/* Bytes per microsecond; 0 while too little was measured. */
double throughput_rate(const struct throughput *throughput);

/* Compresses CHANGES if they arrive sooner that way. Used by one thread. Zero-initialised is ready. */
struct compressor {
	struct throughput link; /* of writing to the session; the sender keeps it */
	void *context;
	uint8_t *output;       /* what compressor_run made last, COPY_LIMIT_TO_TARGET bytes */
	unsigned misses, skip; /* back-off: attempts without gain in a row; frames that are not tried at all now */
};
void compressor_end(struct compressor *compressor);
/* True if the link is so slow that compression may help. */
bool compressor_wanted(const struct compressor *compressor);
/* Returns the length of what is in compressor->output now, or 0: the data are to be sent as they are. */
size_t compressor_run(struct compressor *compressor, const void *data, size_t length);
/* The target: undoes it. Error "protocol-error" if the data do not have the length that they claim to have. */
int decompress(const void *input, size_t input_length, uint8_t data[COPY_LIMIT_TO_TARGET], size_t *length,
	       struct vmm_error **err);

/* ------------------------------------------------------------------ payloads (protocol.c)
 *
 * The functions that take a payload apart check all of it: error "protocol-error". */

/* Sets error "protocol-error": the other side has sent `format`. Returns -1. */
int protocol_error(struct vmm_error **err, const char *format, ...) VMM_PRINTF(2, 3);

/* The source: receives the target's next frame other than ALIVE. An ERROR frame becomes *err. Error "link-silent" also
 * after COPY_HANGS_MS of nothing but ALIVE: no storage needs so long for one step, even to sync a whole volume. */
enum { COPY_HANGS_MS = 3600 * 1000 };
int protocol_receive(struct stream *stream, struct frame *frame, struct vmm_error **err);

/* OPEN and VERIFY. Error "too-large" for a volume that cannot be copied. The name belongs to the caller. */
int open_send(struct stream *stream, enum copy_frame type, uint64_t size, const uint8_t key[COPY_KEY], const char *name,
	      struct vmm_error **err);
int open_unpack(const struct frame *frame, uint64_t *size, uint8_t key[COPY_KEY], char **name, struct vmm_error **err);

enum {
	COPY_GET_TAGS_SIZE = 12,
	COPY_GET_SIGNATURE_SIZE = 16,
	COPY_TAGS_MOST = 16 + COPY_EXTENT_LEAVES * COPY_TAG,
};
void get_tags_pack(uint64_t first, uint32_t count, uint8_t packed[COPY_GET_TAGS_SIZE]);
int get_tags_unpack(const struct frame *frame, uint64_t size, uint64_t *first, uint32_t *count, struct vmm_error **err);

/* Returns the length. */
size_t tags_pack(uint64_t extent, const struct extent_tags *tags, uint8_t packed[COPY_TAGS_MOST]);
int tags_unpack(const struct frame *frame, uint64_t size, uint64_t *extent, struct extent_tags *tags,
		struct vmm_error **err);

/* Sends the set in LEAF_RANGES frames, up to the empty one. */
int leaf_ranges_send(struct stream *stream, const struct leaf_set *set, struct vmm_error **err);
/* Adds the ranges of one frame to the set. No range may begin before leaf *from, which is 0 for the first frame and is
 * moved behind each range. */
int leaf_ranges_unpack(const struct frame *frame, uint64_t size, uint64_t *from, struct leaf_set *set,
		       struct vmm_error **err);

/* A run of leaves that may go as a delta, and the window of old data that the delta is made against. */
struct delta_run {
	uint32_t slot, length;
	uint64_t offset;
	uint64_t window; /* offset where the window begins */
	size_t window_length;
};
int delta_run_set(uint64_t size, uint32_t slot, uint64_t offset, uint64_t length, struct delta_run *run,
		  struct vmm_error **err);
void delta_run_pack(const struct delta_run *run, uint8_t packed[COPY_GET_SIGNATURE_SIZE]);
int delta_run_unpack(const struct frame *frame, uint64_t size, struct delta_run *run, struct vmm_error **err);

#endif
