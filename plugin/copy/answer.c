/* answer.c: reads the target's volume for what the source asks for: tags of extents, signatures of runs. */
#include <errno.h>

#include "target.h"

enum work { WORK_NONE, WORK_SIGN, WORK_TAGS };

/* Signatures go first: runs wait for them. */
static enum work find_work(struct answer *answer)
{
	struct receiver *receiver = answer->receiver;
	for (size_t i = 0; i < COPY_SLOTS; i++) {
		if (receiver->slots[i].state != SLOT_ASKED)
			continue;
		answer->run = receiver->slots[i].run;
		return WORK_SIGN;
	}
	if (!receiver->batch_count)
		return WORK_NONE;
	answer->extent = receiver->batches[0].first++;
	if (!--receiver->batches[0].count)
		memmove(&receiver->batches[0], &receiver->batches[1],
			sizeof(receiver->batches[0]) * --receiver->batch_count);
	return WORK_TAGS;
}

static enum work wait_for_work(struct answer *answer)
{
	struct receiver *receiver = answer->receiver;
	enum work work = WORK_NONE;
	pthread_mutex_lock(&receiver->lock);
	while (!receiver->failed && !(work = find_work(answer)) && !receiver->applied)
		pthread_cond_wait(&receiver->wanted, &receiver->lock);
	if (receiver->failed)
		work = WORK_NONE;
	pthread_mutex_unlock(&receiver->lock);
	return work;
}

static int read_old(const struct answer *answer, uint8_t *old, struct vmm_error **err)
{
	const struct delta_run *run = &answer->run;
	for (size_t done = 0; done < run->window_length;) {
		ssize_t n = pread(answer->sink.fd, old + done, run->window_length - done, (off_t)(run->window + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return error_set(err, VMM_FAILED, "read-failed", "reading %s at offset %llu: %s",
					 answer->sink.name, (unsigned long long)(run->window + done),
					 n ? strerror(errno) : "the volume ends");
		done += (size_t)n;
	}
	return 0;
}

static int sign(struct answer *answer, struct vmm_error **err)
{
	struct receiver *receiver = answer->receiver;
	const struct delta_run *run = &answer->run;
	uint8_t *old = mem_zero(run->window_length);
	if (read_old(answer, old, err) < 0) {
		free(old);
		return -1;
	}
	size_t length = 4 + delta_signature_length(run->window_length);
	vmm_auto_free uint8_t *packed = mem_zero(length);
	put32(packed, run->slot);
	delta_signature(old, run->window_length, packed + 4);
	pthread_mutex_lock(&receiver->lock);
	receiver->slots[run->slot].old = old;
	receiver->slots[run->slot].state = SLOT_SIGNED;
	pthread_mutex_unlock(&receiver->lock);
	outbox_put(receiver->outbox, COPY_SIGNATURE, 0, packed, length);
	return 0;
}

/* The old data may hold blocks of zeros that occupy storage, if something else than a copy of ours has written them. */
static int punch_zeros(void *context, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err)
{
	struct answer *answer = context;
	return sink_punch_zeros(&answer->sink, offset, data, length, err);
}

static int tag(struct answer *answer, struct vmm_error **err)
{
	struct extent_tags tags;
	uint8_t packed[COPY_TAGS_MOST];
	if (scan_extent(&answer->scan, answer->extent, false, &tags, err) < 0)
		return error_is(*err, "read-failed") ? error_context(err, "%s", answer->sink.name) : -1;
	scan_readahead(&answer->scan, answer->extent + 1);
	size_t length = tags_pack(answer->extent, &tags, packed);
	if (outbox_wait(answer->receiver->outbox, &answer->receiver->failed))
		outbox_put(answer->receiver->outbox, COPY_TAGS, 0, packed, length);
	return 0;
}

void answer_begin(struct answer *answer, struct receiver *receiver)
{
	*answer = (struct answer){.receiver = receiver, .sink = receiver->sink};
	scan_begin(&answer->scan, receiver->sink.fd, &receiver->map, receiver->key);
	answer->scan.on_data = punch_zeros;
	answer->scan.context = answer;
}

void answer_end(struct answer *answer)
{
	scan_end(&answer->scan);
}

int answer_next(struct answer *answer, struct vmm_error **err)
{
	switch (wait_for_work(answer)) {
	case WORK_SIGN:
		return sign(answer, err) < 0 ? -1 : 1;
	case WORK_TAGS:
		return tag(answer, err) < 0 ? -1 : 1;
	default:
		return 0;
	}
}
