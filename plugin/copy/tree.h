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

/* The far side: becomes the receiving rsync for the tree at `place`, with descriptors 0 and 1 as its line. Returns only where
 * that fails. `checksum` as the sender's. */
void tree_receive(const char *place, bool checksum);

/* ------------------------------------------------------------------ digests (tree-digest.c) */

struct tree_digest {
	char hex[65]; /* SHA-256 over names, kinds, modes, owners, sizes, times, links, devices, attributes; contents as asked */
	uint64_t entries, read_bytes;
};

enum { TREE_LIST_MOST = 20000 };

/* Digest of the tree at `root`. Which files' contents it covers:
 *   since_ns > 0   those whose ctime is not older; *list (an array of relative paths) says which they were, or is NULL where
 *                  they are more than TREE_LIST_MOST: all contents are covered then
 *   list given     those (*list is an array, in the order of the walk)
 *   else           all
 * `cancelled` may be NULL. Errors: the system's, "cancelled". */
int tree_digest(const char *root, int64_t since_ns, struct json_object **list, bool (*cancelled)(void *), void *context,
		struct tree_digest *digest, struct vmm_error **err);

#endif
