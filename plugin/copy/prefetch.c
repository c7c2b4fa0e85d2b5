/* prefetch.c: reads and tags an extent while the one before is sent: reading and tagging keep one core busy, the
 * encryption of the session another. */
#include "source.h"

static void *prefetch_run(void *argument)
{
	struct prefetch *p = argument;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->requested && !p->closing)
			pthread_cond_wait(&p->changed, &p->lock);
		if (p->closing)
			break;
		pthread_mutex_unlock(&p->lock);
		scan_extent(&p->scan, p->extent, p->keep, &p->tags, &p->failure);
		scan_readahead(&p->scan, p->extent + 1);
		pthread_mutex_lock(&p->lock);
		p->requested = false;
		pthread_cond_signal(&p->changed);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int prefetch_begin(struct prefetch *p, int fd, const struct leaf_map *map, const uint8_t key[COPY_KEY],
		   struct vmm_error **err)
{
	*p = (struct prefetch){.extent = PREFETCH_NONE};
	scan_begin(&p->scan, fd, map, key);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	int number = pthread_create(&p->thread, NULL, prefetch_run, p);
	if (!number)
		return 0;
	p->closing = true;
	prefetch_end(p);
	return error_errno(err, number, "starting a thread");
}

void prefetch_end(struct prefetch *p)
{
	bool has_thread = !p->closing; /* prefetch_begin sets it if there is none */
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (has_thread)
		pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	scan_end(&p->scan);
	free(p->data);
	error_clear(&p->failure);
}

void prefetch_request(struct prefetch *p, uint64_t extent, bool keep)
{
	pthread_mutex_lock(&p->lock);
	p->extent = extent;
	p->keep = keep;
	p->requested = true;
	pthread_cond_signal(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

int prefetch_wait(struct prefetch *p, struct extent_tags *tags, struct vmm_error **err)
{
	pthread_mutex_lock(&p->lock);
	while (p->requested)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	if (p->failure) {
		error_take(err, p->failure);
		p->failure = NULL;
		return -1;
	}
	/* Two buffers change places: the next extent is read into the one that was given last. */
	uint8_t *data = p->scan.data;
	p->scan.data = p->data;
	p->data = data;
	p->has_data = p->keep;
	p->read = p->scan.read;
	*tags = p->tags;
	return 0;
}
