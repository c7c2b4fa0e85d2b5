/* copy-rig: two volumes in temporary files, and copies between them over pairs of sockets. */
#ifndef COPY_RIG_H
#define COPY_RIG_H

#include <stdatomic.h>

#include "copy/copy.h"

enum { RIG_SESSIONS = 3 };

struct rig {
	char directory[200];
	int source, target;   /* descriptors of the two volumes, for reading and writing */
	uint64_t size;	      /* of the source */
	size_t sessions;      /* 1 to RIG_SESSIONS; rig_begin says 1 */
	bool opened_are_lost; /* those that it opens are lost at once */
	bool may_open_more;   /* the push may open more; those that are there after it are `opened` */
	atomic_size_t opened;
	atomic_bool lost; /* and that was so */
	uint64_t rate_limit;
	bool idle_io;
	enum copy_digest digest;
	copy_progress_fn *progress;
	void *context;
	copy_open_fn *open;		  /* NULL: gives the target's volume */
	const struct copy_range *changed; /* of the job, or NULL */
	size_t changed_count;
	uint64_t cut_after;  /* the link is cut after so many bytes to the target; 0: never */
	uint64_t hold_after; /* or stands still until the push has opened another session, if it ever does */
	struct copy_progress result;
	struct served *session;	  /* between rig_session_begin and its end */
	struct vmm_error *served; /* how the target's last session ended */
};

/* Empty volumes in a directory of their own; the source's has `size` bytes, all a hole. */
void rig_begin(struct rig *rig, uint64_t size);
void rig_end(struct rig *rig);

int rig_push(struct rig *rig, struct copy_leaves *leaves, struct vmm_error **err);
int rig_verify(struct rig *rig, struct copy_leaves *leaves, size_t *bad, struct vmm_error **err);
/* A push that must succeed. */
void rig_push_well(struct rig *rig, struct copy_leaves *leaves);

/* One session to the target, served by a thread; our end of it belongs to the rig. */
struct stream *rig_session_begin(struct rig *rig);
void rig_session_end(struct rig *rig);

/* A frame by hand, and what is none: for peers that lie. */
void rig_send(struct stream *s, int type, int flags, const void *data, size_t length);
void rig_garbage(struct stream *s);

/* Reproducible bytes and numbers. */
uint64_t rig_random(uint64_t *seed);
void rig_fill(int fd, uint64_t offset, size_t length, uint64_t seed);
void rig_zeros(int fd, uint64_t offset, size_t length);
/* The same size and bytes? Prints where not. */
bool rig_same(const struct rig *rig);
/* Bytes that a file of this content needs if all its zero blocks are holes; and those that it has. */
uint64_t rig_needed(int fd);
uint64_t rig_allocated(int fd);

#endif
