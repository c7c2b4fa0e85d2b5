/* answer.c: reads the target's volume for what the source wants to know - tags of extents, signatures of windows. */
#include <errno.h>

#include "pass.h"

enum work { WORK_NONE, WORK_SIGN, WORK_TAGS };

struct answer {
	struct pass *pass;
	struct sink sink;
	struct scan scan;
	/* the work in hand */
	struct stretch run;
	uint64_t extent;
};

static enum work find_work(struct answer *answer)
{
	struct pass *pass = answer->pass;
	for (size_t i = 0; i < COPY_SLOTS; i++) {
		if (pass->slots[i].state != SLOT_ASKED)
			continue;
		answer->run = pass->slots[i].run;
		return WORK_SIGN;
	}
	if (!pass->order_count)
		return WORK_NONE;
	answer->extent = pass->orders[0].first++;
	if (!--pass->orders[0].count)
		memmove(&pass->orders[0], &pass->orders[1], sizeof(pass->orders[0]) * --pass->order_count);
	return WORK_TAGS;
}

static enum work next_work(struct answer *answer)
{
	struct pass *pass = answer->pass;
	enum work work = WORK_NONE;
	pthread_mutex_lock(&pass->lock);
	while (!pass->failed && !(work = find_work(answer)) && !pass->applied)
		pthread_cond_wait(&pass->wanted, &pass->lock);
	if (pass->failed)
		work = WORK_NONE;
	pthread_mutex_unlock(&pass->lock);
	return work;
}

static int read_old(const struct answer *answer, uint8_t *old, struct vmm_error **err)
{
	const struct stretch *run = &answer->run;
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
	struct pass *pass = answer->pass;
	const struct stretch *run = &answer->run;
	uint8_t *old = mem_zero(run->window_length);
	if (read_old(answer, old, err) < 0) {
		free(old);
		return -1;
	}
	size_t length = 4 + delta_signature_length(run->window_length);
	vmm_auto_free uint8_t *packed = mem_zero(length);
	put32(packed, run->slot);
	delta_signature(old, run->window_length, packed + 4);
	pthread_mutex_lock(&pass->lock);
	pass->slots[run->slot].old = old;
	pass->slots[run->slot].state = SLOT_SIGNED;
	pthread_mutex_unlock(&pass->lock);
	outbox_put(pass->outbox, COPY_SIGNATURE, 0, packed, length);
	return 0;
}

/* Zeros that an earlier copy by other means has written down occupy storage for nothing. */
static int dig(void *context, uint64_t offset, const uint8_t *data, size_t length, struct vmm_error **err)
{
	struct answer *answer = context;
	return sink_dig(&answer->sink, offset, data, length, err);
}

static int tag(struct answer *answer, struct vmm_error **err)
{
	struct extent_tags tags;
	uint8_t packed[COPY_TAGS_MOST];
	if (scan_extent(&answer->scan, answer->extent, false, &tags, err) < 0)
		return error_is(*err, "read-failed") ? error_context(err, "%s", answer->sink.name) : -1;
	scan_ahead(&answer->scan, answer->extent + 1);
	size_t length = tags_pack(answer->extent, &tags, packed);
	if (outbox_wait(answer->pass->outbox, &answer->pass->failed))
		outbox_put(answer->pass->outbox, COPY_TAGS, 0, packed, length);
	return 0;
}

void *answer_run(void *argument)
{
	struct pass *pass = argument;
	struct answer answer = {.pass = pass, .sink = pass->sink};
	scan_begin(&answer.scan, pass->sink.fd, &pass->map, pass->key);
	answer.scan.look = dig;
	answer.scan.context = &answer;
	for (enum work work; (work = next_work(&answer));) {
		struct vmm_error *failure = NULL;
		if ((work == WORK_SIGN ? sign(&answer, &failure) : tag(&answer, &failure)) < 0)
			pass_fail(pass, failure);
	}
	scan_end(&answer.scan);
	return NULL;
}
