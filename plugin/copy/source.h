/* source.h: what the files of the source's side of a copy share. Nobody else includes it but tests.
 *
 *   push.c             copy_push: a thread for each session, progress, errors
 *   session-scaling.c  decides whether one more session is opened
 *   sender.c           one session of a push: reads extents, compares them, decides what is sent
 *   sender-changes.c   sends what differs: zeros, data, deltas
 *   sender-frames.c    sends frames as the window allows, and receives
 *   prefetch.c         reads the next extent meanwhile
 *   source-stream.c    the session as a stream that can be stopped and has a rate limit
 *   rate-limit.c       the limit of all sessions together
 *   verify.c           copy_verify and copy_compare
 */
#ifndef VMM_COPY_SOURCE_H
#define VMM_COPY_SOURCE_H

#include "copy-internal.h"

/* ------------------------------------------------------------------ rate limit (rate-limit.c) */

struct rate_limit {
	pthread_mutex_t lock;
	uint64_t rate;	 /* bytes per second; 0: no limit */
	int64_t next_us; /* when the next byte may be sent */
};

void rate_limit_begin(struct rate_limit *limit, uint64_t rate);
void rate_limit_end(struct rate_limit *limit);
/* How many bytes to send at a time. */
size_t rate_limit_chunk(const struct rate_limit *limit);
/* Waits until `length` bytes may be sent; returns early if *stop becomes true. */
void rate_limit_wait(struct rate_limit *limit, size_t length, const atomic_bool *stop);

/* ------------------------------------------------------------------ a stream that can be stopped (source-stream.c) */

/* The source's end of a session. Frames are sent and received on it as on any stream. Used by one thread. */
struct source_stream {
	struct stream stream;
	struct stream *lower;	 /* the session; borrowed */
	const atomic_bool *stop; /* when it becomes true, reading and writing end with error "cancelled"; or NULL */
	/* Asked while reading waits, with `progress`; as `stop` once it returns false. Or NULL. */
	const struct copy_job *job;
	const struct copy_progress *progress;
	struct rate_limit *limit; /* of what is written; or NULL */
	atomic_ullong *wire;	  /* is increased by the bytes of both directions; or NULL */
	size_t from, to;	  /* bytes of `buffer` that were received and not read yet */
	bool ended;		  /* the other side has finished */
	uint8_t buffer[65536];
};

/* Sets all but `limit`, `wire` and `job`, which are NULL then. Reading fails with "link-silent" after FRAME_SILENCE_MS
 * without a byte, whatever the reader's own limit is. */
void source_stream_begin(struct source_stream *stream, struct stream *lower, const atomic_bool *stop);
/* True if reading would not have to wait for the first byte, also because the stream has ended or failed. */
bool source_stream_ready(struct source_stream *stream);

/* ------------------------------------------------------------------ reading ahead (prefetch.c) */

#define PREFETCH_NONE UINT64_MAX

/* A thread that reads and tags an extent while the one before is sent. Requests and waits come in turns. */
struct prefetch {
	uint8_t *data; /* the extent that prefetch_wait gave last, COPY_EXTENT bytes; undefined in holes */
	bool has_data; /* false: `data` is undefined, only the tags were wanted */
	uint64_t read; /* bytes read for all extents that prefetch_wait gave */
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below; the scan, tags and failure are the thread's while `requested` */
	pthread_cond_t changed;
	bool requested, keep, closing;
	uint64_t extent; /* requested last; PREFETCH_NONE at first */
	struct scan scan;
	struct extent_tags tags;
	struct vmm_error *failure;
};

/* `fd` and `map` are borrowed until prefetch_end. */
int prefetch_begin(struct prefetch *prefetch, int fd, const struct leaf_map *map, const uint8_t key[COPY_KEY],
		   struct vmm_error **err);
void prefetch_end(struct prefetch *prefetch);
/* Starts to read an extent; `keep`: its data are wanted, not only its tags. */
void prefetch_request(struct prefetch *prefetch, uint64_t extent, bool keep);
/* Waits for the extent that was requested. Errors are those of scan_extent. */
int prefetch_wait(struct prefetch *prefetch, struct extent_tags *tags, struct vmm_error **err);

/* ------------------------------------------------------------------ the number of sessions (session-scaling.c)
 *
 * One session uses one core at most, and over a long distance its window is full soon. So a push opens further
 * sessions, one at a time, as long as each makes it faster. */
struct session_scaling {
	uint64_t wire_at_start;	  /* bytes that had been sent when the newest session began */
	int64_t started_us;	  /* when it began */
	double rate_before;	  /* bytes per second before it was there; 0: not known */
	bool opened_one, is_over; /* is_over: the newest one has brought nothing, so there will be no other */
};
/* How many sessions a push may have that begins with `count`. */
size_t session_scaling_limit(size_t count);
/* The newest session begins now; `wire` bytes have been sent so far. */
void session_scaling_mark(struct session_scaling *scaling, uint64_t wire, int64_t now_us);
/* True if one more session is worth opening. `wire` bytes have been sent so far; about `to_send` are still to be sent,
 * or exactly so many if `is_exact`. */
bool session_scaling_pays(struct session_scaling *scaling, uint64_t wire, uint64_t to_send, bool is_exact,
			  int64_t now_us);

/* ------------------------------------------------------------------ a push (push.c) */

/* What the senders of a push share. */
struct push {
	const struct copy_job *job;
	struct leaf_map map; /* what is to be read */
	uint8_t key[COPY_KEY];
	struct copy_leaves *leaves; /* receives the tags of what was sent; or NULL */
	bool target_known;    /* `leaves` holds the tags of the target's volume, so the target is not asked for them */
	bool target_has_data; /* and they say that it is not empty */
	uint64_t *changed;    /* bitmap of leaves that may have changed; NULL: all may have */
	size_t sessions;      /* the push may have so many */
	uint32_t batch_size;  /* extents that a sender takes at a time */
	uint64_t data_total;  /* bytes of data to be read */
	struct rate_limit limit;
	atomic_ullong next;			 /* first extent that no sender has taken yet */
	atomic_ullong done, data, wire, present; /* as in struct copy_progress */
	atomic_bool target_is_empty;		 /* the target has said so */
	atomic_bool stop;
};

/* ------------------------------------------------------------------ one session of a push (sender.c) */

/* Extents that a sender has taken, and the target's tags as far as they have come. */
struct batch {
	uint64_t first;
	uint32_t count, arrived, done; /* extents: all, those with tags, those that were dealt with */
	struct extent_tags old[COPY_BATCH_MOST];
};

/* A run for which a signature was asked. Its data are kept, since the guest may write to the volume meanwhile. */
struct signature_request {
	enum { REQUEST_FREE, REQUEST_SENT, REQUEST_ANSWERED } state;
	struct delta_run run;
	uint8_t *data;
	struct frame signature;
};

struct sender {
	struct push *push;
	struct source_stream stream;
	struct prefetch prefetch;
	struct scan again;    /* reads once more what differs and was not kept */
	bool mostly_differs;  /* as did most of the last extent: so data are kept when they are read */
	bool target_is_empty; /* the target's volume holds no data */
	bool opened, syncing, synced;
	uint64_t sent, applied; /* window_cost of frames sent, and of those that the target has applied */
	struct batch batches[COPY_BATCHES];
	unsigned current; /* index of the batch that is dealt with now */
	struct signature_request requests[COPY_SLOTS];
	struct compressor compressor;
	unsigned misses, skip; /* back-off of deltas: those without gain in a row; runs that are not tried at all now */
	size_t changes_length;
	uint8_t changes[COPY_LIMIT_TO_TARGET]; /* the CHANGES frame that is being filled */
};

/* Carries out a session's share of a push, until the target has synced. The OPEN frame has been sent. */
int sender_run(struct push *push, struct stream *session, struct vmm_error **err);

/* ------------------------------------------------------------------ its changes (sender-changes.c) */

/* Sends a run of leaves that is now all zero. */
int sender_send_zeros(struct sender *sender, uint64_t offset, size_t length, struct vmm_error **err);
/* Sends a run as data; its blocks of zeros are sent as such, or not at all if `over_zeros`: the target has zeros
 * there. */
int sender_send_run(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, bool over_zeros,
		    struct vmm_error **err);
/* Sends a run over old data: as a delta if that is worth it, else as sender_send_run does. */
int sender_send_over(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length,
		     struct vmm_error **err);
/* Makes and sends the deltas for the signatures that have arrived. Does not wait. */
int sender_process_signatures(struct sender *sender, struct vmm_error **err);
/* True while there is a run whose signature has not arrived or was not processed. */
bool sender_awaits_signatures(const struct sender *sender);
void sender_free_requests(struct sender *sender);
/* Sends the CHANGES frame that is being filled. */
int sender_flush(struct sender *sender, struct vmm_error **err);

/* ------------------------------------------------------------------ its frames (sender-frames.c) */

/* False if the leaves of the target's volume are known without its tags. */
bool sender_needs_tags(const struct sender *sender);
/* Receives one frame and notes in `sender` what it says. */
int sender_receive(struct sender *sender, struct vmm_error **err);
/* Sends a frame once the window has room for it; until then it receives. */
int sender_send(struct sender *sender, enum copy_frame type, const void *data, size_t length, struct vmm_error **err);
/* The same for a payload that lies in two parts. */
int sender_send_parts(struct sender *sender, enum copy_frame type, uint8_t flags, const void *head, size_t head_length,
		      const void *data, size_t length, struct vmm_error **err);

#endif
