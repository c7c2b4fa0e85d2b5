/* rate-limit.c: the rate limit of a push, over all its sessions together. */
#include <time.h>

#include "source.h"

enum {
	CHUNKS_PER_SECOND = 20,
	/* Time in which less was sent than allowed may be made up for later, up to this: it stays below a twentieth of
	 * a period of 10 s. */
	CREDIT_US = 400000,
	SLEEP_US = 20000,
};

void rate_limit_begin(struct rate_limit *limit, uint64_t rate)
{
	*limit = (struct rate_limit){.rate = rate, .next_us = clock_steady_us()};
	pthread_mutex_init(&limit->lock, NULL);
}

void rate_limit_end(struct rate_limit *limit)
{
	pthread_mutex_destroy(&limit->lock);
}

size_t rate_limit_chunk(const struct rate_limit *limit)
{
	uint64_t chunk = limit->rate / CHUNKS_PER_SECOND;
	return !limit->rate || chunk > COPY_RUN ? COPY_RUN : chunk < 512 ? 512 : chunk;
}

void rate_limit_wait(struct rate_limit *limit, size_t length, const atomic_bool *stop)
{
	if (!limit->rate)
		return;
	pthread_mutex_lock(&limit->lock);
	int64_t now = clock_steady_us();
	if (limit->next_us < now - CREDIT_US)
		limit->next_us = now - CREDIT_US;
	int64_t mine = limit->next_us;
	limit->next_us += (int64_t)((double)length * 1e6 / (double)limit->rate);
	pthread_mutex_unlock(&limit->lock);
	while (!*stop && (now = clock_steady_us()) < mine) {
		int64_t us = mine - now < SLEEP_US ? mine - now : SLEEP_US;
		nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
	}
}
