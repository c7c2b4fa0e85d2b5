/* pass.c: the target's side of a push - receives, and keeps the threads that apply and answer.
 *
 * This thread only queues: it is always ready to receive, whatever the disk does.
 */
#include <errno.h>
#include <sys/stat.h>

#include "pass.h"

void pass_fail(struct pass *pass, struct vmm_error *failure)
{
	pthread_mutex_lock(&pass->lock);
	pass->failed = true;
	if (!pass->failure) {
		pass->failure = failure;
		outbox_put_error(pass->outbox, failure);
		failure = NULL;
	}
	pthread_cond_signal(&pass->received);
	pthread_cond_signal(&pass->wanted);
	pthread_mutex_unlock(&pass->lock);
	outbox_wake(pass->outbox);
	error_clear(&failure);
}

/* Queues a frame, which it owns from now on. */
static int queue_frame(struct pass *pass, struct frame *frame, struct vmm_error **err)
{
	uint64_t cost = copy_cost(frame->length);
	struct parcel *parcel = mem_zero(sizeof(*parcel));
	parcel->frame = *frame;
	pthread_mutex_lock(&pass->lock);
	bool fits = pass->queued + cost <= COPY_WINDOW;
	if (fits) {
		pass->queued += cost;
		*pass->end = parcel;
		pass->end = &parcel->next;
		pthread_cond_signal(&pass->received);
	}
	pthread_mutex_unlock(&pass->lock);
	if (fits)
		return 0;
	frame_free(&parcel->frame);
	free(parcel);
	return protocol_error(err, "more than the window holds");
}

static void receive_until_sync(struct pass *pass, struct stream *stream)
{
	struct vmm_error *failure = NULL;
	for (bool last = false; !last && !pass->failed;) {
		struct frame frame;
		if (frame_receive(stream, COPY_LIMIT_TO_TARGET, -1, &frame, &failure) < 0)
			break;
		last = frame.type == COPY_SYNC;
		if (queue_frame(pass, &frame, &failure) < 0)
			break;
	}
	if (failure)
		pass_fail(pass, failure);
	pthread_mutex_lock(&pass->lock);
	pass->complete = true;
	pthread_cond_signal(&pass->received);
	pthread_mutex_unlock(&pass->lock);
}

/* Runs what has begun; both threads have ended when it returns. */
static void run_threads(struct pass *pass, struct stream *stream)
{
	pthread_t apply, answer;
	bool applying = false, answering = !pthread_create(&answer, NULL, answer_run, pass);
	if (answering)
		applying = !pthread_create(&apply, NULL, apply_run, pass);
	if (applying) {
		receive_until_sync(pass, stream);
		pthread_join(apply, NULL);
	} else {
		struct vmm_error *failure = NULL;
		error_set(&failure, VMM_FAILED, "system", "a thread cannot be started");
		pass_fail(pass, failure);
	}
	if (answering)
		pthread_join(answer, NULL);
}

static void pass_begin(struct pass *pass, struct outbox *outbox)
{
	*pass = (struct pass){.outbox = outbox, .end = &pass->first};
	pthread_mutex_init(&pass->lock, NULL);
	pthread_cond_init(&pass->received, NULL);
	pthread_cond_init(&pass->wanted, NULL);
}

static void pass_end(struct pass *pass)
{
	for (struct parcel *next; pass->first; pass->first = next) {
		next = pass->first->next;
		frame_free(&pass->first->frame);
		free(pass->first);
	}
	for (size_t i = 0; i < COPY_SLOTS; i++)
		free(pass->slots[i].old);
	extents_free(&pass->map);
	pthread_cond_destroy(&pass->wanted);
	pthread_cond_destroy(&pass->received);
	pthread_mutex_destroy(&pass->lock);
}

static bool is_fresh(const struct pass *pass)
{
	for (uint64_t i = 0; i < pass->map.count; i++)
		if (pass->map.leaves[i])
			return false;
	return !pass->sink.block;
}

int pass_serve(struct stream *stream, struct outbox *outbox, const struct frame *open, copy_open_fn *open_volume,
	       void *context, struct vmm_error **err)
{
	struct pass pass;
	vmm_auto_free char *name = NULL;
	vmm_auto_close int fd = -1;
	uint64_t size;
	struct vmm_error *failure = NULL;
	pass_begin(&pass, outbox);
	if (open_unpack(open, &size, pass.key, &name, &failure) < 0 ||
	    (fd = open_volume(context, name, size, &failure)) < 0 ||
	    sink_begin(&pass.sink, fd, name, size, &failure) < 0 || extents_map(fd, size, &pass.map, &failure) < 0) {
		pass_fail(&pass, failure);
	} else {
		outbox_put(outbox, COPY_OPENED, is_fresh(&pass) ? COPY_IS_FRESH : 0, NULL, 0);
		run_threads(&pass, stream);
	}
	failure = pass.failure;
	pass_end(&pass);
	if (!failure)
		return 0;
	error_take(err, failure);
	return -1;
}
