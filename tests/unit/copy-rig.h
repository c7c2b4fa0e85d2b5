/* copy-rig: two volumes in temporary files, and copies between them over socket pairs. */
#ifndef COPY_RIG_H
#define COPY_RIG_H

#include <stdatomic.h>

#include "copy/copy.h"

enum { RIG_SESSIONS = 3 };

struct rig {
	char directory[200];
	int source, target;   /* descriptors of the two volumes, for reading and writing */
	uint64_t size;	      /* of the source */
	size_t sessions;      /* that a push begins with: 1 to RIG_SESSIONS; rig_begin sets 1 */
	bool can_open;	      /* the push may open more sessions, up to RIG_SESSIONS */
	bool can_open_lost;   /* or it may open more, but each of them is lost at once */
	atomic_size_t opened; /* all sessions of the last push */
	atomic_bool lost;     /* a session was opened that was lost at once */
	uint64_t rate_limit;
	bool idle_io;
	enum copy_digest digest;
	copy_progress_fn *progress;
	void *context;
	copy_open_fn *open;		  /* NULL: gives the target's volume */
	const struct copy_range *changed; /* of the job, or NULL */
	size_t changed_count;
	uint64_t cut_after;  /* a session's link is cut after so many bytes to the target; 0: never */
	uint64_t hold_after; /* or it stands still after so many bytes until the push has opened one more session */
	struct copy_progress result;
	struct served *session;	  /* between rig_session_begin and rig_session_end */
	struct vmm_error *served; /* how the target's last session ended; NULL: without an error */
};

/* Makes both volumes in a directory of their own: the source's has `size` bytes, all a hole, the target's has none. */
void rig_begin(struct rig *rig, uint64_t size);
void rig_end(struct rig *rig);

int rig_push(struct rig *rig, struct copy_leaves *leaves, struct vmm_error **err);
int rig_verify(struct rig *rig, struct copy_leaves *leaves, size_t *bad, struct vmm_error **err);
/* A push that must succeed: otherwise the test ends. */
void rig_push_well(struct rig *rig, struct copy_leaves *leaves);

/* One session to the target, which a thread serves; our end of it belongs to the rig. */
struct stream *rig_session_begin(struct rig *rig);
void rig_session_end(struct rig *rig);

/* For peers that violate the protocol: sends any frame; sends bytes that are not a frame. */
void rig_send(struct stream *s, int type, int flags, const void *data, size_t length);
void rig_garbage(struct stream *s);

/* Pseudo-random numbers, pseudo-random data in a volume, and zeros that occupy storage. */
uint64_t rig_random(uint64_t *seed);
void rig_fill(int fd, uint64_t offset, size_t length, uint64_t seed);
void rig_zeros(int fd, uint64_t offset, size_t length);
/* True if both volumes have the same size and bytes; else it prints the first difference. */
bool rig_same(const struct rig *rig);
/* The bytes of storage that a file of this content needs if all its blocks of zeros are holes; those that it
 * occupies. */
uint64_t rig_needed(int fd);
uint64_t rig_allocated(int fd);

#endif
