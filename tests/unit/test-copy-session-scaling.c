/* A push opens further sessions only as long as each makes it faster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "copy/source.h"

enum { MIB = 1 << 20, SECOND_US = 1000000 };

static const uint64_t PLENTY = 1ull << 30;

static void the_first_32_MiB_open_a_second_session(void **state)
{
	(void)state;
	struct session_scaling scaling = {0};
	session_scaling_mark(&scaling, 0, 0);
	assert_false(session_scaling_pays(&scaling, 31 * MIB, PLENTY, false, SECOND_US));
	assert_true(session_scaling_pays(&scaling, 32 * MIB, PLENTY, false, SECOND_US));
}

static void a_session_that_made_it_faster_is_followed_by_another(void **state)
{
	(void)state;
	struct session_scaling scaling = {0};
	session_scaling_mark(&scaling, 0, 0);
	assert_true(session_scaling_pays(&scaling, 40 * MIB, PLENTY, false, SECOND_US));
	session_scaling_mark(&scaling, 50 * MIB, 2 * SECOND_US);
	assert_true(session_scaling_pays(&scaling, 110 * MIB, PLENTY, false, 3 * SECOND_US));
}

static void a_session_that_did_not_make_it_faster_is_the_last(void **state)
{
	(void)state;
	struct session_scaling scaling = {0};
	session_scaling_mark(&scaling, 0, 0);
	assert_true(session_scaling_pays(&scaling, 40 * MIB, PLENTY, false, SECOND_US));
	session_scaling_mark(&scaling, 50 * MIB, 2 * SECOND_US);
	assert_false(session_scaling_pays(&scaling, 92 * MIB, PLENTY, false, 3 * SECOND_US));
	assert_false(session_scaling_pays(&scaling, 900 * MIB, PLENTY, false, 4 * SECOND_US));
}

static void with_much_data_to_send_the_second_session_opens_at_once(void **state)
{
	(void)state;
	struct session_scaling scaling = {0};
	session_scaling_mark(&scaling, 0, 0);
	assert_false(session_scaling_pays(&scaling, 0, 255 * MIB, true, 0));
	assert_true(session_scaling_pays(&scaling, 0, 256 * MIB, true, 0));
	session_scaling_mark(&scaling, 10 * MIB, SECOND_US);
	assert_false(session_scaling_pays(&scaling, 20 * MIB, PLENTY, true, 2 * SECOND_US));
}

static void for_little_data_no_session_is_opened(void **state)
{
	(void)state;
	struct session_scaling scaling = {0};
	session_scaling_mark(&scaling, 0, 0);
	assert_false(session_scaling_pays(&scaling, 40 * MIB, 127 * MIB, false, SECOND_US));
	assert_true(session_scaling_pays(&scaling, 80 * MIB, 128 * MIB, false, 2 * SECOND_US));
}

static void volume_of(struct rig *rig, uint64_t data)
{
	rig_begin(rig, data);
	for (uint64_t at = 0; at < data; at += 4 * MIB)
		rig_fill(rig->source, at, 4 * MIB, at + 1);
	rig->can_open = true;
}

static void a_large_push_opens_a_session_and_arrives_whole(void **state)
{
	(void)state;
	struct rig rig;
	volume_of(&rig, 256 * MIB);
	rig.hold_after = 40 * MIB;
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_in_range(rig.opened, 2, RIG_SESSIONS);
	assert_in_range(rig.result.wire, 256 * MIB, 257 * MIB);
	rig_end(&rig);
}

static void a_new_session_that_is_lost_at_once_does_not_fail_the_push(void **state)
{
	(void)state;
	struct rig rig;
	volume_of(&rig, 256 * MIB);
	rig.can_open_lost = true;
	rig.hold_after = 40 * MIB;
	rig_push_well(&rig, NULL);
	assert_true(rig.lost);
	assert_true(rig_same(&rig));
	rig_end(&rig);
}

static void a_small_push_opens_none(void **state)
{
	(void)state;
	struct rig rig;
	volume_of(&rig, 64 * MIB);
	rig_push_well(&rig, NULL);
	assert_int_equal(rig.opened, 1);
	assert_true(rig_same(&rig));
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_32_MiB_open_a_second_session),
		cmocka_unit_test(a_session_that_made_it_faster_is_followed_by_another),
		cmocka_unit_test(a_session_that_did_not_make_it_faster_is_the_last),
		cmocka_unit_test(with_much_data_to_send_the_second_session_opens_at_once),
		cmocka_unit_test(for_little_data_no_session_is_opened),
		cmocka_unit_test(a_large_push_opens_a_session_and_arrives_whole),
		cmocka_unit_test(a_new_session_that_is_lost_at_once_does_not_fail_the_push),
		cmocka_unit_test(a_small_push_opens_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
