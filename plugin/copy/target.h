/* target.h: what the files of the target's side of a session share. Nobody else includes it.
 *
 *   serve.c     copy_serve: a session, from its first frame to its end
 *   receiver.c  one push: receives, and runs two threads that apply and answer
 *   apply.c     writes what was received
 *   answer.c    reads the old data: tags of extents, signatures of runs
 *   sink.c      writes to the volume, as sparse as the data allow
 *   readback.c  a verification
 *   outbox.c    a thread that sends what the others have to say
 */
#ifndef VMM_COPY_TARGET_H
#define VMM_COPY_TARGET_H

#include "copy-internal.h"

/* ------------------------------------------------------------------ sending (outbox.c) */

/* A queue of frames, and a thread that sends them. While the target is busy, the thread also sends ALIVE. */
struct outbox;
int outbox_start(struct stream *stream, struct outbox **outbox, struct vmm_error **err);
/* Queues a copy of the frame. Never waits: who sends without bound calls outbox_wait first. */
void outbox_put(struct outbox *outbox, uint8_t type, uint8_t flags, const void *data, size_t length);
void outbox_put_error(struct outbox *outbox, const struct vmm_error *failure);
/* Waits until less than 64 KiB are queued. False if *stop (`stop` may be NULL) is true or the link is lost. */
bool outbox_wait(struct outbox *outbox, const atomic_bool *stop);
/* Wakes those who wait, so that they see *stop. */
void outbox_wake(struct outbox *outbox);
/* While busy, the source is told regularly that the target is alive. */
void outbox_set_busy(struct outbox *outbox, bool busy);
/* Sends what is queued, ends the thread and frees the outbox. */
void outbox_stop(struct outbox *outbox);

/* ------------------------------------------------------------------ writing (sink.c) */

/* The target's volume. Every write is checked against its size. Each thread has a copy of its own. */
struct sink {
	int fd;
	const char *name; /* for messages */
	uint64_t size;
	bool block;	   /* a block device: zeros are written, no holes are punched */
	bool no_holes;	   /* the filesystem cannot punch holes */
	bool drop_cache;   /* see exceeds_cache */
	uint64_t unsynced; /* bytes since writeback was last started */
};

/* Takes a descriptor of a file, which is given `size`, or of a block device, which must have it. Errors "too-small",
 * "not-a-volume", "no-space" and the system's. */
int sink_begin(struct sink *sink, int fd, const char *name, uint64_t size, struct vmm_error **err);
int sink_write(struct sink *sink, uint64_t offset, const void *data, size_t length, struct vmm_error **err);
/* Punches a hole, or writes zeros if there can be no hole. */
int sink_zero(struct sink *sink, uint64_t offset, uint64_t length, struct vmm_error **err);
/* Writes those blocks of `data` that differ from `old`; blocks of zeros become holes. */
int sink_replace(struct sink *sink, uint64_t offset, const void *data, const void *old, size_t length,
		 struct vmm_error **err);
/* Punches holes where `data`, which is what the volume holds there, has blocks of zeros. */
int sink_punch_zeros(struct sink *sink, uint64_t offset, const void *data, size_t length, struct vmm_error **err);
/* Brings what was written to stable storage. */
int sink_sync(struct sink *sink, struct vmm_error **err);

/* ------------------------------------------------------------------ one push (receiver.c, apply.c, answer.c) */

struct queued_frame {
	struct queued_frame *next;
	struct frame frame;
};

/* A run whose signature was asked for. Its old data are kept, so that the delta is applied to just what the signature
 * was made of. */
struct slot {
	enum { SLOT_FREE, SLOT_ASKED, SLOT_SIGNED } state;
	struct delta_run run;
	uint8_t *old; /* the run's window */
};

struct receiver {
	struct outbox *outbox;
	struct sink sink;
	struct leaf_map map; /* of the target's volume as it was found */
	uint8_t key[COPY_KEY];
	atomic_bool failed;		   /* nothing is applied or answered any more */
	pthread_mutex_t lock;		   /* guards all below */
	pthread_cond_t received;	   /* there is work for the applying thread */
	pthread_cond_t wanted;		   /* there is work for the answering thread */
	struct vmm_error *failure;	   /* the first */
	struct queued_frame *first, **end; /* received and not applied yet */
	uint64_t queued;		   /* their window_cost */
	bool complete;			   /* no more will be received */
	bool applied;			   /* no more work will come for the answering thread */
	struct {
		uint64_t first;
		uint32_t count;
	} batches[COPY_BATCHES]; /* extents whose tags were asked for */
	unsigned batch_count;
	struct slot slots[COPY_SLOTS];
};

/* Serves the push that begins with this OPEN frame, until all is synced or it fails; the source has been told either
 * way. */
int receiver_serve(struct stream *stream, struct outbox *outbox, const struct frame *open, copy_open_fn *open_volume,
		   void *context, struct vmm_error **err);
/* Writes what was received to the volume. Used by one thread. */
struct apply {
	struct receiver *receiver;
	struct sink sink;
	uint64_t applied, told; /* window_cost of the frames applied, and what the source was told of it */
	uint8_t *data;		/* COPY_RUN bytes: the run that a delta makes */
	uint8_t *decompressed;	/* COPY_LIMIT_TO_TARGET bytes; NULL until something compressed has arrived */
};
void apply_begin(struct apply *apply, struct receiver *receiver);
void apply_end(struct apply *apply);
/* Carries out one frame: writes its changes, notes what it asks for, or syncs. */
int apply_frame(struct apply *apply, const struct frame *frame, struct vmm_error **err);

/* Answers GET_TAGS and GET_SIGNATURE. Used by one thread. */
struct answer {
	struct receiver *receiver;
	struct sink sink;
	struct scan scan;
	struct delta_run run; /* the answer to be made next: for this run, or for this extent */
	uint64_t extent;
};
void answer_begin(struct answer *answer, struct receiver *receiver);
void answer_end(struct answer *answer);
/* Waits for a question and answers it. Returns 0 if no more will come, or if the push has failed; else 1. */
int answer_next(struct answer *answer, struct vmm_error **err);

/* ------------------------------------------------------------------ a verification (readback.c) */

/* Receives the ranges of leaves, reads these back from storage and sends their root. `leaves` keeps their tags. */
int readback_serve(struct stream *stream, struct outbox *outbox, const struct frame *verify, copy_open_fn *open_volume,
		   void *context, struct copy_leaves *leaves, struct vmm_error **err);
/* Sends the tags that the last readback_serve has read, of the extents that this GET_TAGS asks for. */
int readback_tags(struct outbox *outbox, const struct frame *request, const struct copy_leaves *leaves,
		  struct vmm_error **err);

#endif
