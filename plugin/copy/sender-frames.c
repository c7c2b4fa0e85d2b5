/* sender-frames.c: the frames of the source's side of one session.
 *
 * What the target answers is only put into `struct sender` here: sender.c and sender-changes.c act on it afterwards.
 */
#include "source.h"

/* ------------------------------------------------------------------ receiving */

bool sender_needs_tags(const struct sender *sender)
{
	return !sender->target_is_empty && !sender->push->target_known;
}

/* The batch that the next tags belong to; NULL if all have arrived. */
static struct batch *batch_awaiting_tags(struct sender *sender)
{
	for (unsigned i = 0; i < COPY_BATCHES; i++) {
		struct batch *batch = &sender->batches[(sender->current + i) % COPY_BATCHES];
		if (batch->arrived < batch->count)
			return batch;
	}
	return NULL;
}

static int take_tags(struct sender *sender, const struct frame *frame, struct vmm_error **err)
{
	struct batch *batch = sender_needs_tags(sender) ? batch_awaiting_tags(sender) : NULL;
	uint64_t extent;
	if (!batch)
		return protocol_error(err, "tags that were not asked for");
	if (tags_unpack(frame, sender->push->map.size, &extent, &batch->old[batch->arrived], err) < 0)
		return -1;
	if (extent != batch->first + batch->arrived)
		return protocol_error(err, "tags of extent %llu out of turn", (unsigned long long)extent);
	batch->arrived++;
	return 0;
}

static int take_signature(struct sender *sender, struct frame *frame, struct vmm_error **err)
{
	uint32_t slot = frame->length >= 4 ? get32(frame->data) : COPY_SLOTS;
	if (slot >= COPY_SLOTS || sender->requests[slot].state != REQUEST_SENT)
		return protocol_error(err, "a signature that was not asked for");
	sender->requests[slot].signature = *frame;
	sender->requests[slot].state = REQUEST_ANSWERED;
	frame->data = NULL; /* the request owns the payload now */
	return 0;
}

static int take_applied(struct sender *sender, const struct frame *frame, struct vmm_error **err)
{
	uint64_t applied = frame->length == 8 ? get64(frame->data) : 0;
	if (applied <= sender->applied || applied > sender->sent)
		return protocol_error(err, "an acknowledgement of what was not sent");
	sender->applied = applied;
	return 0;
}

static int take_frame(struct sender *sender, struct frame *frame, struct vmm_error **err)
{
	if (!sender->opened && frame->type == COPY_OPENED) {
		sender->opened = true;
		sender->target_is_empty = frame->flags & COPY_IS_EMPTY;
		if (sender->target_is_empty)
			sender->push->target_is_empty = true;
		return 0;
	}
	switch (sender->opened ? (int)frame->type : 0) {
	case COPY_TAGS:
		return take_tags(sender, frame, err);
	case COPY_SIGNATURE:
		return take_signature(sender, frame, err);
	case COPY_APPLIED:
		return take_applied(sender, frame, err);
	case COPY_SYNCED:
		if (!sender->syncing)
			return protocol_error(err, "that all is written before all was sent");
		sender->synced = true;
		return 0;
	default:
		return protocol_error(err, "a frame of type %d out of turn", frame->type);
	}
}

int sender_receive(struct sender *sender, struct vmm_error **err)
{
	struct frame frame;
	if (protocol_receive(&sender->stream.stream, &frame, err) < 0)
		return -1;
	int result = take_frame(sender, &frame, err);
	frame_free(&frame);
	return result;
}

/* ------------------------------------------------------------------ sending */

int sender_send_parts(struct sender *sender, enum copy_frame type, uint8_t flags, const void *head, size_t head_length,
		      const void *data, size_t length, struct vmm_error **err)
{
	size_t whole = head_length + length;
	while (sender->sent + window_cost(whole) - sender->applied > COPY_WINDOW)
		if (sender_receive(sender, err) < 0)
			return -1;
	sender->sent += window_cost(whole);
	int64_t began = clock_steady_us();
	int result = frame_send_parts(&sender->stream.stream, type, flags, head, head_length, data, length, err);
	throughput_add(&sender->compressor.link, whole, clock_steady_us() - began);
	return result;
}

int sender_send(struct sender *sender, enum copy_frame type, const void *data, size_t length, struct vmm_error **err)
{
	return sender_send_parts(sender, type, 0, NULL, 0, data, length, err);
}
