/* pace.c: no more bytes a second than the administrator allows, over all sessions together. */
#include <time.h>

#include "parts.h"

enum {
	PIECES_A_SECOND = 20,
	LATE_US = 400000, /* what was lost to waiting elsewhere is made good up to that: no twentieth of 10 s */
	NAP_US = 20000,
};

int64_t steady_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void pace_begin(struct pace *pace, uint64_t rate)
{
	*pace = (struct pace){.rate = rate, .free_us = steady_us()};
	pthread_mutex_init(&pace->lock, NULL);
}

void pace_end(struct pace *pace)
{
	pthread_mutex_destroy(&pace->lock);
}

size_t pace_piece(const struct pace *pace)
{
	uint64_t piece = pace->rate / PIECES_A_SECOND;
	return !pace->rate || piece > COPY_RUN ? COPY_RUN : piece < 512 ? 512 : piece;
}

void pace_take(struct pace *pace, size_t length, const atomic_bool *stop)
{
	if (!pace->rate)
		return;
	pthread_mutex_lock(&pace->lock);
	int64_t now = steady_us();
	if (pace->free_us < now - LATE_US)
		pace->free_us = now - LATE_US;
	int64_t mine = pace->free_us;
	pace->free_us += (int64_t)((double)length * 1e6 / (double)pace->rate);
	pthread_mutex_unlock(&pace->lock);
	while (!*stop && (now = steady_us()) < mine) {
		int64_t nap = mine - now < NAP_US ? mine - now : NAP_US;
		nanosleep(&(struct timespec){.tv_nsec = (long)nap * 1000}, NULL);
	}
}
