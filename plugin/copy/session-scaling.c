/* session-scaling.c: decides whether a push opens one more session. */
#include <unistd.h>

#include "source.h"

enum {
	SAMPLE = 32 << 20,    /* bytes after which the rate is known */
	WORTH_IT = 128 << 20, /* with fewer bytes still to send, opening a session takes longer than it saves */
	AT_ONCE = 256 << 20,  /* with so many the second session is opened before any rate is known */
};

/* The newest session must have raised the rate by this factor, or no other is opened. */
#define GAIN 1.1

size_t session_scaling_limit(size_t count)
{
	enum { LEAST = 2, MOST = 4 };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t most = cores < LEAST ? LEAST : cores > MOST ? MOST : (size_t)cores;
	return count > most ? count : most;
}

void session_scaling_mark(struct session_scaling *scaling, uint64_t wire, int64_t now_us)
{
	scaling->wire_at_start = wire;
	scaling->started_us = now_us;
}

bool session_scaling_pays(struct session_scaling *scaling, uint64_t wire, uint64_t to_send, bool is_exact,
			  int64_t now_us)
{
	uint64_t sent = wire - scaling->wire_at_start;
	int64_t us = now_us - scaling->started_us;
	bool at_once = is_exact && to_send >= AT_ONCE && !scaling->opened_one;
	if (scaling->is_over || to_send < WORTH_IT || (!at_once && (sent < SAMPLE || us <= 0)))
		return false;
	double rate = us > 0 ? (double)sent * 1e6 / (double)us : 0;
	scaling->is_over = rate < scaling->rate_before * GAIN;
	scaling->rate_before = at_once ? 0 : rate;
	scaling->opened_one = true;
	return !scaling->is_over;
}
