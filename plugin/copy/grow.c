/* grow.c: whether a push gains by one more session. */
#include <unistd.h>

#include "parts.h"

enum {
	SAMPLE = 32 << 20, /* bytes that tell how fast it goes */
	WORTH = 128 << 20, /* with less to come, opening one takes longer than it saves */
};

/* The least by which the newest has to have raised the rate for another to be opened. */
#define GAIN 1.1

size_t growth_most(size_t count)
{
	enum { LEAST = 2, MOST = 4 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t most = cores < LEAST ? LEAST : cores > MOST ? MOST : (size_t)cores;
	return count > most ? count : most;
}

void growth_mark(struct growth *growth, uint64_t wire, int64_t now_us)
{
	growth->mark = wire;
	growth->since_us = now_us;
}

bool growth_pays(struct growth *growth, uint64_t wire, uint64_t to_cross, int64_t now_us)
{
	uint64_t crossed = wire - growth->mark;
	int64_t us = now_us - growth->since_us;
	if (growth->over || crossed < SAMPLE || us <= 0 || to_cross < WORTH)
		return false;
	double rate = (double)crossed * 1e6 / (double)us;
	growth->over = rate < growth->before * GAIN;
	growth->before = rate;
	return !growth->over;
}
