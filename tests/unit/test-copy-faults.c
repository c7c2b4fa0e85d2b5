/* If a disk or the link fails during a copy, or the copy is cancelled, it ends promptly with the cause, and the next
 * copy succeeds.
 *
 * wrap: pwrite fdatasync clock_steady_ms
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "copy-rig.h"

enum { MIB = 1 << 20 };

/* ------------------------------------------------------------------ faults that are injected */

static atomic_llong room = -1; /* bytes that the disk has room for; -1: no limit */
static atomic_int sync_error, sync_ms;
static atomic_int clock_factor = 1; /* the clock runs so many times as fast */

ssize_t __real_pwrite(int fd, const void *data, size_t length, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *data, size_t length, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int64_t __real_clock_steady_ms(void);
int64_t __wrap_clock_steady_ms(void);

ssize_t __wrap_pwrite(int fd, const void *data, size_t length, off_t offset)
{
	if (room < 0)
		return __real_pwrite(fd, data, length, offset);
	if (!room) {
		errno = ENOSPC;
		return -1;
	}
	if (length > (size_t)room)
		length = (size_t)room; /* a disk that fills up gives a short count first */
	room -= (long long)length;
	return __real_pwrite(fd, data, length, offset);
}

int __wrap_fdatasync(int fd)
{
	clock_sleep_ms(sync_ms);
	errno = sync_error;
	return sync_error ? -1 : __real_fdatasync(fd);
}

int64_t __wrap_clock_steady_ms(void)
{
	return __real_clock_steady_ms() * clock_factor;
}

static void dense_volume(struct rig *rig, size_t size)
{
	rig_begin(rig, size);
	rig_fill(rig->source, 0, size, 1);
}

/* The copy fails with that code, and succeeds after the fault is gone. */
static void assert_fails_then_succeeds(struct rig *rig, const char *code)
{
	vmm_auto_error struct vmm_error *err = NULL;
	struct copy_leaves leaves = {0};
	assert_int_equal(rig_push(rig, &leaves, &err), -1);
	assert_string_equal(err->code, code);
	assert_null(leaves.tag);
	room = -1;
	sync_error = 0;
	rig_push_well(rig, &leaves);
	assert_true(rig_same(rig));
	copy_leaves_free(&leaves);
}

/* ------------------------------------------------------------------ disks */

static void a_full_disk_is_reported_by_name_with_one_session_and_three(void **state)
{
	(void)state;
	for (size_t sessions = 1; sessions <= 3; sessions += 2) {
		struct rig rig;
		dense_volume(&rig, 40 * MIB);
		rig.sessions = sessions;
		room = 3 * MIB + 100;
		vmm_auto_error struct vmm_error *err = NULL;
		assert_int_equal(rig_push(&rig, NULL, &err), -1);
		assert_string_equal(err->code, "no-space");
		assert_non_null(strstr(err->message, "vda"));
		assert_fails_then_succeeds(&rig, "no-space");
		rig_end(&rig);
	}
}

static void a_disk_that_cannot_sync_fails_the_copy(void **state)
{
	(void)state;
	struct rig rig;
	dense_volume(&rig, MIB);
	sync_error = EIO;
	assert_fails_then_succeeds(&rig, "io-error");
	assert_null(rig.served);
	rig_end(&rig);
}

static void a_source_file_that_is_too_short_is_an_error(void **state)
{
	(void)state;
	struct rig rig;
	vmm_auto_error struct vmm_error *err = NULL;
	dense_volume(&rig, 5 * MIB);
	rig.size = 6 * MIB;
	assert_int_equal(rig_push(&rig, NULL, &err), -1);
	assert_string_equal(err->code, "read-failed");
	rig_end(&rig);
}

static void the_targets_reason_for_a_refusal_is_the_error(void **state)
{
	(void)state;
	struct rig rig;
	vmm_auto_error struct vmm_error *err = NULL;
	struct stream *session;
	rig_begin(&rig, MIB);
	const struct copy_job job = {.fd = rig.source, .size = MIB, .volume = "vdb"};
	session = rig_session_begin(&rig);
	assert_int_equal(copy_push(&job, &(struct copy_sessions){.stream = {session}, .count = 1}, NULL, NULL, &err),
			 -1);
	rig_session_end(&rig);
	assert_string_equal(err->message, "no volume vdb");
	assert_int_equal(err->exit, VMM_BLOCKED);
	rig_end(&rig);
}

/* ------------------------------------------------------------------ links */

static void a_cut_link_is_reported_as_lost_and_what_arrived_is_not_sent_again(void **state)
{
	(void)state;
	struct rig rig;
	vmm_auto_error struct vmm_error *err = NULL;
	dense_volume(&rig, 32 * MIB);
	rig.cut_after = 16 * MIB;
	assert_int_equal(rig_push(&rig, NULL, &err), -1);
	assert_string_equal(err->code, "link-lost");
	assert_true(error_is(rig.served, "link-lost"));
	rig.cut_after = 0;
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_in_range(rig.result.present, 1, 16 * MIB);
	assert_in_range(rig.result.wire, 0, 32 * MIB);
	rig_end(&rig);
}

static void a_target_that_is_busy_for_long_is_not_given_up(void **state)
{
	(void)state;
	struct rig rig;
	dense_volume(&rig, MIB);
	sync_ms = 4000;
	clock_factor = 8; /* the source gives up after 3.75 s of silence */
	rig_push_well(&rig, NULL);
	sync_ms = 0;
	clock_factor = 1;
	rig_end(&rig);
}

static void a_target_that_sends_nothing_is_given_up(void **state)
{
	(void)state;
	struct stream *pair[2];
	struct rig rig;
	vmm_auto_error struct vmm_error *err = NULL;
	dense_volume(&rig, MIB);
	assert_int_equal(stream_pair(pair, NULL), 0);
	const struct copy_job job = {.fd = rig.source, .size = MIB, .volume = "vda"};
	clock_factor = 200;
	assert_int_equal(copy_push(&job, &(struct copy_sessions){.stream = {pair[0]}, .count = 1}, NULL, NULL, &err),
			 -1);
	clock_factor = 1;
	assert_string_equal(err->code, "link-silent");
	stream_close(pair[0]);
	stream_close(pair[1]);
	rig_end(&rig);
}

/* ------------------------------------------------------------------ rate limit, progress, cancelling */

struct watch {
	int calls, stop_after;
	uint64_t done;
	bool backward;
};

static bool watch(void *context, const struct copy_progress *progress)
{
	struct watch *w = context;
	w->backward |= progress->done < w->done || progress->done > progress->total;
	w->done = progress->done;
	return ++w->calls != w->stop_after;
}

static void a_rate_limit_holds_and_progress_comes_ten_times_a_second(void **state)
{
	(void)state;
	for (size_t sessions = 1; sessions <= 3; sessions += 2) {
		struct rig rig;
		struct watch w = {.stop_after = 0};
		dense_volume(&rig, 4 * MIB);
		rig.sessions = sessions;
		rig.rate_limit = 2 * MIB;
		rig.progress = watch;
		rig.context = &w;
		int64_t began = __real_clock_steady_ms();
		rig_push_well(&rig, NULL);
		int64_t took = __real_clock_steady_ms() - began;
		assert_in_range(took, 1700, 2600);
		assert_in_range(w.calls, 10, 30);
		assert_false(w.backward);
		assert_true(rig_same(&rig));
		rig_end(&rig);
	}
}

static void a_cancelled_copy_ends_at_once(void **state)
{
	(void)state;
	for (size_t sessions = 1; sessions <= 3; sessions += 2) {
		struct rig rig;
		struct watch w = {.stop_after = 3};
		vmm_auto_error struct vmm_error *err = NULL;
		dense_volume(&rig, 16 * MIB);
		rig.sessions = sessions;
		rig.rate_limit = MIB;
		rig.progress = watch;
		rig.context = &w;
		int64_t began = __real_clock_steady_ms();
		assert_int_equal(rig_push(&rig, NULL, &err), -1);
		assert_true(__real_clock_steady_ms() - began < 1500);
		assert_string_equal(err->code, "cancelled");
		assert_int_equal(err->exit, VMM_CANCELLED);
		rig.rate_limit = 0;
		rig.progress = NULL;
		rig_push_well(&rig, NULL);
		assert_true(rig_same(&rig));
		rig_end(&rig);
	}
}

static void a_copy_can_be_cancelled_while_the_target_is_busy(void **state)
{
	(void)state;
	struct rig rig;
	struct watch w = {.stop_after = 2};
	vmm_auto_error struct vmm_error *err = NULL;
	dense_volume(&rig, MIB);
	sync_ms = 1500;
	const struct copy_job job = {.fd = rig.source, .size = MIB, .volume = "vda", .progress = watch, .context = &w};
	struct stream *session = rig_session_begin(&rig);
	int64_t began = __real_clock_steady_ms();
	assert_int_equal(copy_push(&job, &(struct copy_sessions){.stream = {session}, .count = 1}, NULL, NULL, &err),
			 -1);
	assert_true(__real_clock_steady_ms() - began < 1000);
	assert_string_equal(err->code, "cancelled");
	rig_session_end(&rig);
	sync_ms = 0;
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_is_reported_by_name_with_one_session_and_three),
		cmocka_unit_test(a_disk_that_cannot_sync_fails_the_copy),
		cmocka_unit_test(a_source_file_that_is_too_short_is_an_error),
		cmocka_unit_test(the_targets_reason_for_a_refusal_is_the_error),
		cmocka_unit_test(a_cut_link_is_reported_as_lost_and_what_arrived_is_not_sent_again),
		cmocka_unit_test(a_target_that_is_busy_for_long_is_not_given_up),
		cmocka_unit_test(a_target_that_sends_nothing_is_given_up),
		cmocka_unit_test(a_rate_limit_holds_and_progress_comes_ten_times_a_second),
		cmocka_unit_test(a_cancelled_copy_ends_at_once),
		cmocka_unit_test(a_copy_can_be_cancelled_while_the_target_is_busy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
