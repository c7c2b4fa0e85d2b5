/* sender-changes.c: sends what differs: zeros, data, deltas. */
#include "source.h"

enum {
	OWN_FRAME = 256 << 10, /* this much data is sent in a frame of its own */
	MISSES_MOST = 5,       /* after so many runs in a row without gain only one in 2^5 is tried as a delta */
};

int sender_flush(struct sender *sender, struct vmm_error **err)
{
	size_t length = sender->changes_length;
	sender->changes_length = 0;
	if (!length)
		return 0;
	size_t packed = compressor_run(&sender->compressor, sender->changes, length);
	return packed ? sender_send_parts(sender, COPY_CHANGES, COPY_IS_COMPRESSED, NULL, 0, sender->compressor.output,
					  packed, err)
		      : sender_send(sender, COPY_CHANGES, sender->changes, length, err);
}

/* Flushes the CHANGES frame unless it has room for one more record with `least` bytes; *room is how many bytes that
 * record may have. */
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

int sender_send_zeros(struct sender *sender, uint64_t offset, size_t length, struct vmm_error **err)
{
	size_t room;
	if (make_room(sender, 0, &room, err) < 0)
		return -1;
	add_record(sender, CHANGE_ZERO, offset, length, NULL);
	return 0;
}

/* Sends data from where they were read, in a frame of their own, rather than copying them into the CHANGES frame. */
static int send_own_frame(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length,
			  struct vmm_error **err)
{
	uint8_t head[COPY_RECORD_HEAD];
	if (sender_flush(sender, err) < 0)
		return -1;
	pack_head(head, CHANGE_DATA, offset, length);
	return sender_send_parts(sender, COPY_CHANGES, 0, head, sizeof(head), data, length, err);
}

static int add_data(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err)
{
	if (length >= OWN_FRAME && !compressor_wanted(&sender->compressor))
		return send_own_frame(sender, offset, data, length, err);
	for (size_t room; length;) {
		if (make_room(sender, min64(length, COPY_BLOCK), &room, err) < 0)
			return -1;
		size_t n = min64(length, room < length ? room & ~(size_t)(COPY_BLOCK - 1) : length);
		add_record(sender, CHANGE_DATA, offset, n, data);
		offset += n;
		data += n;
		length -= n;
	}
	return 0;
}

int sender_send_run(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, bool over_zeros,
		    struct vmm_error **err)
{
	bool zero;
	for (size_t at = 0, run; block_runs_next(data, length, &at, &run, &zero);) {
		size_t from = at - run;
		if (zero && over_zeros)
			continue;
		if ((zero ? sender_send_zeros(sender, offset + from, run, err)
			  : add_data(sender, offset + from, data + from, run, err)) < 0)
			return -1;
	}
	return 0;
}

/* ------------------------------------------------------------------ deltas */

/* True if the delta has taken more than twice the time in which the link sends the bytes that it saves. */
static bool is_too_slow(const struct sender *sender, size_t saved, int64_t us)
{
	return (double)us * throughput_rate(&sender->compressor.link) > 2 * (double)saved;
}

/* Sends the run as a delta, or as data if a delta would not be much shorter. */
static int process_signature(struct sender *sender, struct signature_request *request, struct vmm_error **err)
{
	const struct delta_run *run = &request->run;
	vmm_auto_free uint8_t *delta = NULL;
	size_t length = 0;
	int64_t began = clock_steady_us();
	int worth = delta_make(request->signature.data + 4, request->signature.length - 4, run->window_length,
			       request->data, run->length, &delta, &length, err);
	if (worth < 0)
		return -1;
	int64_t spent = clock_steady_us() - began;
	vmm_auto_free uint8_t *packed = mem_zero(4 + length);
	put32(packed, run->slot);
	if (worth)
		memcpy(packed + 4, delta, length);
	if (sender_send(sender, COPY_DELTA, packed, 4 + (worth ? length : 0), err) < 0)
		return -1;
	if (!worth && sender_send_run(sender, run->offset, request->data, run->length, false, err) < 0)
		return -1;
	if (worth && is_too_slow(sender, run->length - length, spent))
		worth = 0;
	/* Back-off: a delta that brings nothing costs more than sending the run, so after each, fewer runs are
	 * tried. */
	sender->misses = worth ? 0 : sender->misses < MISSES_MOST ? sender->misses + 1 : MISSES_MOST;
	sender->skip = worth ? 0 : (1u << sender->misses) - 1;
	frame_free(&request->signature);
	request->state = REQUEST_FREE;
	return 0;
}

int sender_process_signatures(struct sender *sender, struct vmm_error **err)
{
	for (size_t i = 0; i < COPY_SLOTS; i++)
		if (sender->requests[i].state == REQUEST_ANSWERED &&
		    process_signature(sender, &sender->requests[i], err) < 0)
			return -1;
	return 0;
}

static struct signature_request *free_request(struct sender *sender)
{
	for (size_t i = 0; i < COPY_SLOTS; i++)
		if (sender->requests[i].state == REQUEST_FREE)
			return &sender->requests[i];
	return NULL;
}

static int request_signature(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length,
			     struct vmm_error **err)
{
	struct signature_request *request;
	uint8_t packed[COPY_GET_SIGNATURE_SIZE];
	/* Signatures that have arrived are processed before more is received: if all have arrived, nothing else may
	 * come. */
	while (!(request = free_request(sender)))
		if (sender_process_signatures(sender, err) < 0 ||
		    (!free_request(sender) && sender_receive(sender, err) < 0))
			return -1;
	uint32_t slot = (uint32_t)(request - sender->requests);
	if (delta_run_set(sender->push->map.size, slot, offset, length, &request->run, err) < 0)
		return -1;
	if (!request->data)
		request->data = mem_zero(COPY_RUN);
	memcpy(request->data, data, length);
	request->state = REQUEST_SENT;
	delta_run_pack(&request->run, packed);
	return sender_send(sender, COPY_GET_SIGNATURE, packed, sizeof(packed), err);
}

bool sender_awaits_signatures(const struct sender *sender)
{
	for (size_t i = 0; i < COPY_SLOTS; i++)
		if (sender->requests[i].state != REQUEST_FREE)
			return true;
	return false;
}

/* After deltas without gain one run at a time is tried, and until its signature was processed no other. */
static bool is_delta_worth_trying(struct sender *sender)
{
	if (!sender->misses)
		return true;
	if (!sender->skip)
		return !sender_awaits_signatures(sender);
	sender->skip--;
	return false;
}

int sender_send_over(struct sender *sender, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err)
{
	return is_delta_worth_trying(sender) ? request_signature(sender, offset, data, length, err)
					     : sender_send_run(sender, offset, data, length, false, err);
}

void sender_free_requests(struct sender *sender)
{
	for (size_t i = 0; i < COPY_SLOTS; i++) {
		if (sender->requests[i].state == REQUEST_ANSWERED)
			frame_free(&sender->requests[i].signature);
		free(sender->requests[i].data);
	}
}
