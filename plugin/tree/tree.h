/* tree: directory trees (the roots of containers) go by the real rsync, whose bytes our own connection carries.
 *
 * The sending rsync's remote shell is tree-pipe, a program that hands the bytes to a descriptor of ours; `carry` takes them
 * to the far side, where a receiving rsync was started with fixed arguments on a place that its node has made for the task.
 */
#ifndef VMM_TREE_H
#define VMM_TREE_H

#include "base/base.h"

struct tree_progress {
	uint64_t done, total;	     /* bytes of files gone through, and in all as far as rsync knows */
	uint64_t files, files_total; /* likewise */
	uint64_t wire;		     /* bytes sent and received */
};
/* Called about ten times a second. Returns false to stop: the push then ends with error "cancelled". */
typedef bool tree_progress_fn(void *context, const struct tree_progress *progress);

/* Starts the far side and carries bytes between it and `fd`, which it closes, until both ends are done. Called on a thread
 * of its own. *wire counts as it goes. */
typedef int tree_carry_fn(void *context, int fd, uint64_t *wire, struct vmm_error **err);

struct tree_job {
	const char *from; /* the source tree's directory */
	const char *pipe; /* path of the program tree-pipe */
	bool running;	  /* the guest writes meanwhile: what vanishes or changes under way is left to the next round */
	bool checksum;	  /* compare every file's content, not just size and time */
	uint64_t rate_limit; /* bytes a second, 0: none */
	tree_carry_fn *carry;
	void *carry_context;
	tree_progress_fn *progress; /* or NULL */
	void *context;
};

/* Makes the far tree the same as this one. `result` (may be NULL) is filled in either way. Errors: carry's, "no-space",
 * "cancelled", "rsync-missing", "tree-failed" with rsync's own words. */
int tree_push(const struct tree_job *job, struct tree_progress *result, struct vmm_error **err);

/* The far side: becomes the receiving rsync for the tree at `place`, with descriptors 0 and 1 as its line, once no other one is at work
 * there. Returns only where that fails, with errno. `checksum` as the sender's. */
void tree_receive(const char *place, bool checksum);

/* ------------------------------------------------------------------ digests (digest.c)
 *
 * Both ends of a copy are asked for the digest of the same, at once. Names, kinds, modes, owners, sizes, times, links, devices and
 * attributes are looked at in the order of the names; contents only where that is asked for.
 */
enum { TREE_HEX = 65, TREE_CHANGED_MOST = 20000, TREE_CHANGED_BYTES = 4 << 20 };

enum tree_cover {
	TREE_SEAL,  /* nothing but the seal: quick, and of no use to another node */
	TREE_NAMES, /* all but contents */
	TREE_ALL,   /* and contents */
	TREE_FILES, /* the contents of `files` alone, in their order */
};

struct tree_look {
	enum tree_cover cover;
	const char *key; /* 64 hexadecimal digits, fresh for each comparison: Poly1305; NULL: SHA-256 */
	/* TREE_NAMES: files whose ctime is not older are written down in *changed (an array of relative paths, the caller's), or it is
	 * NULL where they are more than TREE_CHANGED_MOST, or their names too long. 0: none are. */
	int64_t since_ns;
	struct json_object **changed;
	struct json_object *files; /* TREE_FILES; relative paths, borrowed */
	bool (*cancelled)(void *); /* or NULL; called on another thread */
	void *context;
};

struct tree_digest {
	char hex[TREE_HEX];
	/* Is another one after any change in the tree, be it made with all times put back: it is made of inodes and their ctimes. */
	uint64_t seal;
	uint64_t entries, read_bytes;
};

/* Errors: the system's, "cancelled", "too-deep", "malformed". */
int tree_digest(const char *root, const struct tree_look *look, struct tree_digest *digest, struct vmm_error **err);

/* The same on a thread of its own, so that the other end can be asked meanwhile. `root` is resolved before it returns; what `look`
 * points to is borrowed up to the end, which waits, frees, and has the errors. */
struct tree_reading;
struct tree_reading *tree_digest_begin(const char *root, const struct tree_look *look);
int tree_digest_end(struct tree_reading *reading, struct tree_digest *digest, struct vmm_error **err);

#endif
