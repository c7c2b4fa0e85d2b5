/* receiver.c: the target's side of a push: receives, and runs the threads that apply and answer.
 *
 * The receiving thread only queues, so it is always ready to receive, however long the disk takes. */
#include <errno.h>
#include <sys/stat.h>

#include "target.h"

/* Ends the push with this error, which it frees, and tells the source. If it has failed before, that error stays. */
static void receiver_fail(struct receiver *receiver, struct vmm_error *failure)
{
	pthread_mutex_lock(&receiver->lock);
	receiver->failed = true;
	if (!receiver->failure) {
		receiver->failure = failure;
		outbox_put_error(receiver->outbox, failure);
		failure = NULL;
	}
	pthread_cond_signal(&receiver->received);
	pthread_cond_signal(&receiver->wanted);
	pthread_mutex_unlock(&receiver->lock);
	outbox_wake(receiver->outbox);
	error_clear(&failure);
}

/* Queues a frame and takes its payload; error "protocol-error" if the source has sent more than the window allows. */
static int queue_frame(struct receiver *receiver, struct frame *frame, struct vmm_error **err)
{
	uint64_t cost = window_cost(frame->length);
	struct queued_frame *queued = mem_zero(sizeof(*queued));
	queued->frame = *frame;
	pthread_mutex_lock(&receiver->lock);
	bool fits = receiver->queued + cost <= COPY_WINDOW;
	if (fits) {
		receiver->queued += cost;
		*receiver->end = queued;
		receiver->end = &queued->next;
		pthread_cond_signal(&receiver->received);
	}
	pthread_mutex_unlock(&receiver->lock);
	if (fits)
		return 0;
	frame_free(&queued->frame);
	free(queued);
	return protocol_error(err, "more than the window holds");
}

/* Receives up to the SYNC frame, or until the push has failed. */
static void receive_until_sync(struct receiver *receiver, struct stream *stream)
{
	struct vmm_error *failure = NULL;
	for (bool last = false; !last && !receiver->failed;) {
		struct frame frame;
		if (frame_receive(stream, COPY_LIMIT_TO_TARGET, -1, &frame, &failure) < 0)
			break;
		last = frame.type == COPY_SYNC;
		if (queue_frame(receiver, &frame, &failure) < 0)
			break;
	}
	if (failure)
		receiver_fail(receiver, failure);
	pthread_mutex_lock(&receiver->lock);
	receiver->complete = true;
	pthread_cond_signal(&receiver->received);
	pthread_mutex_unlock(&receiver->lock);
}

/* ------------------------------------------------------------------ the two threads */

/* Waits for a frame and takes it out of the queue. NULL if there will be no more, or the push has failed. */
static struct queued_frame *next_frame(struct receiver *receiver)
{
	pthread_mutex_lock(&receiver->lock);
	while (!receiver->first && !receiver->complete && !receiver->failed)
		pthread_cond_wait(&receiver->received, &receiver->lock);
	struct queued_frame *queued = receiver->failed ? NULL : receiver->first;
	if (queued) {
		receiver->first = queued->next;
		if (!receiver->first)
			receiver->end = &receiver->first;
		receiver->queued -= window_cost(queued->frame.length);
	}
	pthread_mutex_unlock(&receiver->lock);
	return queued;
}

static void *run_apply(void *argument)
{
	struct receiver *receiver = argument;
	struct apply apply;
	apply_begin(&apply, receiver);
	for (struct queued_frame *queued; (queued = next_frame(receiver));) {
		struct vmm_error *failure = NULL;
		if (apply_frame(&apply, &queued->frame, &failure) < 0)
			receiver_fail(receiver, failure);
		frame_free(&queued->frame);
		free(queued);
	}
	pthread_mutex_lock(&receiver->lock);
	receiver->applied = true;
	pthread_cond_signal(&receiver->wanted);
	pthread_mutex_unlock(&receiver->lock);
	apply_end(&apply);
	return NULL;
}

static void *run_answer(void *argument)
{
	struct receiver *receiver = argument;
	struct answer answer;
	struct vmm_error *failure = NULL;
	int answered;
	answer_begin(&answer, receiver);
	while ((answered = answer_next(&answer, &failure)) > 0)
		;
	if (answered < 0)
		receiver_fail(receiver, failure);
	answer_end(&answer);
	return NULL;
}

/* Runs both threads and receives meanwhile; when it returns both have ended. */
static void run_threads(struct receiver *receiver, struct stream *stream)
{
	pthread_t apply, answer;
	bool applying = false, answering = !pthread_create(&answer, NULL, run_answer, receiver);
	if (answering)
		applying = !pthread_create(&apply, NULL, run_apply, receiver);
	if (applying) {
		receive_until_sync(receiver, stream);
		pthread_join(apply, NULL);
	} else {
		struct vmm_error *failure = NULL;
		error_set(&failure, VMM_FAILED, "system", "a thread cannot be started");
		receiver_fail(receiver, failure);
	}
	if (answering)
		pthread_join(answer, NULL);
}

/* ------------------------------------------------------------------ a push */

static void receiver_begin(struct receiver *receiver, struct outbox *outbox)
{
	*receiver = (struct receiver){.outbox = outbox, .end = &receiver->first};
	pthread_mutex_init(&receiver->lock, NULL);
	pthread_cond_init(&receiver->received, NULL);
	pthread_cond_init(&receiver->wanted, NULL);
}

static void receiver_end(struct receiver *receiver)
{
	for (struct queued_frame *next; receiver->first; receiver->first = next) {
		next = receiver->first->next;
		frame_free(&receiver->first->frame);
		free(receiver->first);
	}
	for (size_t i = 0; i < COPY_SLOTS; i++)
		free(receiver->slots[i].old);
	leaf_map_free(&receiver->map);
	pthread_cond_destroy(&receiver->wanted);
	pthread_cond_destroy(&receiver->received);
	pthread_mutex_destroy(&receiver->lock);
}

/* A block device never counts as empty: all of it may hold data. */
static bool is_empty(const struct receiver *receiver)
{
	for (uint64_t i = 0; i < receiver->map.count; i++)
		if (receiver->map.bits[i])
			return false;
	return !receiver->sink.block;
}

int receiver_serve(struct stream *stream, struct outbox *outbox, const struct frame *open, copy_open_fn *open_volume,
		   void *context, struct vmm_error **err)
{
	struct receiver receiver;
	vmm_auto_free char *name = NULL;
	vmm_auto_close int fd = -1;
	uint64_t size;
	struct vmm_error *failure = NULL;
	receiver_begin(&receiver, outbox);
	if (open_unpack(open, &size, receiver.key, &name, &failure) < 0 ||
	    (fd = open_volume(context, name, size, &failure)) < 0 ||
	    sink_begin(&receiver.sink, fd, name, size, &failure) < 0 ||
	    leaf_map_read(fd, size, &receiver.map, &failure) < 0) {
		receiver_fail(&receiver, failure);
	} else {
		outbox_put(outbox, COPY_OPENED, is_empty(&receiver) ? COPY_IS_EMPTY : 0, NULL, 0);
		run_threads(&receiver, stream);
	}
	failure = receiver.failure;
	receiver_end(&receiver);
	if (!failure)
		return 0;
	error_take(err, failure);
	return -1;
}
