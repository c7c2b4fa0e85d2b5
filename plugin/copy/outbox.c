/* outbox.c: one thread sends what the others have to say, so that none of them ever waits until the source reads. */
#include <errno.h>
#include <time.h>

#include "target.h"

enum { LOW_WATER = 64 << 10 };

struct message {
	struct message *next;
	uint8_t type, flags;
	size_t length;
	uint8_t data[];
};

struct outbox {
	struct stream *stream; /* borrowed */
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	struct message *first, **end;
	size_t queued; /* bytes */
	bool busy, closing, broken;
};

/* Waits for a message. NULL after FRAME_ALIVE_MS without one (*alive: the target is busy, so ALIVE is to be sent), and
 * if the outbox is closing. */
static struct message *next_message(struct outbox *outbox, bool *alive)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += FRAME_ALIVE_MS / 1000;
	*alive = false;
	pthread_mutex_lock(&outbox->lock);
	while (!outbox->first && !outbox->closing && !*alive)
		*alive = pthread_cond_timedwait(&outbox->changed, &outbox->lock, &until) == ETIMEDOUT;
	struct message *message = outbox->first;
	if (message) {
		outbox->first = message->next;
		if (!outbox->first)
			outbox->end = &outbox->first;
		outbox->queued -= message->length;
		pthread_cond_broadcast(&outbox->changed);
	}
	*alive = *alive && !message && outbox->busy;
	pthread_mutex_unlock(&outbox->lock);
	return message;
}

static bool is_over(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->lock);
	bool over = outbox->closing && !outbox->first;
	pthread_mutex_unlock(&outbox->lock);
	return over;
}

static void note_broken(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->lock);
	outbox->broken = true;
	pthread_cond_broadcast(&outbox->changed);
	pthread_mutex_unlock(&outbox->lock);
}

static void *outbox_run(void *argument)
{
	struct outbox *outbox = argument;
	bool broken = false;
	while (!is_over(outbox)) {
		bool alive;
		struct message *message = next_message(outbox, &alive);
		int sent = 0;
		/* Once the link is lost, messages are dropped: the receiving thread sees that as well. */
		if (message && !broken)
			sent = frame_send(outbox->stream, message->type, message->flags, message->data, message->length,
					  NULL);
		else if (alive && !broken)
			sent = frame_send(outbox->stream, FRAME_ALIVE, 0, NULL, 0, NULL);
		free(message);
		if (sent < 0 && !broken)
			note_broken(outbox);
		broken |= sent < 0;
	}
	return NULL;
}

int outbox_start(struct stream *stream, struct outbox **result, struct vmm_error **err)
{
	struct outbox *outbox = mem_zero(sizeof(*outbox));
	outbox->stream = stream;
	outbox->end = &outbox->first;
	pthread_mutex_init(&outbox->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&outbox->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	int number = pthread_create(&outbox->thread, NULL, outbox_run, outbox);
	if (number) {
		free(outbox);
		return error_errno(err, number, "starting a thread");
	}
	*result = outbox;
	return 0;
}

void outbox_put(struct outbox *outbox, uint8_t type, uint8_t flags, const void *data, size_t length)
{
	struct message *message = mem_zero(sizeof(*message) + length);
	message->type = type;
	message->flags = flags;
	message->length = length;
	if (length)
		memcpy(message->data, data, length);
	pthread_mutex_lock(&outbox->lock);
	*outbox->end = message;
	outbox->end = &message->next;
	outbox->queued += length;
	pthread_cond_broadcast(&outbox->changed);
	pthread_mutex_unlock(&outbox->lock);
}

void outbox_put_error(struct outbox *outbox, const struct vmm_error *failure)
{
	vmm_auto_json struct json_object *json = error_to_json(failure);
	const char *line = json_line(json);
	size_t length = strlen(line);
	if (length <= COPY_LIMIT_TO_SOURCE)
		outbox_put(outbox, COPY_ERROR, 0, line, length);
	else
		outbox_put(outbox, COPY_ERROR, 0, "{}", 2);
}

bool outbox_wait(struct outbox *outbox, const atomic_bool *stop)
{
	pthread_mutex_lock(&outbox->lock);
	while (outbox->queued > LOW_WATER && !outbox->broken && !(stop && *stop))
		pthread_cond_wait(&outbox->changed, &outbox->lock);
	bool good = !outbox->broken && !(stop && *stop);
	pthread_mutex_unlock(&outbox->lock);
	return good;
}

void outbox_wake(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->lock);
	pthread_cond_broadcast(&outbox->changed);
	pthread_mutex_unlock(&outbox->lock);
}

void outbox_set_busy(struct outbox *outbox, bool busy)
{
	pthread_mutex_lock(&outbox->lock);
	outbox->busy = busy;
	pthread_mutex_unlock(&outbox->lock);
}

void outbox_stop(struct outbox *outbox)
{
	pthread_mutex_lock(&outbox->lock);
	outbox->closing = true;
	pthread_cond_broadcast(&outbox->changed);
	pthread_mutex_unlock(&outbox->lock);
	pthread_join(outbox->thread, NULL);
	pthread_cond_destroy(&outbox->changed);
	pthread_mutex_destroy(&outbox->lock);
	free(outbox);
}
