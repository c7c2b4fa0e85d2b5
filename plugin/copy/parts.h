/* parts: what the files of this room share - the frames of a copy, and the pieces that both ends are made of.
 *
 * A pass (one copy_push over one session), source on the left:
 *
 *   OPEN size, key, name     ->
 *                            <-  OPENED (fresh: holds no data at all, so no tags are needed)
 *   ORDER extents            ->                                     } a few orders ahead, so that both ends read at
 * once
 *                            <-  TAGS of an extent                  }
 *   CHANGES data and zeros   ->                                     } counted against a window, so that neither
 *                            <-  TAKEN how much was applied         } end ever waits for the other to read
 *   ASK window of a run      ->
 *                            <-  SIGNATURE
 *   PATCH delta (or none)    ->
 *   SYNC                     ->
 *                            <-  SYNCED
 *
 * and a verification: VERIFY -> PICKS -> ROOT <-, and where the roots differ ORDER -> TAGS <-. ERROR ends a session at any
 * time.
 *
 * Why this cannot deadlock: the target's receiving thread never writes and never touches the disk, it only queues, and
 * the window bounds what it queues; so the source's writes always end. What the target may have on its way to the
 * source (tags of the orders, signatures, one TAKEN for each COPY_TAKEN_EVERY) fits into a pipe; so the source, which
 * has one thread a session, may write for long without reading.
 */
#ifndef VMM_COPY_PARTS_H
#define VMM_COPY_PARTS_H

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "copy.h"

/* Integers of a payload are big endian, at any alignment. */
enum copy_frame {
	COPY_OPEN = FRAME_COPY, /* size 8, key 32, the volume's name */
	COPY_OPENED,		/* flags of the frame: COPY_IS_FRESH */
	COPY_ORDER,		/* first extent 8, count 4 */
	COPY_TAGS,		/* extent 8, bits of the leaves that are not zero 8, a tag for each of them */
	COPY_CHANGES,		/* records: offset 8, length 4, enum change 4, then for CHANGE_DATA the bytes;
				 * COPY_IS_PACKED: length 4 of that, then that by zstd */
	COPY_ASK,		/* slot 4, length 4, offset 8 of a run */
	COPY_SIGNATURE,		/* slot 4, the signature of the run's window */
	COPY_PATCH, /* slot 4, the delta that makes the run from the window; empty: the slot is given back */
	COPY_TAKEN, /* cost 8 of all frames of this pass that were applied so far */
	COPY_SYNC,
	COPY_SYNCED,
	COPY_VERIFY, /* as COPY_OPEN; then come PICKS */
	COPY_PICKS, /* records: first leaf 8, count of leaves 8, each behind the one before; an empty frame ends them */
	COPY_ROOT,  /* COPY_ROOT_SIZE bytes */
	COPY_ERROR, /* JSON of an error */
};

enum { COPY_IS_FRESH = 1, COPY_IS_PACKED = 2 };
enum change { CHANGE_DATA = 1, CHANGE_ZERO = 2 };

enum {
	COPY_LEAVES = COPY_EXTENT / COPY_LEAF, /* of an extent: 64, so that a word has a bit for each */
	COPY_PIECE = 4096,		       /* holes are dug and old data is kept in units of this */
	COPY_RUN = 1 << 20,		       /* longest run of leaves that goes as one */
	COPY_MARGIN = 64 << 10,		       /* what librsync sees of the old volume before and behind a run */
	COPY_SLOTS = 4,			       /* runs that may be with librsync at a time */
	COPY_ORDER_MOST = 16,		       /* extents of an order */
	COPY_ORDERS = 2,		       /* orders ahead */
	COPY_WINDOW = 16 << 20,		       /* cost of frames that the target has not yet applied */
	COPY_TAKEN_EVERY = 1 << 20,
	COPY_OPEN_HEAD = 8 + COPY_KEY,
	COPY_RECORD_HEAD = 16,
	COPY_PACK_HEAD = 4,
	COPY_NAME_MOST = 4096,
	COPY_ROOT_SIZE = 32,
	COPY_PICK_SIZE = 16,
	COPY_PICKS_MOST = 4096, /* of a frame */
	COPY_LIMIT_TO_TARGET = COPY_RUN + 65536,
	COPY_LIMIT_TO_SOURCE = 65536,
};
#define COPY_SIZE_MOST ((uint64_t)64 << 40) /* bytes of a volume */

static inline const char *job_name(const struct copy_job *job)
{
	return job->name ? job->name : job->volume;
}

/* What a frame counts against the window: never nothing, so that empty frames are bounded too. */
static inline uint64_t copy_cost(size_t length)
{
	return length + 64;
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

static inline uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The extents and leaves of a volume of `size` bytes. */
static inline uint64_t extent_count(uint64_t size)
{
	return (size + COPY_EXTENT - 1) / COPY_EXTENT;
}

static inline size_t extent_length(uint64_t size, uint64_t extent)
{
	return min64(COPY_EXTENT, size - extent * COPY_EXTENT);
}

static inline size_t leaf_count(uint64_t size)
{
	return (size + COPY_LEAF - 1) / COPY_LEAF;
}

/* Of a leaf within an extent of `length` bytes. */
static inline size_t leaf_length(size_t length, size_t leaf)
{
	return min64(COPY_LEAF, length - leaf * COPY_LEAF);
}

/* ------------------------------------------------------------------ what may hold data (extents.c) */

/* One word an extent, one bit a leaf: set where the leaf may hold data, clear where it lies in a hole. */
struct extents {
	uint64_t size, count;
	uint64_t *leaves;
};

/* Maps the volume in one pass. Where the kernel cannot tell (block devices), all is data. */
int extents_map(int fd, uint64_t size, struct extents *map, struct vmm_error **err);
/* The same between two offsets; elsewhere all seems a hole. */
int extents_map_part(int fd, uint64_t size, uint64_t from, uint64_t to, struct extents *map, struct vmm_error **err);
void extents_free(struct extents *map);
/* Sets the bits of leaves from one up to another. */
void leaves_pick(uint64_t *words, uint64_t leaf, uint64_t end);
/* Such words, with the leaves set that the ranges touch; the caller's. What lies behind `size` is left out. */
uint64_t *leaves_touched(uint64_t size, const struct copy_range *ranges, size_t count);
/* The bits of an extent that are leaves. */
uint64_t extent_bits(uint64_t size, uint64_t extent);

/* Some leaves of a volume. */
struct picked {
	uint64_t first, end; /* extents: none is picked outside of them */
	uint64_t *leaves;    /* a word for each extent of the volume */
};
/* None, of a volume of that size. */
void picked_begin(struct picked *picked, uint64_t size);
void picked_free(struct picked *picked);
/* The run of set bits of `word` from bit `from` on: its first bit and its end; false where there is none. */
bool bits_run(uint64_t word, unsigned from, unsigned *first, unsigned *end);

/* ------------------------------------------------------------------ tags (tags.c) */

bool bytes_are_zero(const void *data, size_t length);

/* Makes tags under one key; used by one thread at a time. */
struct tagger;
struct tagger *tagger_new(const uint8_t key[COPY_KEY]);
void tagger_free(struct tagger *tagger);
/* The tag of bytes that are not all zero; it never is all zero itself. */
void tagger_tag(struct tagger *tagger, const void *data, size_t length, uint8_t tag[COPY_TAG]);
bool tag_is_zero(const uint8_t tag[COPY_TAG]);

/* One tag over a volume's size, which leaves are picked, and their tags in their order. */
void leaves_root(const struct copy_leaves *leaves, const struct picked *picked, uint8_t root[COPY_ROOT_SIZE]);
/* All zero tags, for a volume of `size` bytes. Error "too-large" where there is no memory for it. */
int leaves_make(uint64_t size, const uint8_t key[COPY_KEY], struct copy_leaves *leaves, struct vmm_error **err);

/* The volume has become longer: by zeros, as far as the table knows. */
int leaves_grow(struct copy_leaves *leaves, uint64_t size, struct vmm_error **err);

/* ------------------------------------------------------------------ reading (scan.c) */

/* Would a volume of this size push all else out of the cache? */
bool cache_spared(uint64_t size);

struct extent_tags {
	uint64_t nonzero; /* a bit for each leaf that is not zero */
	uint8_t tag[COPY_LEAVES][COPY_TAG];
};

struct scan {
	int fd;
	const struct extents *map;
	struct tagger *tagger;
	uint8_t *data;	/* COPY_EXTENT bytes, or NULL: the extent that was kept last; undefined in holes */
	unsigned piece; /* leaves read at once */
	uint64_t read;	/* bytes read so far */
	bool spare;	/* what was read does not stay in the cache */
	/* Called with each piece of data that is read, or NULL. */
	int (*look)(void *context, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err);
	void *context;
};

/* COPY_EXTENT bytes, aligned for O_DIRECT; the caller's. */
uint8_t *scan_buffer(void);
/* `fd` and `map` are borrowed and outlive the scan. */
void scan_begin(struct scan *scan, int fd, const struct extents *map, const uint8_t key[COPY_KEY]);
void scan_end(struct scan *scan);
/* Reads an extent and makes its tags; unless the data are to be kept what is in scan->data afterwards is of no use. Error "read-failed"
 * naming the offset. */
int scan_extent(struct scan *scan, uint64_t extent, bool keep, struct extent_tags *tags, struct vmm_error **err);
/* Reads the leaves of one from `first` up to `end` into `data` and makes their tags; the others' stay as they are. */
int scan_leaves(struct scan *scan, uint64_t extent, unsigned first, unsigned end, uint8_t *data,
		struct extent_tags *tags, struct vmm_error **err);
/* Asks the kernel to read an extent before it is wanted. */
void scan_ahead(const struct scan *scan, uint64_t extent);
/* Reads what is picked (NULL: all) into leaves->tag (made by leaves_make) with a few threads. */
int scan_all(int fd, const struct picked *picked, struct copy_leaves *leaves, struct vmm_error **err);

/* ------------------------------------------------------------------ reading ahead (ahead.c) */

#define AHEAD_NONE UINT64_MAX

/* A thread that scans the next extent while the last one is at work. It is asked for an extent, and that is taken, in turns. */
struct ahead {
	uint8_t *data; /* COPY_EXTENT bytes: the extent that was taken last; undefined in holes */
	bool kept;     /* that; else only its tags are there */
	uint64_t read; /* bytes read for the extents that were taken */
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below; what is scanned into is the thread's while asked */
	pthread_cond_t changed;
	bool asked, keep, over;
	uint64_t extent; /* that was asked for last, AHEAD_NONE at first */
	struct scan scan;
	struct extent_tags tags;
	struct vmm_error *failure;
};

/* `fd` and `map` are borrowed and outlive it. */
int ahead_begin(struct ahead *ahead, int fd, const struct extents *map, const uint8_t key[COPY_KEY],
		struct vmm_error **err);
void ahead_end(struct ahead *ahead);
void ahead_ask(struct ahead *ahead, uint64_t extent, bool keep);
/* Waits for what was asked. Errors are those of scan_extent. */
int ahead_take(struct ahead *ahead, struct extent_tags *tags, struct vmm_error **err);

/* ------------------------------------------------------------------ librsync (delta.c) */

/* A signature of this many bytes of old data is so long. */
size_t delta_signature_length(size_t old_length);
void delta_signature(const void *old, size_t old_length, uint8_t *signature);
/* The delta that makes `data` from the old bytes whose signature this is. Returns 1 with *delta (the caller's), 0 where
 * it would save nothing worth having; an error where the signature is not one of `old_length` bytes. */
int delta_make(const void *signature, size_t signature_length, size_t old_length, const void *data, size_t length,
	       uint8_t **delta, size_t *delta_length, struct vmm_error **err);
/* Exactly `length` bytes of new data from old bytes and a delta. Error "protocol-error" where the delta makes others.
 */
int delta_apply(const void *old, size_t old_length, const void *delta, size_t delta_length, void *data, size_t length,
		struct vmm_error **err);

/* ------------------------------------------------------------------ writing (sink.c) */

/* The target's volume. Every write is checked against its size. Each thread has a copy of its own. */
struct sink {
	int fd;
	const char *name; /* for messages */
	uint64_t size;
	bool block;	   /* a block device: zeros are written, nothing is dug */
	bool no_holes;	   /* a filesystem that can dig none */
	bool spare;	   /* what is on the disk does not stay in the cache */
	uint64_t unsynced; /* bytes since writing back was last asked for */
};

/* Takes a descriptor of a file or block device and gives the file its size. */
int sink_begin(struct sink *sink, int fd, const char *name, uint64_t size, struct vmm_error **err);
int sink_write(struct sink *sink, uint64_t offset, const void *data, size_t length, struct vmm_error **err);
/* A hole, or zeros where there can be no holes. */
int sink_zero(struct sink *sink, uint64_t offset, uint64_t length, struct vmm_error **err);
/* Writes those pieces of `data` that differ from `old`; zeros become holes. */
int sink_replace(struct sink *sink, uint64_t offset, const void *data, const void *old, size_t length,
		 struct vmm_error **err);
/* Gives back what pieces of zeros occupy. `data` is what the volume holds there. */
int sink_dig(struct sink *sink, uint64_t offset, const void *data, size_t length, struct vmm_error **err);
int sink_sync(struct sink *sink, struct vmm_error **err);

/* Walks data in pieces of COPY_PIECE and gives out runs of zero pieces and runs of others. *at begins at 0. */
bool pieces_next(const uint8_t *data, size_t length, size_t *at, size_t *run, bool *zero);

/* ------------------------------------------------------------------ pacing (pace.c) */

struct pace {
	pthread_mutex_t lock;
	uint64_t rate;	 /* bytes a second; 0: no limit */
	int64_t free_us; /* when the next byte may go */
};

/* Microseconds of a clock that only goes forward. */
int64_t steady_us(void);

void pace_begin(struct pace *pace, uint64_t rate);
void pace_end(struct pace *pace);
/* The piece in which bytes are best sent. */
size_t pace_piece(const struct pace *pace);
/* Waits until `length` bytes may be sent; sooner where *stop becomes true. */
void pace_take(struct pace *pace, size_t length, const atomic_bool *stop);

/* ------------------------------------------------------------------ compression (pack.c) */

/* What something takes in a time, the recent past counting most. Zero-initialised it knows nothing. */
struct gauge {
	double bytes, us;
};
void gauge_add(struct gauge *gauge, size_t bytes, int64_t us);
/* Bytes a microsecond; 0 where too little was seen. */
double gauge_rate(const struct gauge *gauge);

/* Used by one thread. Zero-initialised is ready. */
struct packer {
	struct gauge link; /* what the link took, and how long writing it kept us; kept by the sender */
	void *context;
	uint8_t *packed;       /* what packer_pack made last */
	unsigned misses, skip; /* it was of no use so many times running; frames not to try it on */
};
void packer_end(struct packer *packer);
/* Is the link so slow that packing may help? */
bool packer_wanted(const struct packer *packer);
/* Packs changes into packer->packed if that gets them over sooner. The length, or 0: they go as they are. */
size_t packer_pack(struct packer *packer, const void *data, size_t length);
/* Error "protocol-error" where it does not make just the length that it says. */
int unpack(const void *packed, size_t packed_length, uint8_t data[COPY_LIMIT_TO_TARGET], size_t *length,
	   struct vmm_error **err);

/* ------------------------------------------------------------------ a stream that can be stopped (lane.c) */

/* The source's side of a session: frames travel on it as on any stream. Used by one thread. */
struct lane {
	struct stream stream;
	struct stream *under;	 /* borrowed */
	const atomic_bool *stop; /* true: reading and writing end with error "cancelled"; or NULL */
	struct pace *pace;	 /* writing: or NULL */
	atomic_ullong *wire;	 /* counts bytes of both directions: or NULL */
	size_t from, to;	 /* bytes that were read ahead */
	bool ended;
	uint8_t ahead[65536];
};

/* Reading on it ends with "link-silent" after FRAME_SILENCE_MS without a byte, whatever wait the reader names. */
void lane_begin(struct lane *lane, struct stream *under, const atomic_bool *stop);
/* True where reading would not wait (for the first byte), also where the stream has ended or failed. */
bool lane_ready(struct lane *lane);

/* ------------------------------------------------------------------ payloads (protocol.c) */

/* The other side said what it must not: error "protocol-error". */
int protocol_error(struct vmm_error **err, const char *format, ...) VMM_PRINTF(2, 3);

/* The source: receives the target's next frame other than ALIVE. An ERROR frame becomes *err. */
int protocol_receive(struct stream *stream, struct frame *frame, struct vmm_error **err);

/* OPEN and VERIFY. The name that unpacking gives belongs to the caller. */
int open_send(struct stream *stream, enum copy_frame type, uint64_t size, const uint8_t key[COPY_KEY], const char *name,
	      struct vmm_error **err);
int open_unpack(const struct frame *frame, uint64_t *size, uint8_t key[COPY_KEY], char **name, struct vmm_error **err);

enum { COPY_ORDER_SIZE = 12, COPY_ASK_SIZE = 16, COPY_TAGS_MOST = 16 + COPY_LEAVES * COPY_TAG };
void order_pack(uint64_t first, uint32_t count, uint8_t packed[COPY_ORDER_SIZE]);
int order_unpack(const struct frame *frame, uint64_t size, uint64_t *first, uint32_t *count, struct vmm_error **err);

/* Returns the length. */
size_t tags_pack(uint64_t extent, const struct extent_tags *tags, uint8_t packed[COPY_TAGS_MOST]);
int tags_unpack(const struct frame *frame, uint64_t size, uint64_t *extent, struct extent_tags *tags,
		struct vmm_error **err);

/* Sends PICKS up to the empty one. */
int picks_send(struct stream *stream, const struct picked *picked, struct vmm_error **err);
/* Adds those of a frame; `*from` (0 at first) is the leaf that the next may begin at. */
int picks_unpack(const struct frame *frame, uint64_t size, uint64_t *from, struct picked *picked,
		 struct vmm_error **err);

/* The run of an ASK, and the window of old data that goes with it. */
struct stretch {
	uint32_t slot, length;
	uint64_t offset;
	uint64_t window; /* where the window starts */
	size_t window_length;
};
int stretch_set(uint64_t size, uint32_t slot, uint64_t offset, uint64_t length, struct stretch *run,
		struct vmm_error **err);
void ask_pack(const struct stretch *run, uint8_t packed[COPY_ASK_SIZE]);
int ask_unpack(const struct frame *frame, uint64_t size, struct stretch *run, struct vmm_error **err);

/* The tags of an extent out of a table, and into it. */
void leaves_get(const struct copy_leaves *leaves, uint64_t extent, struct extent_tags *tags);
void leaves_put(struct copy_leaves *leaves, uint64_t extent, const struct extent_tags *tags);

/* ------------------------------------------------------------------ the source's side (push.c, sender.c) */

/* What the senders of a push share. */
struct push {
	const struct copy_job *job;
	struct extents map;
	uint8_t key[COPY_KEY];
	struct copy_leaves *leaves; /* gets the tags of what was sent; or NULL */
	bool known;		    /* ... and holds those of the target's volume */
	bool not_fresh;		    /* ... which holds data therefore */
	uint64_t *only;		    /* a word an extent: only these leaves may have changed; NULL: all may have */
	size_t sessions;	    /* there may be so many */
	uint32_t deal;		    /* extents that a sender takes at a time */
	uint64_t data_total;	    /* bytes of data to be read */
	struct pace pace;
	atomic_ullong next; /* extent that no sender has taken yet */
	atomic_ullong done, data, wire, present;
	atomic_bool fresh; /* the target's volume holds nothing */
	atomic_bool stop;
};

/* Whether one more session pays (grow.c): a session is a core's work at most, and on a long way its window is full soon. So each is
 * opened for what the one before it has gained. */
struct growth {
	uint64_t mark;	  /* bytes that had crossed when the newest session began */
	int64_t since_us; /* and when that was */
	double before;	  /* bytes a second without it; 0: not known */
	bool begun, over;
};
/* How many there may be where `count` are open already. */
size_t growth_most(size_t count);
void growth_mark(struct growth *growth, uint64_t wire, int64_t now_us);
/* `wire` bytes have crossed in all, about `to_cross` are yet to, or just so many if that is `certain`. */
bool growth_pays(struct growth *growth, uint64_t wire, uint64_t to_cross, bool certain, int64_t now_us);

/* Does a session's share of a push, of which the target has been told (OPEN), until it has synced. */
int sender_run(struct push *push, struct stream *session, struct vmm_error **err);

#endif
