/* pass.h: what the files of the target's side of one session share. Nobody else includes it.
 *
 *   serve.c     a session, from its first frame to its end
 *   pass.c      a push: receives, and keeps the two threads
 *   apply.c     writes what was received
 *   answer.c    reads what the source wants to know
 *   readback.c  a verification
 *   outbox.c    sends what they have to say
 */
#ifndef COPY_PASS_H
#define COPY_PASS_H

#include "parts.h"

/* ------------------------------------------------------------------ the target's answers (outbox.c) */

/* Frames wait here and a thread sends them; while the target is at work it also says that it is alive. */
struct outbox;
int outbox_start(struct stream *stream, struct outbox **outbox, struct vmm_error **err);
/* Queues a copy. Never waits: who puts without bound asks outbox_wait first. */
void outbox_put(struct outbox *outbox, uint8_t type, uint8_t flags, const void *data, size_t length);
void outbox_put_error(struct outbox *outbox, const struct vmm_error *failure);
/* Waits until little is queued. False where *stop is true or the link is gone. */
bool outbox_wait(struct outbox *outbox, const atomic_bool *stop);
/* Makes those who wait look at *stop again. */
void outbox_wake(struct outbox *outbox);
void outbox_busy(struct outbox *outbox, bool busy);
/* Sends what is queued, ends the thread, frees. */
void outbox_stop(struct outbox *outbox);

/* ------------------------------------------------------------------ a pass (pass.c, apply.c, answer.c) */

struct parcel {
	struct parcel *next;
	struct frame frame;
};

/* A run that is with librsync: its old window is kept so that the delta meets what the signature was made of. */
struct slot {
	enum { SLOT_FREE, SLOT_ASKED, SLOT_SIGNED } state;
	struct stretch run;
	uint8_t *old;
};

struct pass {
	struct outbox *outbox;
	struct sink sink;
	struct extents map;
	uint8_t key[COPY_KEY];
	atomic_bool failed;	     /* nothing is applied or answered any more */
	pthread_mutex_t lock;	     /* guards all below */
	pthread_cond_t received;     /* there is something for the applying thread */
	pthread_cond_t wanted;	     /* there is something for the answering thread */
	struct vmm_error *failure;   /* the first */
	struct parcel *first, **end; /* received, not yet applied */
	uint64_t queued;	     /* their cost */
	bool complete;		     /* no more will be received */
	bool applied;		     /* no more will be asked of the answering thread */
	struct {
		uint64_t first;
		uint32_t count;
	} orders[COPY_ORDERS];
	unsigned order_count;
	struct slot slots[COPY_SLOTS];
};

/* Serves a pass whose OPEN frame this is, until it is synced or fails; the source has been told either way. */
int pass_serve(struct stream *stream, struct outbox *outbox, const struct frame *open, copy_open_fn *open_volume,
	       void *context, struct vmm_error **err);
/* Makes the pass fail with this error (which it owns from now on) unless it has failed before, and tells the source. */
void pass_fail(struct pass *pass, struct vmm_error *failure);
/* Its threads: apply_run writes what was received, answer_run reads what the source wants to know. */
void *apply_run(void *pass);
void *answer_run(void *pass);

/* ------------------------------------------------------------------ a verification (readback.c) */

/* Receives the picks, reads them back from storage and sends their root; `leaves` keeps the tags for orders. */
int readback_serve(struct stream *stream, struct outbox *outbox, const struct frame *verify, copy_open_fn *open_volume,
		   void *context, struct copy_leaves *leaves, struct vmm_error **err);
/* Sends the tags of those extents. */
int readback_order(struct outbox *outbox, const struct frame *order, const struct copy_leaves *leaves,
		   struct vmm_error **err);

#endif
