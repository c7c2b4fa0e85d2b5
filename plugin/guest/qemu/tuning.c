/* tuning.c: how a live migration is tuned while it runs: the downtime that QEMU may use, and the bandwidth. */
#include "qemu.h"

/* ------------------------------------------------------------------ convergence */

enum {
	FIRST_DOWNTIME_MS = 100,
	DEFAULT_DOWNTIME_MS = 500,
	PATIENT_ITERATIONS = 3,	 /* which have to make do with the first downtime */
	RAISING_ITERATIONS = 10, /* in which it is raised to its most */
	/* QEMU's auto-converge slows the guest by 20 %, then 10 % more each time that it has seen too many writes in
	 * two periods of a second or an iteration, whichever is longer, up to 99 %: eighteen. Before that nothing is
	 * lost. */
	STALL_ITERATIONS = 20,
	STALL_MS = 20000,
	LINK_MS = 150000,
};

void converge_begin(struct converge *state, int64_t max_downtime_ms, int64_t now_ms)
{
	int64_t most = max_downtime_ms > 0 ? max_downtime_ms : DEFAULT_DOWNTIME_MS;
	*state = (struct converge){
		.max_downtime_ms = most,
		.downtime_ms = most < FIRST_DOWNTIME_MS ? most : FIRST_DOWNTIME_MS,
		.least = UINT64_MAX,
		.moved_ms = now_ms,
		.fruitful_ms = now_ms,
	};
}

static int64_t downtime_for(const struct converge *state, int iteration)
{
	int steps = iteration - PATIENT_ITERATIONS;
	if (state->max_downtime_ms <= FIRST_DOWNTIME_MS || steps <= 0)
		return state->downtime_ms;
	if (steps >= RAISING_ITERATIONS)
		return state->max_downtime_ms;
	return FIRST_DOWNTIME_MS + (state->max_downtime_ms - FIRST_DOWNTIME_MS) * steps / RAISING_ITERATIONS;
}

/* Less than nine tenths of the least so far counts as progress: smaller steps come and go by chance. */
static void count_iterations(struct converge *state, const struct converge_sample *sample)
{
	if (sample->remaining < state->least / 10 * 9) {
		state->least = sample->remaining;
		state->barren = 0;
		state->fruitful_ms = sample->now_ms;
	} else {
		state->barren += sample->iteration - state->iteration;
	}
}

/* QEMU counts a page that is written twice in an iteration once: a guest that rewrites the same memory all the time shows a little
 * less than the link carries. From half of that on auto-converge slows it. */
static bool is_stalled(const struct converge *state, const struct converge_sample *sample)
{
	return state->barren >= STALL_ITERATIONS && sample->now_ms - state->fruitful_ms >= STALL_MS &&
	       sample->dirty_rate >= sample->rate / 2;
}

enum converge_advice converge_look(struct converge *state, const struct converge_sample *sample)
{
	enum converge_advice advice = CONVERGE_WAIT;
	if (sample->processed != state->processed) {
		state->processed = sample->processed;
		state->moved_ms = sample->now_ms;
	} else if (sample->now_ms - state->moved_ms >= LINK_MS) {
		return CONVERGE_LINK_LOST;
	}
	if (sample->iteration <= state->iteration)
		return CONVERGE_WAIT;
	if (state->downtime_ms == state->max_downtime_ms)
		count_iterations(state, sample);
	if (is_stalled(state, sample))
		return CONVERGE_STALLED;
	int64_t downtime = downtime_for(state, sample->iteration);
	if (downtime > state->downtime_ms) {
		state->downtime_ms = downtime;
		advice = CONVERGE_ALLOW;
	}
	state->iteration = sample->iteration;
	return advice;
}

/* ------------------------------------------------------------------ bandwidth */

enum { MIB = 1 << 20, MAKE_UP_MS = 1000 };

unsigned long bandwidth_first(const struct bandwidth *speed)
{
	return (unsigned long)((speed->limit + MIB - 1) / MIB);
}

unsigned long bandwidth_next(struct bandwidth *speed, uint64_t bytes, int64_t now_ms)
{
	unsigned long above = bandwidth_first(speed), below = (unsigned long)(speed->limit / MIB);
	if (above == below || !below)
		return above;
	int64_t ms = now_ms - speed->from_ms;
	uint64_t moved = bytes - speed->from_bytes, may = speed->limit * (uint64_t)ms / 1000;
	if (!speed->from_ms || may > moved + speed->limit * MAKE_UP_MS / 1000) {
		speed->from_bytes = bytes;
		speed->from_ms = now_ms;
		return above;
	}
	return moved < may ? above : below;
}
