/* apply.c: writes what the source sends to the target's volume, in the order in which it was sent. */
#include "target.h"

/* Notes the extents for the answering thread. */
static int apply_get_tags(struct receiver *receiver, const struct frame *frame, struct vmm_error **err)
{
	uint64_t first;
	uint32_t count;
	if (get_tags_unpack(frame, receiver->map.size, &first, &count, err) < 0)
		return -1;
	pthread_mutex_lock(&receiver->lock);
	bool room = receiver->batch_count < COPY_BATCHES;
	if (room) {
		receiver->batches[receiver->batch_count].first = first;
		receiver->batches[receiver->batch_count++].count = count;
		pthread_cond_signal(&receiver->wanted);
	}
	pthread_mutex_unlock(&receiver->lock);
	return room ? 0 : protocol_error(err, "too many requests for tags");
}

/* Notes the run for the answering thread. */
static int apply_get_signature(struct receiver *receiver, const struct frame *frame, struct vmm_error **err)
{
	struct delta_run run;
	if (delta_run_unpack(frame, receiver->map.size, &run, err) < 0)
		return -1;
	pthread_mutex_lock(&receiver->lock);
	struct slot *slot = &receiver->slots[run.slot];
	bool is_free = slot->state == SLOT_FREE;
	if (is_free) {
		slot->run = run;
		slot->state = SLOT_ASKED;
		pthread_cond_signal(&receiver->wanted);
	}
	pthread_mutex_unlock(&receiver->lock);
	return is_free ? 0 : protocol_error(err, "a run in a slot that is in use");
}

static int apply_delta(struct apply *apply, const struct frame *frame, struct vmm_error **err)
{
	struct receiver *receiver = apply->receiver;
	uint32_t number = frame->length >= 4 ? get32(frame->data) : COPY_SLOTS;
	if (number >= COPY_SLOTS)
		return protocol_error(err, "a delta for no slot");
	struct slot *slot = &receiver->slots[number];
	pthread_mutex_lock(&receiver->lock);
	struct slot taken = *slot;
	if (taken.state == SLOT_SIGNED) {
		slot->state = SLOT_FREE;
		slot->old = NULL;
	}
	pthread_mutex_unlock(&receiver->lock);
	if (taken.state != SLOT_SIGNED)
		return protocol_error(err, "a delta before its signature");
	vmm_auto_free uint8_t *old = taken.old;
	const struct delta_run *run = &taken.run;
	if (frame->length == 4) /* no delta: the run comes as CHANGES */
		return 0;
	if (delta_apply(old, run->window_length, frame->data + 4, frame->length - 4, apply->data, run->length, err) < 0)
		return -1;
	return sink_replace(&apply->sink, run->offset, apply->data, old + (run->offset - run->window), run->length,
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
	if (!(frame->flags & COPY_IS_COMPRESSED))
		return apply_records(apply, frame->data, frame->length, err);
	if (!apply->decompressed)
		apply->decompressed = mem_zero(COPY_LIMIT_TO_TARGET);
	if (decompress(frame->data, frame->length, apply->decompressed, &length, err) < 0)
		return -1;
	return apply_records(apply, apply->decompressed, length, err);
}

static int carry_out(struct apply *apply, const struct frame *frame, struct vmm_error **err)
{
	switch ((int)frame->type) {
	case COPY_GET_TAGS:
		return apply_get_tags(apply->receiver, frame, err);
	case COPY_GET_SIGNATURE:
		return apply_get_signature(apply->receiver, frame, err);
	case COPY_DELTA:
		return apply_delta(apply, frame, err);
	case COPY_CHANGES:
		return apply_changes(apply, frame, err);
	case COPY_SYNC:
		if (sink_sync(&apply->sink, err) < 0)
			return -1;
		outbox_put(apply->receiver->outbox, COPY_SYNCED, 0, NULL, 0);
		return 0;
	default:
		return protocol_error(err, "a frame of type %d in the middle of a copy", frame->type);
	}
}

/* Tells the source how much was applied, once for every COPY_APPLIED_EVERY. */
static void acknowledge(struct apply *apply, uint64_t cost)
{
	uint8_t packed[8];
	apply->applied += cost;
	if (apply->applied - apply->told < COPY_APPLIED_EVERY)
		return;
	apply->told = apply->applied;
	put64(packed, apply->applied);
	outbox_put(apply->receiver->outbox, COPY_APPLIED, 0, packed, sizeof(packed));
}

int apply_frame(struct apply *apply, const struct frame *frame, struct vmm_error **err)
{
	if (carry_out(apply, frame, err) < 0)
		return -1;
	acknowledge(apply, window_cost(frame->length));
	return 0;
}

void apply_begin(struct apply *apply, struct receiver *receiver)
{
	*apply = (struct apply){.receiver = receiver, .sink = receiver->sink, .data = mem_zero(COPY_RUN)};
}

void apply_end(struct apply *apply)
{
	free(apply->data);
	free(apply->decompressed);
}
