/* What a push promises: the same bytes, as sparse, and no more on the wire than what changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "copy-rig.h"

enum { MIB = 1 << 20 };

/* An ext4 file needs a few blocks more for its extent tree. */
static void assert_as_sparse(int fd)
{
	assert_in_range(rig_allocated(fd), 0, rig_needed(fd) + 8 * 4096);
}

/* 64 MiB with 16 MiB of data in pieces, and 1 MiB of zeros that occupy storage. */
static void sparse_volume(struct rig *rig)
{
	rig_begin(rig, 64 * MIB + 12345);
	for (unsigned i = 0; i < 16; i++)
		rig_fill(rig->source, (uint64_t)i * 4 * MIB + i * 8192, MIB, i + 1);
	rig_zeros(rig->source, 50 * MIB, MIB);
	rig_fill(rig->source, 64 * MIB + 12000, 345, 99);
}

static void a_first_copy_is_identical_and_as_sparse_with_one_session_and_three(void **state)
{
	(void)state;
	for (size_t sessions = 1; sessions <= 3; sessions += 2) {
		struct rig rig;
		struct copy_leaves leaves = {0};
		sparse_volume(&rig);
		rig.sessions = sessions;
		rig_push_well(&rig, &leaves);
		assert_true(rig_same(&rig));
		assert_as_sparse(rig.target);
		assert_int_equal(rig.result.done, rig.size);
		assert_int_equal(rig.result.total, rig.size);
		assert_in_range(rig.result.wire, 16 * MIB, 17 * MIB);
		assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
		copy_leaves_free(&leaves);
		rig_end(&rig);
	}
}

static void what_the_target_already_has_is_not_sent(void **state)
{
	(void)state;
	for (size_t sessions = 1; sessions <= 3; sessions += 2) {
		struct rig rig;
		sparse_volume(&rig);
		rig_push_well(&rig, NULL);
		rig.sessions = sessions;
		rig_push_well(&rig, NULL);
		assert_true(rig_same(&rig));
		assert_in_range(rig.result.wire, 0, 16 * MIB / 100);
		assert_in_range(rig.result.present, 16 * MIB, 20 * MIB);
		rig_end(&rig);
	}
}

static void a_few_changes_send_about_their_size(void **state)
{
	(void)state;
	struct rig rig;
	rig_begin(&rig, 64 * MIB);
	rig_fill(rig.source, 0, 64 * MIB, 1);
	rig_push_well(&rig, NULL);
	for (unsigned i = 0; i < 32; i++) /* 2 MiB in clusters */
		rig_fill(rig.source, (uint64_t)i * 2 * MIB + 5 * 4096, 64 << 10, 100 + i);
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_in_range(rig.result.wire, 2 * MIB, 3 * MIB);
	rig_end(&rig);
}

static void single_blocks_in_a_leaf_send_little_more_than_themselves(void **state)
{
	(void)state;
	struct rig rig;
	rig_begin(&rig, 32 * MIB);
	rig_fill(rig.source, 0, 32 * MIB, 1);
	rig_push_well(&rig, NULL);
	for (unsigned i = 0; i < 64; i++)
		rig_fill(rig.source, (uint64_t)i * 512 * 1024 + 7 * 4096, 4096, 100 + i);
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_in_range(rig.result.wire, 64 * 4096, 64 * 4096 * 2);
	rig_end(&rig);
}

static void shifted_data_are_sent_as_deltas(void **state)
{
	(void)state;
	struct rig rig;
	rig_begin(&rig, 24 * MIB);
	rig_fill(rig.source, 4 * MIB, 16 * MIB, 1);
	rig_push_well(&rig, NULL);
	rig_fill(rig.source, 4 * MIB + 53, 16 * MIB, 1);
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_in_range(rig.result.wire, 0, 16 * MIB / 40);
	rig_end(&rig);
}

static void unrelated_old_data_costs_little_more_than_an_empty_target(void **state)
{
	(void)state;
	struct rig rig;
	rig_begin(&rig, 32 * MIB);
	rig_fill(rig.source, 0, 32 * MIB, 1);
	rig_fill(rig.target, 0, 32 * MIB, 2);
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_in_range(rig.result.wire, 32 * MIB, 33 * MIB);
	rig_end(&rig);
}

static void zeros_over_old_data_become_holes(void **state)
{
	(void)state;
	struct rig rig;
	rig_begin(&rig, 16 * MIB);
	rig_fill(rig.source, 0, 16 * MIB, 1);
	rig_push_well(&rig, NULL);
	rig_zeros(rig.source, 3 * MIB + 4096, 9 * MIB); /* they occupy storage on the source */
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_as_sparse(rig.target);
	assert_in_range(rig.result.wire, 0, 300000);
	rig_end(&rig);
}

static void zeros_that_occupy_storage_on_the_target_become_holes(void **state)
{
	(void)state;
	struct rig rig;
	rig_begin(&rig, 16 * MIB);
	rig_fill(rig.source, 5 * MIB, 4096, 1);
	rig_zeros(rig.target, 0, 16 * MIB);
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_as_sparse(rig.target);
	rig_end(&rig);
}

static void the_target_grows_and_shrinks_to_the_sources_size(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {9 * MIB + 1, 5 * MIB + 4095, 20 * MIB, 1, 0, 65536};
	struct rig rig;
	rig_begin(&rig, 0);
	for (size_t i = 0; i < VMM_COUNT(sizes); i++) {
		struct copy_leaves leaves = {0};
		rig.size = sizes[i];
		assert_int_equal(ftruncate(rig.source, (off_t)rig.size), 0);
		if (rig.size)
			rig_fill(rig.source, rig.size / 2, rig.size - rig.size / 2, i);
		rig_push_well(&rig, &leaves);
		assert_true(rig_same(&rig));
		assert_int_equal(leaves.count, (sizes[i] + COPY_LEAF - 1) / COPY_LEAF);
		assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
		copy_leaves_free(&leaves);
	}
	rig_end(&rig);
}

static void a_later_round_with_known_leaves_needs_no_tags(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves = {0};
	sparse_volume(&rig);
	rig_push_well(&rig, &leaves);
	rig_fill(rig.source, 10 * MIB, 4096, 7);
	rig_zeros(rig.source, 20 * MIB, MIB);
	rig_push_well(&rig, &leaves);
	assert_true(rig_same(&rig));
	assert_in_range(rig.result.wire, 4096, 20000);
	assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static uint64_t read_by(struct rig *rig, struct copy_leaves *leaves)
{
	rig_push_well(rig, leaves);
	return rig->result.data;
}

static void only_what_may_have_changed_is_read(void **state)
{
	(void)state;
	static const struct copy_range ranges[] = {
		{10 * MIB + 100, 1}, {20 * MIB, MIB}, {64 * MIB + 12000, 1 << 20} /* behind the end */};
	for (size_t sessions = 1; sessions <= 3; sessions += 2) {
		struct rig rig;
		struct copy_leaves leaves = {0};
		sparse_volume(&rig);
		rig.sessions = sessions;
		rig.changed = ranges;
		rig.changed_count = VMM_COUNT(ranges);
		/* Without the leaves of an earlier push all of it is read. */
		assert_in_range(read_by(&rig, &leaves), 16 * MIB, 20 * MIB);
		assert_true(rig_same(&rig));
		rig_fill(rig.source, 10 * MIB, 4096, 7);
		rig_zeros(rig.source, 20 * MIB, MIB);
		rig_fill(rig.source, 64 * MIB + 12340, 5, 8);
		assert_in_range(read_by(&rig, &leaves), MIB, MIB + 3 * COPY_LEAF);
		assert_true(rig_same(&rig));
		assert_int_equal(copy_compare(rig.source, &leaves, NULL), 0);
		/* The push relies on the ranges: a change outside of them is not seen. */
		rig_fill(rig.source, 40 * MIB, 4096, 9);
		rig_push_well(&rig, &leaves);
		assert_int_equal(copy_compare(rig.target, &leaves, NULL), 0);
		assert_int_equal(copy_compare(rig.source, &leaves, NULL), -1);
		rig.changed = NULL;
		rig_push_well(&rig, &leaves);
		assert_true(rig_same(&rig));
		copy_leaves_free(&leaves);
		rig_end(&rig);
	}
}

static void nothing_changed_reads_nothing(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves = {0};
	const struct copy_range none = {0};
	sparse_volume(&rig);
	rig_push_well(&rig, &leaves);
	rig.changed = &none;
	rig_push_well(&rig, &leaves);
	assert_int_equal(rig.result.data, 0);
	assert_int_equal(rig.result.done, rig.size);
	assert_true(rig_same(&rig));
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void a_volume_that_grows_between_rounds_keeps_what_is_known(void **state)
{
	(void)state;
	static const uint64_t sizes[] = {64 * MIB + 12346, 64 * MIB + 3 * COPY_LEAF + 1, 70 * MIB, 140 * MIB};
	struct rig rig;
	struct copy_leaves leaves = {0};
	const struct copy_range none = {0};
	sparse_volume(&rig);
	rig_push_well(&rig, &leaves);
	assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
	rig.changed = &none;
	for (size_t i = 0; i < VMM_COUNT(sizes); i++) {
		rig_fill(rig.source, sizes[i] - 300, 300, i);
		rig.size = sizes[i];
		rig_push_well(&rig, &leaves);
		assert_in_range(rig.result.data, 0, 4 * COPY_LEAF);
		assert_int_equal(leaves.size, sizes[i]);
		assert_true(rig_same(&rig));
		assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
		assert_int_equal(copy_compare(rig.source, &leaves, NULL), 0);
	}
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void a_copy_that_was_lost_between_rounds_is_noticed(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves = {0};
	vmm_auto_error struct vmm_error *err = NULL;
	sparse_volume(&rig);
	rig_push_well(&rig, &leaves);
	assert_int_equal(ftruncate(rig.target, 0), 0);
	assert_int_equal(rig_push(&rig, &leaves, &err), -1);
	assert_true(error_is(err, "copy-lost"));
	rig_end(&rig);
}

static int open_late(void *context, const char *volume, uint64_t size, struct vmm_error **err)
{
	static atomic_int opened;
	const struct rig *rig = context;
	(void)volume, (void)size, (void)err;
	if (opened++ >= 3) /* the sessions of the first round, and one of the second */
		clock_sleep_ms(200);
	return dup(rig->target);
}

static void a_late_session_does_not_take_a_round_of_zeros_for_a_lost_copy(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves = {0};
	rig_begin(&rig, MIB);
	rig.open = open_late;
	rig.sessions = 2;
	rig_fill(rig.source, 0, 4096, 1);
	rig_push_well(&rig, &leaves);
	rig_zeros(rig.source, 0, 4096);
	rig_push_well(&rig, &leaves);
	assert_true(rig_same(&rig));
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_first_copy_is_identical_and_as_sparse_with_one_session_and_three),
		cmocka_unit_test(what_the_target_already_has_is_not_sent),
		cmocka_unit_test(a_few_changes_send_about_their_size),
		cmocka_unit_test(single_blocks_in_a_leaf_send_little_more_than_themselves),
		cmocka_unit_test(shifted_data_are_sent_as_deltas),
		cmocka_unit_test(unrelated_old_data_costs_little_more_than_an_empty_target),
		cmocka_unit_test(zeros_over_old_data_become_holes),
		cmocka_unit_test(zeros_that_occupy_storage_on_the_target_become_holes),
		cmocka_unit_test(the_target_grows_and_shrinks_to_the_sources_size),
		cmocka_unit_test(a_late_session_does_not_take_a_round_of_zeros_for_a_lost_copy),
		cmocka_unit_test(a_later_round_with_known_leaves_needs_no_tags),
		cmocka_unit_test(only_what_may_have_changed_is_read),
		cmocka_unit_test(nothing_changed_reads_nothing),
		cmocka_unit_test(a_volume_that_grows_between_rounds_keeps_what_is_known),
		cmocka_unit_test(a_copy_that_was_lost_between_rounds_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
