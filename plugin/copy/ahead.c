/* ahead.c: scans an extent while the one before is being sent - reading and tagging are one core's work, the cipher another's. */
#include "parts.h"

static void *ahead_run(void *argument)
{
	struct ahead *ahead = argument;
	pthread_mutex_lock(&ahead->lock);
	for (;;) {
		while (!ahead->asked && !ahead->over)
			pthread_cond_wait(&ahead->changed, &ahead->lock);
		if (ahead->over)
			break;
		pthread_mutex_unlock(&ahead->lock);
		scan_extent(&ahead->scan, ahead->extent, ahead->keep, &ahead->tags, &ahead->failure);
		scan_ahead(&ahead->scan, ahead->extent + 1);
		pthread_mutex_lock(&ahead->lock);
		ahead->asked = false;
		pthread_cond_signal(&ahead->changed);
	}
	pthread_mutex_unlock(&ahead->lock);
	return NULL;
}

int ahead_begin(struct ahead *ahead, int fd, const struct extents *map, const uint8_t key[COPY_KEY],
		struct vmm_error **err)
{
	*ahead = (struct ahead){.extent = AHEAD_NONE};
	scan_begin(&ahead->scan, fd, map, key);
	pthread_mutex_init(&ahead->lock, NULL);
	pthread_cond_init(&ahead->changed, NULL);
	int number = pthread_create(&ahead->thread, NULL, ahead_run, ahead);
	if (!number)
		return 0;
	ahead->over = true;
	ahead_end(ahead);
	return error_errno(err, number, "starting a thread");
}

void ahead_end(struct ahead *ahead)
{
	bool runs = !ahead->over;
	pthread_mutex_lock(&ahead->lock);
	ahead->over = true;
	pthread_cond_signal(&ahead->changed);
	pthread_mutex_unlock(&ahead->lock);
	if (runs)
		pthread_join(ahead->thread, NULL);
	pthread_cond_destroy(&ahead->changed);
	pthread_mutex_destroy(&ahead->lock);
	scan_end(&ahead->scan);
	free(ahead->data);
	error_clear(&ahead->failure);
}

void ahead_ask(struct ahead *ahead, uint64_t extent, bool keep)
{
	pthread_mutex_lock(&ahead->lock);
	ahead->extent = extent;
	ahead->keep = keep;
	ahead->asked = true;
	pthread_cond_signal(&ahead->changed);
	pthread_mutex_unlock(&ahead->lock);
}

int ahead_take(struct ahead *ahead, struct extent_tags *tags, struct vmm_error **err)
{
	pthread_mutex_lock(&ahead->lock);
	while (ahead->asked)
		pthread_cond_wait(&ahead->changed, &ahead->lock);
	pthread_mutex_unlock(&ahead->lock);
	if (ahead->failure) {
		error_take(err, ahead->failure);
		ahead->failure = NULL;
		return -1;
	}
	uint8_t *taken = ahead->scan.data;
	ahead->scan.data = ahead->data;
	ahead->data = taken;
	ahead->kept = ahead->keep;
	ahead->read = ahead->scan.read;
	*tags = ahead->tags;
	return 0;
}
