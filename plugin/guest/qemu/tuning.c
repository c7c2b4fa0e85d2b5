/* tuning.c: how a live migration is tuned while it runs: the downtime that QEMU may use, and the bandwidth. */
#include "qemu.h"

/* ------------------------------------------------------------------ convergence */

enum {
	FIRST_DOWNTIME_MS = 100,
	DEFAULT_DOWNTIME_MS = 500,
	FIRST_ITERATIONS = 3,	 /* which the first downtime is for */
	RAISING_ITERATIONS = 10, /* the iterations after those, in which it is raised to its maximum */
	/* QEMU's auto-converge slows the guest by 20 %, then by 10 % more, up to 99 %, each time that it has seen too
	 * many writes in two periods; a period is a second or an iteration, whichever is longer. That makes eighteen
	 * periods, within which the migration may still converge: it is not given up earlier. */
	STALL_ITERATIONS = 20,
	STALL_MS = 20000,
	LINK_LOST_MS = 150000,
};

void converge_begin(struct converge *state, int64_t max_downtime_ms, int64_t now_ms)
{
	int64_t maximum = max_downtime_ms > 0 ? max_downtime_ms : DEFAULT_DOWNTIME_MS;
	*state = (struct converge){
		.max_downtime_ms = maximum,
		.downtime_ms = maximum < FIRST_DOWNTIME_MS ? maximum : FIRST_DOWNTIME_MS,
		.least = UINT64_MAX,
		.last_crossed_ms = now_ms,
		.last_gain_ms = now_ms,
	};
}

static int64_t downtime_for(const struct converge *state, int iteration)
{
	int steps = iteration - FIRST_ITERATIONS;
	if (state->max_downtime_ms <= FIRST_DOWNTIME_MS || steps <= 0)
		return state->downtime_ms;
	if (steps >= RAISING_ITERATIONS)
		return state->max_downtime_ms;
	return FIRST_DOWNTIME_MS + (state->max_downtime_ms - FIRST_DOWNTIME_MS) * steps / RAISING_ITERATIONS;
}

/* A gain is an iteration with less than nine tenths of the least bytes so far: smaller differences come by chance. */
static void count_iterations(struct converge *state, const struct converge_sample *sample)
{
	if (sample->remaining < state->least / 10 * 9) {
		state->least = sample->remaining;
		state->stalled_iterations = 0;
		state->last_gain_ms = sample->now_ms;
	} else {
		state->stalled_iterations += sample->iteration - state->iteration;
	}
}

/* QEMU counts a page that is written several times in an iteration once. So the dirty rate of a guest that rewrites
 * the same memory all the time is a little below the link's rate. Auto-converge slows a guest from half of the link's
 * rate on; the same threshold is used here. */
static bool is_stalled(const struct converge *state, const struct converge_sample *sample)
{
	return state->stalled_iterations >= STALL_ITERATIONS && sample->now_ms - state->last_gain_ms >= STALL_MS &&
	       sample->dirty_rate >= sample->rate / 2;
}

enum converge_advice converge_look(struct converge *state, const struct converge_sample *sample)
{
	enum converge_advice advice = CONVERGE_WAIT;
	if (sample->processed != state->processed) {
		state->processed = sample->processed;
		state->last_crossed_ms = sample->now_ms;
	} else if (sample->now_ms - state->last_crossed_ms >= LINK_LOST_MS) {
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
		advice = CONVERGE_RAISE_DOWNTIME;
	}
	state->iteration = sample->iteration;
	return advice;
}

/* ------------------------------------------------------------------ bandwidth */

enum { MIB = 1 << 20, MAKE_UP_MS = 1000 /* how much unused time is made up for */ };

unsigned long bandwidth_first(const struct bandwidth *bandwidth)
{
	return (unsigned long)((bandwidth->limit + MIB - 1) / MIB);
}

unsigned long bandwidth_next(struct bandwidth *bandwidth, uint64_t bytes, int64_t now_ms)
{
	unsigned long above = bandwidth_first(bandwidth), below = (unsigned long)(bandwidth->limit / MIB);
	if (above == below || !below)
		return above;
	int64_t ms = now_ms - bandwidth->from_ms;
	uint64_t crossed = bytes - bandwidth->from_bytes, allowed = bandwidth->limit * (uint64_t)ms / 1000;
	if (!bandwidth->from_ms || allowed > crossed + bandwidth->limit * MAKE_UP_MS / 1000) {
		bandwidth->from_bytes = bytes;
		bandwidth->from_ms = now_ms;
		return above;
	}
	return crossed < allowed ? above : below;
}
