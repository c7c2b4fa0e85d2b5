/* copy: copies the content of one volume (a file or block device) to the other node and sends only what differs there.
 *
 * The source always pushes. Both sides cut the volume into extents of 4 MiB, the unit of work, and extents into leaves
 * of 64 KiB, the unit of comparison. Each leaf has a tag: a digest under a key that is new for each copy and crosses
 * the encrypted link only. Leaves of zeros are only marked as such. Leaves that differ are sent as librsync deltas
 * (delta.c) or as they are, whichever is less. */
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

/* The digest of the tags. Both are keyed: a guest cannot write data that collide. SHA-256 is there for users who have
 * to name a standard to an auditor; the first 16 of its bytes are the tag of a leaf. */
enum copy_digest { COPY_POLY1305, COPY_SHA256, COPY_DIGESTS };

/* What is known of a volume's leaves after a push. The source keeps it for the next round and for the verification. */
struct copy_leaves {
	uint64_t size; /* of the volume, in bytes */
	size_t count;  /* of leaves: size / COPY_LEAF, rounded up */
	uint8_t key[COPY_KEY];
	uint8_t (*tag)[COPY_TAG]; /* all zero: a leaf of zeros */
	uint64_t *verified; /* for each extent the bits of the leaves that were read back after they were last sent */
};
/* Leaves it zero-initialised. */
void copy_leaves_free(struct copy_leaves *leaves);

struct copy_progress {
	uint64_t done, total; /* bytes of the volume that were dealt with, and all of them */
	uint64_t data;	      /* bytes of data that were read (not holes) */
	uint64_t wire;	      /* bytes of payload sent and received */
	uint64_t present;     /* bytes that the target had already */
};

/* Called about ten times a second. Returns false to cancel: the copy then ends with error "cancelled"
 * (VMM_CANCELLED). */
typedef bool copy_progress_fn(void *context, const struct copy_progress *progress);

/* A part of a volume, in bytes. */
struct copy_range {
	uint64_t offset, length;
};

struct copy_job {
	int fd;			    /* the source volume, open for reading; borrowed, its file position changes */
	uint64_t size;		    /* its size in bytes */
	const char *volume;	    /* what the target calls it: its copy_open_fn is called with this name */
	const char *name;	    /* its name in error messages; NULL: `volume` */
	uint64_t rate_limit;	    /* bytes per second on the wire; 0: no limit */
	enum copy_digest digest;    /* ignored if `leaves` are known already: then theirs is used */
	bool idle_io;		    /* read the volume with idle I/O priority, since others use the disk */
	copy_progress_fn *progress; /* or NULL */
	void *context;
	/* What may have changed since the push that filled `leaves`: the rest is neither read nor sent. NULL: all of it
	 * may have changed. Ignored without such leaves. */
	const struct copy_range *changed;
	size_t changed_count;
};

/* The sessions of copies. Each is served by copy_serve on the target; pushes and verifications go over it one after the
 * other. */
struct copy_sessions {
	struct stream *stream[COPY_SESSIONS_MOST];
	size_t count; /* of those that are open: at least one */
	/* Opens one more session during a push that is faster with it. Returns -1 if there shall be no other. NULL: the
	 * push uses those that are open. */
	int (*open)(void *context, struct stream **session);
	void *context;
};

/* Makes the target's volume the same as the source's. The extents are divided among the sessions, each with a thread of
 * its own. A push of much data opens further sessions as long as each makes it faster, unless it has a rate limit. When
 * it returns, the target has brought all to stable storage (fdatasync).
 *
 * `leaves` may be NULL. Else it is zero-initialised, or it holds what an earlier push to the same volume has given:
 * then the target's volume is taken to hold just that and is not read again, so that a later round costs one read of
 * the source plus what has changed (copy_verify still reads back all that was sent). On success it holds what was sent
 * and belongs to the caller; on failure it is empty.
 *
 * `result` (may be NULL) is filled in after a failure, too. After a failure the sessions are finished. The caller
 * closes them, always.
 *
 * Errors: the link's, "read-failed", "no-space" and others that the target reports, "protocol-error", "too-large",
 * "copy-lost" (the target does not have what `leaves` say), "cancelled". */
int copy_push(const struct copy_job *job, struct copy_sessions *sessions, struct copy_leaves *leaves,
	      struct copy_progress *result, struct vmm_error **err);

/* Asks the target to read back from its storage (not from its page cache) all leaves that are not verified, and
 * compares them; then all leaves are verified. So leaves that were verified while the guest ran are not read back again
 * after it was stopped, and still every leaf has been read back after it was written.
 *
 * Of the job it uses volume, name, progress and context. `done` and `total` of the progress are bytes to be read back;
 * it is reported in steps of 512 MiB at most. Error "verify-failed" names the first offset that differs; *different
 * (may be NULL) is the number of extents found that differ. */
int copy_verify(const struct copy_job *job, struct stream *session, struct copy_leaves *leaves, size_t *different,
		struct vmm_error **err);

/* The target's side of a session: serves pushes and verifications until the stream ends or one of them fails, which the
 * source is told. `open_volume` returns a descriptor for a name (for reading and writing; copy_serve closes it), or -1
 * with *err; it is the only way in which the peer reaches storage. A file is then given `size`; a block device must
 * have it. */
typedef int copy_open_fn(void *context, const char *volume, uint64_t size, struct vmm_error **err);
int copy_serve(struct stream *session, copy_open_fn *open_volume, void *context, struct vmm_error **err);

/* The root of all leaves as hexadecimal digits: a digest over the key, the size and the tags in their order. Once
 * copy_verify has verified all leaves, the target's volume has the same root. */
void copy_root(const struct copy_leaves *leaves, char hex[2 * COPY_SECRET + 1]);
/* "poly1305" or "sha256": the digest of these tags. */
const char *copy_digest_name(const struct copy_leaves *leaves);

/* Reads the volume again and compares it with `leaves`: error "source-changed" names the first offset that differs. The
 * source does this to see that its volume has not changed since the guest was stopped. */
int copy_compare(int fd, const struct copy_leaves *leaves, struct vmm_error **err);

#endif
