/* grow.c: whether a push gains by one more session. */
#include <unistd.h>

#include "parts.h"

enum {
	SAMPLE = 32 << 20,  /* bytes that tell how fast it goes */
	WORTH = 128 << 20,  /* with less to come, opening one takes longer than it saves */
	PLENTY = 256 << 20, /* with so much a second is opened before anything is known */
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

bool growth_pays(struct growth *growth, uint64_t wire, uint64_t to_cross, bool certain, int64_t now_us)
{
	uint64_t crossed = wire - growth->mark;
	int64_t us = now_us - growth->since_us;
	bool at_once = certain && to_cross >= PLENTY && !growth->begun;
	if (growth->over || to_cross < WORTH || (!at_once && (crossed < SAMPLE || us <= 0)))
		return false;
	double rate = us > 0 ? (double)crossed * 1e6 / (double)us : 0;
	growth->over = rate < growth->before * GAIN;
	growth->before = at_once ? 0 : rate;
	growth->begun = true;
	return !growth->over;
}
