/* A limit that is no whole number of MiB is kept all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "guest/qemu/speed.h"

enum { MIB = 1 << 20, LOOK_MS = 200 };

/* Bytes that cross in so many seconds over a link of so many MiB a second, which obeys. */
static uint64_t cross(struct speed *speed, uint64_t *bytes, int64_t *now_ms, int seconds, unsigned long link)
{
	uint64_t before = *bytes;
	for (int i = 0; i < seconds * 1000 / LOOK_MS; i++) {
		unsigned long allowed = speed_next(speed, *bytes, *now_ms);
		*bytes += (uint64_t)(allowed < link ? allowed : link) * MIB * LOOK_MS / 1000;
		*now_ms += LOOK_MS;
	}
	return *bytes - before;
}

static void assert_kept(uint64_t limit)
{
	struct speed speed = {.limit = limit};
	uint64_t bytes = 123456;
	int64_t now_ms = 5000;
	double rate = (double)cross(&speed, &bytes, &now_ms, 10, 1000) / 10;
	assert_in_range(rate / (double)limit * 1000, 980, 1020);
}

static void a_limit_between_two_mib_is_kept_within_two_percent(void **state)
{
	(void)state;
	for (uint64_t limit = MIB + 1; limit < 12 * MIB; limit += 100000)
		assert_kept(limit);
}

static void a_whole_mib_stays_as_it_is_and_less_than_one_is_one(void **state)
{
	(void)state;
	struct speed whole = {.limit = 7 * MIB}, small = {.limit = 1000}, none = {0};
	assert_int_equal(speed_first(&whole), 7);
	assert_int_equal(speed_first(&small), 1);
	assert_int_equal(speed_first(&none), 0);
	for (int i = 1; i < 50; i++) {
		assert_int_equal(speed_next(&whole, (uint64_t)i, i * LOOK_MS), 7);
		assert_int_equal(speed_next(&small, (uint64_t)i, i * LOOK_MS), 1);
		assert_int_equal(speed_next(&none, (uint64_t)i, i * LOOK_MS), 0);
	}
}

static void what_a_slow_link_has_left_unused_is_not_made_up_for(void **state)
{
	(void)state;
	struct speed speed = {.limit = 5 * MIB / 2};
	uint64_t bytes = 0;
	int64_t now_ms = 5000;
	cross(&speed, &bytes, &now_ms, 60, 1);
	double rate = (double)cross(&speed, &bytes, &now_ms, 20, 1000) / 20;
	assert_in_range(rate / (double)speed.limit * 1000, 980, 1070);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_limit_between_two_mib_is_kept_within_two_percent),
		cmocka_unit_test(a_whole_mib_stays_as_it_is_and_less_than_one_is_one),
		cmocka_unit_test(what_a_slow_link_has_left_unused_is_not_made_up_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
