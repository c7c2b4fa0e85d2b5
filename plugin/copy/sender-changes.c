/* sender-changes.c: sends what has changed - holes, and data that are gathered into frames or go from where they were read. */
#include "sender.h"

enum { MUCH = 256 << 10 }; /* of data: worth a frame of its own */

int sender_flush(struct sender *sender, struct vmm_error **err)
{
	size_t length = sender->changes_length;
	sender->changes_length = 0;
	if (!length)
		return 0;
	size_t packed = packer_pack(&sender->packer, sender->changes, length);
	return packed ? sender_send_parts(sender, COPY_CHANGES, COPY_IS_PACKED, NULL, 0, sender->packer.packed, packed,
					  err)
		      : sender_send(sender, COPY_CHANGES, sender->changes, length, err);
}

/* Room for a record's head and `least` bytes. */
static int make_room(struct sender *sender, size_t least, size_t *room, struct vmm_error **err)
{
	if (sender->changes_length + COPY_RECORD_HEAD + least > sizeof(sender->changes) &&
	    sender_flush(sender, err) < 0)
		return -1;
	*room = sizeof(sender->changes) - sender->changes_length - COPY_RECORD_HEAD;
	return 0;
}

static void pack_head(uint8_t record[COPY_RECORD_HEAD], enum change kind, uint64_t offset, size_t length)
{
	put64(record, offset);
	put32(record + 8, (uint32_t)length);
	put32(record + 12, kind);
}

static void add_record(struct sender *sender, enum change kind, uint64_t offset, size_t length, const void *data)
{
	uint8_t *record = sender->changes + sender->changes_length;
	pack_head(record, kind, offset, length);
	sender->changes_length += COPY_RECORD_HEAD;
	if (!data)
		return;
	memcpy(record + COPY_RECORD_HEAD, data, length);
	sender->changes_length += length;
}

int change_zero(struct sender *sender, uint64_t offset, size_t length, struct vmm_error **err)
{
	size_t room;
	if (make_room(sender, 0, &room, err) < 0)
		return -1;
	add_record(sender, CHANGE_ZERO, offset, length, NULL);
	return 0;
}

/* A frame of its own: much goes from where it was read, and is not copied behind other changes first. */
static int change_alone(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length,
			struct vmm_error **err)
{
	uint8_t head[COPY_RECORD_HEAD];
	if (sender_flush(sender, err) < 0)
		return -1;
	pack_head(head, CHANGE_DATA, offset, length);
	return sender_send_parts(sender, COPY_CHANGES, 0, head, sizeof(head), data, length, err);
}

static int change_data(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length,
		       struct vmm_error **err)
{
	if (length >= MUCH && !packer_wanted(&sender->packer))
		return change_alone(sender, offset, data, length, err);
	for (size_t room; length;) {
		if (make_room(sender, min64(length, COPY_PIECE), &room, err) < 0)
			return -1;
		size_t n = min64(length, room < length ? room & ~(size_t)(COPY_PIECE - 1) : length);
		add_record(sender, CHANGE_DATA, offset, n, data);
		offset += n;
		data += n;
		length -= n;
	}
	return 0;
}

int change_run(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, bool over_zeros,
	       struct vmm_error **err)
{
	bool zero;
	for (size_t at = 0, run; pieces_next(data, length, &at, &run, &zero);) {
		size_t from = at - run;
		if (zero && over_zeros)
			continue;
		if ((zero ? change_zero(sender, offset + from, run, err)
			  : change_data(sender, offset + from, data + from, run, err)) < 0)
			return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------ runs that librsync is tried on */

/* Where sending the run as it is would have taken less than half the time, saving bytes is not what counts. */
static bool too_slow(const struct sender *sender, size_t saved, int64_t us)
{
	return (double)us * gauge_rate(&sender->packer.link) > 2 * (double)saved;
}

static int settle_one(struct sender *sender, struct inquiry *inquiry, struct vmm_error **err)
{
	const struct stretch *run = &inquiry->run;
	vmm_auto_free uint8_t *delta = NULL;
	size_t length = 0;
	int64_t began = steady_us();
	int worth = delta_make(inquiry->signature.data + 4, inquiry->signature.length - 4, run->window_length,
			       inquiry->data, run->length, &delta, &length, err);
	if (worth < 0)
		return -1;
	int64_t spent = steady_us() - began;
	vmm_auto_free uint8_t *packed = mem_zero(4 + length);
	put32(packed, run->slot);
	if (worth)
		memcpy(packed + 4, delta, length);
	if (sender_send(sender, COPY_PATCH, packed, 4 + (worth ? length : 0), err) < 0)
		return -1;
	if (!worth && change_run(sender, run->offset, inquiry->data, run->length, false, err) < 0)
		return -1;
	if (worth && too_slow(sender, run->length - length, spent))
		worth = 0;
	/* Where it is of no use it is tried ever more rarely: it costs more than sending. */
	sender->misses = worth ? 0 : sender->misses < 5 ? sender->misses + 1 : 5;
	sender->skip = worth ? 0 : (1u << sender->misses) - 1;
	frame_free(&inquiry->signature);
	inquiry->state = INQUIRY_NONE;
	return 0;
}

int inquiries_settle(struct sender *sender, struct vmm_error **err)
{
	for (size_t i = 0; i < COPY_SLOTS; i++)
		if (sender->inquiries[i].state == INQUIRY_ANSWERED &&
		    settle_one(sender, &sender->inquiries[i], err) < 0)
			return -1;
	return 0;
}

static struct inquiry *free_inquiry(struct sender *sender)
{
	for (size_t i = 0; i < COPY_SLOTS; i++)
		if (sender->inquiries[i].state == INQUIRY_NONE)
			return &sender->inquiries[i];
	return NULL;
}

static int inquire(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err)
{
	struct inquiry *inquiry;
	uint8_t packed[COPY_ASK_SIZE];
	/* What has been answered goes first: where all has been, there is nothing left to receive. */
	while (!(inquiry = free_inquiry(sender)))
		if (inquiries_settle(sender, err) < 0 || (!free_inquiry(sender) && sender_receive(sender, err) < 0))
			return -1;
	uint32_t slot = (uint32_t)(inquiry - sender->inquiries);
	if (stretch_set(sender->push->map.size, slot, offset, length, &inquiry->run, err) < 0)
		return -1;
	if (!inquiry->data)
		inquiry->data = mem_zero(COPY_RUN);
	memcpy(inquiry->data, data, length);
	inquiry->state = INQUIRY_ASKED;
	ask_pack(&inquiry->run, packed);
	return sender_send(sender, COPY_ASK, packed, sizeof(packed), err);
}

bool inquiries_open(const struct sender *sender)
{
	for (size_t i = 0; i < COPY_SLOTS; i++)
		if (sender->inquiries[i].state != INQUIRY_NONE)
			return true;
	return false;
}

/* Where it was of no use lately, one run at a time is tried; while its answer is awaited the next are not. */
static bool worth_inquiring(struct sender *sender)
{
	if (!sender->misses)
		return true;
	if (!sender->skip)
		return !inquiries_open(sender);
	sender->skip--;
	return false;
}

int change_over(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err)
{
	return worth_inquiring(sender) ? inquire(sender, offset, data, length, err)
				       : change_run(sender, offset, data, length, false, err);
}

void inquiries_end(struct sender *sender)
{
	for (size_t i = 0; i < COPY_SLOTS; i++) {
		if (sender->inquiries[i].state == INQUIRY_ANSWERED)
			frame_free(&sender->inquiries[i].signature);
		free(sender->inquiries[i].data);
	}
}
