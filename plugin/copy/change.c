/* change.c: sends what has changed - holes, and data that are gathered into frames or go from where they were read. */
#include "sender.h"

enum { MUCH = 256 << 10 }; /* of data: worth a frame of its own */

/* Sends a frame, in two parts, once the window has room for it. */
static int send_parts(struct sender *sender, enum copy_frame type, uint8_t flags, const void *head, size_t head_length,
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
	return send_parts(sender, type, 0, NULL, 0, data, length, err);
}

int sender_flush(struct sender *sender, struct vmm_error **err)
{
	size_t length = sender->changes_length;
	sender->changes_length = 0;
	if (!length)
		return 0;
	size_t packed = packer_pack(&sender->packer, sender->changes, length);
	return packed ? send_parts(sender, COPY_CHANGES, COPY_IS_PACKED, NULL, 0, sender->packer.packed, packed, err)
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
	return send_parts(sender, COPY_CHANGES, 0, head, sizeof(head), data, length, err);
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
