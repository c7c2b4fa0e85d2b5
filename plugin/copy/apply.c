/* apply.c: writes what the source sends to the target's volume, in the order in which it was sent. */
#include "pass.h"

struct apply {
	struct pass *pass;
	struct sink sink;
	uint64_t taken, told; /* cost of the frames applied, and what the source was told of it */
	uint8_t *fresh;	      /* COPY_RUN bytes: a run that librsync makes */
	uint8_t *unpacked;    /* COPY_LIMIT_TO_TARGET bytes, or NULL as long as nothing came packed */
};

static int apply_order(struct pass *pass, const struct frame *frame, struct vmm_error **err)
{
	uint64_t first;
	uint32_t count;
	if (order_unpack(frame, pass->map.size, &first, &count, err) < 0)
		return -1;
	pthread_mutex_lock(&pass->lock);
	bool room = pass->order_count < COPY_ORDERS;
	if (room) {
		pass->orders[pass->order_count].first = first;
		pass->orders[pass->order_count++].count = count;
		pthread_cond_signal(&pass->wanted);
	}
	pthread_mutex_unlock(&pass->lock);
	return room ? 0 : protocol_error(err, "too many orders");
}

static int apply_ask(struct pass *pass, const struct frame *frame, struct vmm_error **err)
{
	struct stretch run;
	if (ask_unpack(frame, pass->map.size, &run, err) < 0)
		return -1;
	pthread_mutex_lock(&pass->lock);
	struct slot *slot = &pass->slots[run.slot];
	bool is_free = slot->state == SLOT_FREE;
	if (is_free) {
		slot->run = run;
		slot->state = SLOT_ASKED;
		pthread_cond_signal(&pass->wanted);
	}
	pthread_mutex_unlock(&pass->lock);
	return is_free ? 0 : protocol_error(err, "a question in a slot that is taken");
}

static int apply_patch(struct apply *apply, const struct frame *frame, struct vmm_error **err)
{
	struct pass *pass = apply->pass;
	uint32_t number = frame->length >= 4 ? get32(frame->data) : COPY_SLOTS;
	if (number >= COPY_SLOTS)
		return protocol_error(err, "a delta for no slot");
	struct slot *slot = &pass->slots[number];
	pthread_mutex_lock(&pass->lock);
	struct slot taken = *slot;
	if (taken.state == SLOT_SIGNED) {
		slot->state = SLOT_FREE;
		slot->old = NULL;
	}
	pthread_mutex_unlock(&pass->lock);
	if (taken.state != SLOT_SIGNED)
		return protocol_error(err, "a delta before its signature");
	vmm_auto_free uint8_t *old = taken.old;
	const struct stretch *run = &taken.run;
	if (frame->length == 4)
		return 0;
	if (delta_apply(old, run->window_length, frame->data + 4, frame->length - 4, apply->fresh, run->length, err) <
	    0)
		return -1;
	return sink_replace(&apply->sink, run->offset, apply->fresh, old + (run->offset - run->window), run->length,
			    err);
}

static int apply_records(struct apply *apply, const void *data, size_t total, struct vmm_error **err)
{
	for (size_t at = 0; at < total;) {
		const char *record = (const char *)data + at;
		if (total - at < COPY_RECORD_HEAD)
			return protocol_error(err, "a change that is cut off");
		uint64_t offset = get64(record);
		uint32_t length = get32(record + 8), kind = get32(record + 12);
		at += COPY_RECORD_HEAD;
		if (kind == CHANGE_ZERO) {
			if (sink_zero(&apply->sink, offset, length, err) < 0)
				return -1;
			continue;
		}
		if (kind != CHANGE_DATA || length > total - at)
			return protocol_error(err, "a change of kind %u with %u bytes", kind, length);
		if (sink_write(&apply->sink, offset, (const char *)data + at, length, err) < 0)
			return -1;
		at += length;
	}
	return 0;
}

static int apply_changes(struct apply *apply, const struct frame *frame, struct vmm_error **err)
{
	size_t length;
	if (!(frame->flags & COPY_IS_PACKED))
		return apply_records(apply, frame->data, frame->length, err);
	if (!apply->unpacked)
		apply->unpacked = mem_zero(COPY_LIMIT_TO_TARGET);
	if (unpack(frame->data, frame->length, apply->unpacked, &length, err) < 0)
		return -1;
	return apply_records(apply, apply->unpacked, length, err);
}

static int apply_frame(struct apply *apply, const struct frame *frame, struct vmm_error **err)
{
	switch ((int)frame->type) {
	case COPY_ORDER:
		return apply_order(apply->pass, frame, err);
	case COPY_ASK:
		return apply_ask(apply->pass, frame, err);
	case COPY_PATCH:
		return apply_patch(apply, frame, err);
	case COPY_CHANGES:
		return apply_changes(apply, frame, err);
	case COPY_SYNC:
		if (sink_sync(&apply->sink, err) < 0)
			return -1;
		outbox_put(apply->pass->outbox, COPY_SYNCED, 0, NULL, 0);
		return 0;
	default:
		return protocol_error(err, "a frame of type %d in the middle of a copy", frame->type);
	}
}

static void tell(struct apply *apply, uint64_t cost)
{
	uint8_t packed[8];
	apply->taken += cost;
	if (apply->taken - apply->told < COPY_TAKEN_EVERY)
		return;
	apply->told = apply->taken;
	put64(packed, apply->taken);
	outbox_put(apply->pass->outbox, COPY_TAKEN, 0, packed, sizeof(packed));
}

/* Waits for a frame; NULL where there will be none. */
static struct parcel *next_parcel(struct pass *pass)
{
	pthread_mutex_lock(&pass->lock);
	while (!pass->first && !pass->complete && !pass->failed)
		pthread_cond_wait(&pass->received, &pass->lock);
	struct parcel *parcel = pass->failed ? NULL : pass->first;
	if (parcel) {
		pass->first = parcel->next;
		if (!pass->first)
			pass->end = &pass->first;
		pass->queued -= copy_cost(parcel->frame.length);
	}
	pthread_mutex_unlock(&pass->lock);
	return parcel;
}

void *apply_run(void *argument)
{
	struct pass *pass = argument;
	struct apply apply = {.pass = pass, .sink = pass->sink, .fresh = mem_zero(COPY_RUN)};
	for (struct parcel *parcel; (parcel = next_parcel(pass));) {
		struct vmm_error *failure = NULL;
		if (apply_frame(&apply, &parcel->frame, &failure) < 0)
			pass_fail(pass, failure);
		tell(&apply, copy_cost(parcel->frame.length));
		frame_free(&parcel->frame);
		free(parcel);
	}
	pthread_mutex_lock(&pass->lock);
	pass->applied = true;
	pthread_cond_signal(&pass->wanted);
	pthread_mutex_unlock(&pass->lock);
	free(apply.fresh);
	free(apply.unpacked);
	return NULL;
}
