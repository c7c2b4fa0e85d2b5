/* tree: copies directory trees (the roots of containers) by rsync, whose bytes go over our own connection.
 *
 * The sending rsync runs the program tree-pipe as its remote shell, which copies rsync's bytes to a socket of ours and
 * back. `carry` connects that socket with the target, where a receiving rsync is started with fixed arguments on a
 * directory that the target has made for the task. Both see their tree and /usr alone (`confine` in base/base.h), since
 * a guest that runs may put a symbolic link to the node's files where rsync has just seen a directory.
 */
#ifndef VMM_TREE_H
#define VMM_TREE_H

#include "base/base.h"

struct tree_progress {
	uint64_t done, total;	     /* bytes of the files that rsync has processed, and of all files (its estimate) */
	uint64_t files, files_total; /* their numbers */
	uint64_t wire;		     /* bytes sent and received */
};
/* Called about ten times a second. Returns false to stop: the push then ends with error "cancelled". */
typedef bool tree_progress_fn(void *context, const struct tree_progress *progress);

/* Starts the receiver on the target and carries bytes between it and `fd` until both have closed; then closes `fd`,
 * also if it fails. Called on a thread of its own. Adds to *wire as bytes go. */
typedef int tree_carry_fn(void *context, int fd, uint64_t *wire, struct vmm_error **err);

struct tree_job {
	const char *from; /* the source tree's directory */
	const char *pipe; /* path of the program tree-pipe */
	bool running;	  /* the guest runs: files that vanish or change during the copy are left to the next round, and
			   * rsync reads with idle I/O priority */
	bool checksum;	  /* compare every file's content, not just its size and time */
	uint64_t rate_limit; /* bytes a second; 0: none */
	tree_carry_fn *carry;
	void *carry_context;
	tree_progress_fn *progress; /* or NULL */
	void *context;
};

/* Makes the target's tree the same as the source's. `result` (may be NULL) is filled in also if this fails.
 * Errors: those of `carry`, "no-space", "cancelled", "rsync-missing", "tree-failed" with rsync's own message. */
int tree_push(const struct tree_job *job, struct tree_progress *result, struct vmm_error **err);

/* The target: waits until no other receiver works on the tree at `path`, then executes the receiving rsync in this
 * process, with descriptors 0 and 1 as its connection. `checksum` is the sender's. Returns only on failure, with errno
 * set. */
void tree_receive(const char *path, bool checksum);

/* Sets flags on files of the tree: `files` is an array of {path, flags}, as tree_digest has made it. Names never lead
 * out of the tree. *left: how many files do not have all of their flags now, because this filesystem does not know
 * them; *first: the path of one of them, which belongs to `files`, or NULL. */
int tree_set_flags(const char *root, struct json_object *files, int64_t *left, const char **first,
		   struct vmm_error **err);

/* ------------------------------------------------------------------ digests (digest.c)
 *
 * To compare two trees, both nodes compute the digest of the same scope at the same time. It covers names, types,
 * modes, owners, sizes, times, links, device numbers and extended attributes of all entries, in the order of their
 * names, and the files' contents if that is asked for.
 */
enum { TREE_DIGEST_HEX = 65, TREE_CHANGED_MOST = 20000, TREE_CHANGED_BYTES = 4 << 20 };

enum tree_digest_scope {
	TREE_SEAL,  /* only the seal: quick, but means nothing on another node */
	TREE_NAMES, /* everything but contents */
	TREE_ALL,   /* everything, contents too */
	TREE_FILES, /* only the contents of `files`, in their order */
};

struct tree_digest_options {
	enum tree_digest_scope scope;
	const char *key; /* 64 hexadecimal digits, new for each comparison: Poly1305. NULL: SHA-256 */
	/* TREE_NAMES and TREE_ALL: *changed becomes an array of the relative paths of all files whose ctime is not
	 * before since_ns (nanoseconds since the epoch). The caller owns it. It becomes NULL if there are more than
	 * TREE_CHANGED_MOST of them, if their paths have more than TREE_CHANGED_BYTES, or if since_ns is 0. */
	int64_t since_ns;
	struct json_object **changed; /* or NULL */
	/* TREE_NAMES and TREE_ALL: *flags becomes an array of {path, flags} of all files and directories that have
	 * flags of chattr(1); the path is relative, "" is the tree itself. The caller owns it. rsync does not copy
	 * these. */
	struct json_object **flags; /* or NULL */
	struct json_object *files;  /* TREE_FILES: relative paths, borrowed */
	bool (*cancelled)(void *);  /* or NULL; called on the digest's thread */
	void *context;
};

struct tree_digest {
	char hex[TREE_DIGEST_HEX];
	/* Differs after any change in the tree, even if modification times were set back: it is computed from inode
	 * numbers, names, sizes and ctimes. */
	uint64_t seal;
	uint64_t entries, read_bytes;
};

/* Errors: the system's, "cancelled", "too-deep", "malformed" (the key). */
int tree_digest(const char *root, const struct tree_digest_options *options, struct tree_digest *digest,
		struct vmm_error **err);

/* The same on a thread of its own, so that the caller can ask the other node at the same time. `root` is opened before
 * tree_digest_begin returns; what `options` points to is borrowed until tree_digest_end, which waits for the thread,
 * returns its errors and frees `reading`. */
struct tree_reading;
struct tree_reading *tree_digest_begin(const char *root, const struct tree_digest_options *options);
int tree_digest_end(struct tree_reading *reading, struct tree_digest *digest, struct vmm_error **err);

/* ------------------------------------------------------------------ times (stamp.c) */

/* The time now in nanoseconds since the epoch, as the filesystem of `root` would note it for a file that is written
 * there: since_ns of a digest. TREE_STAMP_UNKNOWN, which is before all files, where that cannot be told. */
enum { TREE_STAMP_UNKNOWN = 1 };
int64_t tree_stamp(const char *root);

/* Begins to watch whether somebody sets this node's clock; returns a descriptor, or -1. */
int tree_clock_watch(void);
/* True if the clock was set since, or if that is not known (-1). */
bool tree_clock_was_set(int fd);

#endif
