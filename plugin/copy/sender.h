/* sender.h: what the files of the source's side of one session share. Nobody else includes it.
 *
 *   sender.c          reads extents, compares, decides what becomes of each run of leaves
 *   sender-changes.c  sends what differs: holes, data, deltas
 *   sender-frames.c   sends frames within the window, and receives
 */
#ifndef COPY_SENDER_H
#define COPY_SENDER_H

#include "parts.h"

/* Extents in hand, the target's tags as far as they have come. */
struct order {
	uint64_t first;
	uint32_t count, arrived, worked;
	struct extent_tags old[COPY_ORDER_MOST];
};

/* A run that is with librsync; its data is kept, since the guest may write to the volume meanwhile. */
struct inquiry {
	enum { INQUIRY_NONE, INQUIRY_ASKED, INQUIRY_ANSWERED } state;
	struct stretch run;
	uint8_t *data;
	struct frame signature;
};

struct sender {
	struct push *push;
	struct lane lane;
	struct ahead ahead;
	struct scan again; /* what was not kept and differs */
	bool differs;	   /* most did lately: so what is read is kept */
	bool fresh;	   /* the target's volume holds nothing */
	bool opened, syncing, synced;
	uint64_t sent, taken; /* cost of frames sent, and of those that the target has applied */
	struct order orders[COPY_ORDERS];
	unsigned current; /* the order to work on; the other is the next */
	struct inquiry inquiries[COPY_SLOTS];
	struct packer packer;
	unsigned misses, skip; /* librsync was of no use so many times running; runs not to try it on */
	size_t changes_length;
	uint8_t changes[COPY_LIMIT_TO_TARGET]; /* the CHANGES frame in the making */
};

/* ------------------------------------------------------------------ frames (sender-frames.c) */

/* False where the leaves of the target's volume are known without its tags. */
bool sender_needs_tags(const struct sender *sender);
/* Receives one frame and notes in `sender` what it says. */
int sender_receive(struct sender *sender, struct vmm_error **err);
/* Sends a frame once the window has room for it; until then it receives. */
int sender_send(struct sender *sender, enum copy_frame type, const void *data, size_t length, struct vmm_error **err);
/* The same for a payload that lies in two parts. */
int sender_send_parts(struct sender *sender, enum copy_frame type, uint8_t flags, const void *head, size_t head_length,
		      const void *data, size_t length, struct vmm_error **err);

/* ------------------------------------------------------------------ changes (sender-changes.c) */

/* Sends the changes that are gathered. */
int sender_flush(struct sender *sender, struct vmm_error **err);
int change_zero(struct sender *sender, uint64_t offset, size_t length, struct vmm_error **err);
/* A run as it is, but for its zeros: those become holes, or are left out where the target has zeros already. */
int change_run(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, bool over_zeros,
	       struct vmm_error **err);
/* A run over old data that may resemble it. */
int change_over(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err);
/* Works off the answers that have come. */
int inquiries_settle(struct sender *sender, struct vmm_error **err);
/* Are there any whose answer is awaited or not yet worked off? */
bool inquiries_open(const struct sender *sender);
void inquiries_end(struct sender *sender);

#endif
