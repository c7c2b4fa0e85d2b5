/* sender-frames.c: the frames of the source's side of one session.
 *
 * What the target answers is only put into `struct sender` here: sender.c and sender-changes.c act on it afterwards.
 */
#include "sender.h"

/* ------------------------------------------------------------------ receiving */

bool sender_needs_tags(const struct sender *sender)
{
	return !sender->fresh && !sender->push->known;
}

/* The order that the next tags belong to. */
static struct order *arriving(struct sender *sender)
{
	for (unsigned i = 0; i < COPY_ORDERS; i++) {
		struct order *order = &sender->orders[(sender->current + i) % COPY_ORDERS];
		if (order->arrived < order->count)
			return order;
	}
	return NULL;
}

static int take_tags(struct sender *sender, const struct frame *frame, struct vmm_error **err)
{
	struct order *order = sender_needs_tags(sender) ? arriving(sender) : NULL;
	uint64_t extent;
	if (!order)
		return protocol_error(err, "tags that nobody asked for");
	if (tags_unpack(frame, sender->push->map.size, &extent, &order->old[order->arrived], err) < 0)
		return -1;
	if (extent != order->first + order->arrived)
		return protocol_error(err, "tags of extent %llu out of turn", (unsigned long long)extent);
	order->arrived++;
	return 0;
}

static int take_signature(struct sender *sender, struct frame *frame, struct vmm_error **err)
{
	uint32_t slot = frame->length >= 4 ? get32(frame->data) : COPY_SLOTS;
	if (slot >= COPY_SLOTS || sender->inquiries[slot].state != INQUIRY_ASKED)
		return protocol_error(err, "a signature that nobody asked for");
	sender->inquiries[slot].signature = *frame;
	sender->inquiries[slot].state = INQUIRY_ANSWERED;
	frame->data = NULL;
	return 0;
}

static int take_taken(struct sender *sender, const struct frame *frame, struct vmm_error **err)
{
	uint64_t taken = frame->length == 8 ? get64(frame->data) : 0;
	if (taken <= sender->taken || taken > sender->sent)
		return protocol_error(err, "an acknowledgement of what was not sent");
	sender->taken = taken;
	return 0;
}

static int take_frame(struct sender *sender, struct frame *frame, struct vmm_error **err)
{
	if (!sender->opened && frame->type == COPY_OPENED) {
		sender->opened = true;
		sender->fresh = frame->flags & COPY_IS_FRESH;
		if (sender->fresh)
			sender->push->fresh = true;
		return 0;
	}
	switch (sender->opened ? (int)frame->type : 0) {
	case COPY_TAGS:
		return take_tags(sender, frame, err);
	case COPY_SIGNATURE:
		return take_signature(sender, frame, err);
	case COPY_TAKEN:
		return take_taken(sender, frame, err);
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
	if (protocol_receive(&sender->lane.stream, &frame, err) < 0)
		return -1;
	int result = take_frame(sender, &frame, err);
	frame_free(&frame);
	return result;
}

/* ------------------------------------------------------------------ sending */

/* Sends a frame, in two parts, once the window has room for it. */
int sender_send_parts(struct sender *sender, enum copy_frame type, uint8_t flags, const void *head, size_t head_length,
		      const void *data, size_t length, struct vmm_error **err)
{
	size_t whole = head_length + length;
	while (sender->sent + copy_cost(whole) - sender->taken > COPY_WINDOW)
		if (sender_receive(sender, err) < 0)
			return -1;
	sender->sent += copy_cost(whole);
	int64_t began = steady_us();
	int result = frame_send_parts(&sender->lane.stream, type, flags, head, head_length, data, length, err);
	gauge_add(&sender->packer.link, whole, steady_us() - began);
	return result;
}

int sender_send(struct sender *sender, enum copy_frame type, const void *data, size_t length, struct vmm_error **err)
{
	return sender_send_parts(sender, type, 0, NULL, 0, data, length, err);
}
