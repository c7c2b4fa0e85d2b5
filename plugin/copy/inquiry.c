/* inquiry.c: runs that librsync is tried on - the target is asked for the signature of what it has there, and gets a delta. */
#include "sender.h"

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

int inquiry_answered(struct sender *sender, struct frame *frame, struct vmm_error **err)
{
	uint32_t slot = frame->length >= 4 ? get32(frame->data) : COPY_SLOTS;
	if (slot >= COPY_SLOTS || sender->inquiries[slot].state != INQUIRY_ASKED)
		return protocol_error(err, "a signature that nobody asked for");
	sender->inquiries[slot].signature = *frame;
	sender->inquiries[slot].state = INQUIRY_ANSWERED;
	frame->data = NULL;
	return 0;
}

void inquiries_end(struct sender *sender)
{
	for (size_t i = 0; i < COPY_SLOTS; i++) {
		if (sender->inquiries[i].state == INQUIRY_ANSWERED)
			frame_free(&sender->inquiries[i].signature);
		free(sender->inquiries[i].data);
	}
}
