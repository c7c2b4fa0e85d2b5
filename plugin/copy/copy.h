/* copy: one volume's bytes from here to there, so that the bytes that cross are the bytes that changed.
 *
 * The source pushes, always. Both sides cut the volume into extents of 4 MiB, each its own job, and extents into leaves of
 * 64 KiB. A leaf has a tag: Poly1305 under a key that is fresh for the job and never leaves the encrypted link. Zero
 * leaves are flagged, never sent nor hashed. Leaves that differ go through librsync (delta.c) or raw, whichever is less.
 */
#ifndef VMM_COPY_H
#define VMM_COPY_H

#include "base/base.h"
#include "link/link.h"

enum {
	COPY_EXTENT = 4 << 20,
	COPY_LEAF = 64 << 10,
	COPY_TAG = 16,
	COPY_SECRET = 32,
	COPY_KEY = 1 + COPY_SECRET, /* an enum copy_digest, then random bytes */
	COPY_SESSIONS_MOST = 8,
};

/* What tags are made by. Both are keyed: what a guest writes cannot be chosen to collide. SHA-256 is for who has to name a
 * standard to an auditor; of it the first 16 bytes are the tag of a leaf, and all 32 the root of a verification. */
enum copy_digest { COPY_POLY1305, COPY_SHA256, COPY_DIGESTS };

/* What is known of a volume's leaves after a pass: kept by the source between rounds and for the verification. */
struct copy_leaves {
	uint64_t size; /* bytes of the volume */
	size_t count;  /* leaves: size / COPY_LEAF, rounded up */
	uint8_t key[COPY_KEY];
	uint8_t (*tag)[COPY_TAG]; /* all zero: a leaf of zeros */
	uint64_t *proven;	  /* a word an extent, a bit a leaf: was read back since it was sent last */
};
void copy_leaves_free(struct copy_leaves *leaves);

struct copy_progress {
	uint64_t done, total; /* bytes of the volume looked at, and to look at */
	uint64_t data;	      /* bytes of data that were read (not holes) */
	uint64_t wire;	      /* bytes of payload sent and received */
	uint64_t present;     /* bytes that the target had already */
};

/* Called about ten times a second. Returns false to stop: the copy then ends with error "cancelled" (VMM_CANCELLED). */
typedef bool copy_progress_fn(void *context, const struct copy_progress *progress);

/* A stretch of a volume, in bytes. */
struct copy_range {
	uint64_t offset, length;
};

struct copy_job {
	int fd;			    /* the source volume, open for reading; stays the caller's, its position moves */
	uint64_t size;		    /* its size in bytes */
	const char *volume;	    /* how the target knows it: the name that its opener is called with */
	const char *name;	    /* what people know it by, for errors; NULL: `volume` */
	uint64_t rate_limit;	    /* bytes a second on the wire, 0: none */
	enum copy_digest digest;    /* where `leaves` are known already it is theirs that counts */
	bool gently;		    /* others use the disk: it is read only while nobody else wants it */
	copy_progress_fn *progress; /* or NULL */
	void *context;
	/* What may have changed since the push that gave `leaves`: the rest is neither read nor sent. NULL: all may have. Without
	 * such leaves it means nothing. */
	const struct copy_range *only;
	size_t only_count;
};

/* Sessions: streams, each served by copy_serve on the other side, over which pushes and verifications go one after the other. */
struct copy_sessions {
	struct stream *stream[COPY_SESSIONS_MOST];
	size_t count; /* those that are open: at least one */
	/* Opens one more, within a push that gains by it: 0, or -1 where there is to be no other. NULL: those that are open have to do. */
	int (*open)(void *context, struct stream **session);
	void *context;
};

/* Brings the target's volume to the source's content. Extents are dealt to the sessions, a thread each; a push of much data opens
 * more of them, as long as that makes it faster and no rate is set. The target has fsynced when it returns.
 *
 * `leaves` may be NULL; else it is zero-initialised, or it holds what an earlier push to the very same volume gave: then the
 * target's volume is taken to hold just that, and is not read again (a later round costs one read of the source plus what
 * changed; copy_verify still reads all). On success it holds what was sent and belongs to the caller; on failure it is empty.
 *
 * `result` (may be NULL) is filled in either way. After a failure the sessions are finished. Closing them is the caller's, always.
 * Errors: link's, "read-failed", "no-space" and others that the target reports in its own words, "protocol-error",
 * "too-large", "cancelled". */
int copy_push(const struct copy_job *job, struct copy_sessions *sessions, struct copy_leaves *leaves,
	      struct copy_progress *result, struct vmm_error **err);

/* Asks the target to read back from its storage (past its cache) what it was not asked for since it was sent last, and compares;
 * then all leaves are proven. So what was verified while the guest ran is not read again when it is off, and yet all of the volume
 * has been read back since it was written. Of the job, volume, progress (here in steps of 512 MiB at most; `done` and `total` are
 * bytes to be read back) and context count. Error "verify-failed" names the first offset; *bad (may be NULL) is the count of
 * extents that differ, as far as was looked. */
int copy_verify(const struct copy_job *job, struct stream *session, struct copy_leaves *leaves, size_t *bad,
		struct vmm_error **err);

/* The target's side of a session: serves pushes and verifications until the stream ends, or one fails (the source is told).
 * `open_volume` gives a descriptor (read and write, owned by copy_serve) for a name, or refuses; it is the only way in which
 * the peer reaches storage. A file is then given `size`; a block device must have it. */
typedef int copy_open_fn(void *context, const char *volume, uint64_t size, struct vmm_error **err);
int copy_serve(struct stream *session, copy_open_fn *open_volume, void *context, struct vmm_error **err);

/* The root of all leaves as hex digits: one tag under the job's key over the size and the leaves' tags in their order. Once
 * copy_verify has proven all leaves the target's volume has it too. */
void copy_root(const struct copy_leaves *leaves, char hex[2 * COPY_SECRET + 1]);
/* "poly1305" or "sha256": what those tags are made by. */
const char *copy_digest_name(const struct copy_leaves *leaves);

/* Same content on both descriptors? Compares tags of a re-read with `leaves`: error "source-changed" naming the offset.
 * Used to see that a source did not change after the stop. */
int copy_compare(int fd, const struct copy_leaves *leaves, struct vmm_error **err);

#endif
