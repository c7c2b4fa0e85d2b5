/* How a live migration is tuned: when it is allowed more downtime, when it is given up because it does not converge
 * or its link is lost, and how a bandwidth limit is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "guest/qemu/qemu.h"

enum { MIB = 1 << 20, LOOK_MS = 200 };

/* ------------------------------------------------------------------ convergence */

/* A guest that writes `dirty` MiB a second to a working set of `set` MiB, over a link of `rate` MiB a second: one
 * look at the beginning of each iteration but the first. Returns the first advice that ends the migration and its
 * iteration, or CONVERGE_WAIT where QEMU would end it. */
static enum converge_advice run(struct converge *state, int dirty, int rate, int set, int *iteration)
{
	struct converge_sample sample = {.rate = (uint64_t)rate * MIB, .dirty_rate = (uint64_t)dirty * MIB};
	double now_ms = 1000, left = set;
	for (sample.iteration = 2; sample.iteration < 1000; sample.iteration++) {
		sample.now_ms = (int64_t)now_ms;
		sample.remaining = (uint64_t)(left * MIB);
		enum converge_advice advice = converge_look(state, &sample);
		*iteration = sample.iteration;
		if (advice == CONVERGE_STALLED || advice == CONVERGE_LINK_LOST)
			return advice;
		if (left / rate * 1000 < (double)state->downtime_ms)
			return CONVERGE_WAIT; /* QEMU would stop the guest for the rest */
		now_ms += left / rate * 1000;
		sample.processed += sample.remaining;
		left = left * dirty / rate < set ? left * dirty / rate : set;
	}
	fail_msg("1000 iterations without an end or an advice");
	return CONVERGE_WAIT;
}

static void downtime_begins_low_and_rises_to_its_maximum_only(void **unused)
{
	(void)unused;
	struct converge state;
	converge_begin(&state, 600, 0);
	assert_int_equal(state.downtime_ms, 100);
	int64_t before = state.downtime_ms;
	for (int i = 1; i <= 40; i++) {
		const struct converge_sample sample = {
			.now_ms = i, .iteration = i, .processed = (uint64_t)i, .remaining = 1, .rate = 1};
		enum converge_advice advice = converge_look(&state, &sample);
		assert_int_equal(advice, state.downtime_ms > before ? CONVERGE_RAISE_DOWNTIME : CONVERGE_WAIT);
		assert_true(state.downtime_ms >= before && state.downtime_ms <= 600);
		assert_true(i > 3 || state.downtime_ms == 100);
		before = state.downtime_ms;
	}
	assert_int_equal(before, 600);
}

static void a_limit_below_the_first_downtime_is_kept(void **unused)
{
	(void)unused;
	struct converge state;
	int iteration;
	converge_begin(&state, 30, 0);
	assert_int_equal(state.downtime_ms, 30);
	assert_int_equal(run(&state, 200, 100, 64, &iteration), CONVERGE_STALLED);
	assert_int_equal(state.downtime_ms, 30);
}

static void a_guest_that_writes_slower_than_the_link_is_never_given_up(void **unused)
{
	(void)unused;
	static const int dirty[] = {0, 10, 50, 90, 99};
	for (size_t i = 0; i < VMM_COUNT(dirty); i++) {
		struct converge state;
		int iteration;
		converge_begin(&state, 0, 0);
		assert_int_equal(run(&state, dirty[i], 100, 8192, &iteration), CONVERGE_WAIT);
	}
}

static void a_guest_that_writes_faster_is_given_up_after_auto_converge_had_its_time(void **unused)
{
	(void)unused;
	struct converge state;
	int iteration;
	converge_begin(&state, 0, 0);
	assert_int_equal(run(&state, 101, 100, 1024, &iteration), CONVERGE_STALLED);
	assert_true(iteration >= 13 + 20);
	assert_true(iteration < 13 + 40);
}

static void short_iterations_are_given_the_same_time(void **unused)
{
	(void)unused;
	struct converge state;
	int iteration;
	converge_begin(&state, 50, 0); /* iterations of 60 ms: twenty of them take little more than a second */
	assert_int_equal(run(&state, 1000, 1000, 60, &iteration), CONVERGE_STALLED);
	assert_true(iteration * 60 >= 20000);
}

static void the_same_iteration_seen_again_changes_nothing(void **unused)
{
	(void)unused;
	struct converge state;
	converge_begin(&state, 0, 0);
	struct converge_sample sample = {.iteration = 50, .remaining = MIB, .rate = 1, .dirty_rate = 2};
	converge_look(&state, &sample);
	for (int i = 0; i < 10000; i++) {
		sample.now_ms += 200;
		sample.processed++;
		assert_int_equal(converge_look(&state, &sample), CONVERGE_WAIT);
	}
}

static void a_link_is_lost_when_nothing_crosses_for_150_seconds(void **unused)
{
	(void)unused;
	struct converge state;
	converge_begin(&state, 0, 1000);
	struct converge_sample sample = {.now_ms = 140000, .iteration = 1, .processed = 5, .remaining = MIB, .rate = 1};
	assert_int_equal(converge_look(&state, &sample), CONVERGE_WAIT);
	sample.now_ms = 140000 + 149999;
	assert_int_equal(converge_look(&state, &sample), CONVERGE_WAIT);
	sample.now_ms = 140000 + 150000;
	assert_int_equal(converge_look(&state, &sample), CONVERGE_LINK_LOST);
	sample.processed = 6;
	assert_int_equal(converge_look(&state, &sample), CONVERGE_WAIT);
}

/* ------------------------------------------------------------------ bandwidth */

/* Bytes that cross in so many seconds over a link that carries `link` MiB a second, where the advice is followed. */
static uint64_t cross(struct bandwidth *bandwidth, uint64_t *bytes, int64_t *now_ms, int seconds, unsigned long link)
{
	uint64_t before = *bytes;
	for (int i = 0; i < seconds * 1000 / LOOK_MS; i++) {
		unsigned long allowed = bandwidth_next(bandwidth, *bytes, *now_ms);
		*bytes += (uint64_t)(allowed < link ? allowed : link) * MIB * LOOK_MS / 1000;
		*now_ms += LOOK_MS;
	}
	return *bytes - before;
}

static void assert_kept(uint64_t limit)
{
	struct bandwidth bandwidth = {.limit = limit};
	uint64_t bytes = 123456;
	int64_t now_ms = 5000;
	double rate = (double)cross(&bandwidth, &bytes, &now_ms, 10, 1000) / 10;
	assert_in_range(rate / (double)limit * 1000, 980, 1020);
}

static void a_limit_between_two_mib_is_kept_within_two_percent(void **unused)
{
	(void)unused;
	for (uint64_t limit = MIB + 1; limit < 12 * MIB; limit += 100000)
		assert_kept(limit);
}

static void a_whole_mib_stays_as_it_is_and_less_than_one_is_one(void **unused)
{
	(void)unused;
	struct bandwidth whole = {.limit = 7 * MIB}, small = {.limit = 1000}, none = {0};
	assert_int_equal(bandwidth_first(&whole), 7);
	assert_int_equal(bandwidth_first(&small), 1);
	assert_int_equal(bandwidth_first(&none), 0);
	for (int i = 1; i < 50; i++) {
		assert_int_equal(bandwidth_next(&whole, (uint64_t)i, i * LOOK_MS), 7);
		assert_int_equal(bandwidth_next(&small, (uint64_t)i, i * LOOK_MS), 1);
		assert_int_equal(bandwidth_next(&none, (uint64_t)i, i * LOOK_MS), 0);
	}
}

static void what_a_slow_link_has_left_unused_is_not_made_up_for(void **unused)
{
	(void)unused;
	struct bandwidth bandwidth = {.limit = 5 * MIB / 2};
	uint64_t bytes = 0;
	int64_t now_ms = 5000;
	cross(&bandwidth, &bytes, &now_ms, 60, 1);
	double rate = (double)cross(&bandwidth, &bytes, &now_ms, 20, 1000) / 20;
	assert_in_range(rate / (double)bandwidth.limit * 1000, 980, 1070);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(downtime_begins_low_and_rises_to_its_maximum_only),
		cmocka_unit_test(a_limit_below_the_first_downtime_is_kept),
		cmocka_unit_test(a_guest_that_writes_slower_than_the_link_is_never_given_up),
		cmocka_unit_test(a_guest_that_writes_faster_is_given_up_after_auto_converge_had_its_time),
		cmocka_unit_test(short_iterations_are_given_the_same_time),
		cmocka_unit_test(the_same_iteration_seen_again_changes_nothing),
		cmocka_unit_test(a_link_is_lost_when_nothing_crosses_for_150_seconds),
		cmocka_unit_test(a_limit_between_two_mib_is_kept_within_two_percent),
		cmocka_unit_test(a_whole_mib_stays_as_it_is_and_less_than_one_is_one),
		cmocka_unit_test(what_a_slow_link_has_left_unused_is_not_made_up_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
