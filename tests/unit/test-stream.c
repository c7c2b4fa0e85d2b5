/* Streams: bytes arrive in order in both directions, the end is seen, silence and loss are distinguished, and two sides
 * that both write first do not wait for each other.
 *
 * wrap: clock_steady_ms */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "link/link.h"

/* While it is set, the clock runs a hundred times faster. */
static _Atomic bool hurry;
int64_t __real_clock_steady_ms(void);
int64_t __wrap_clock_steady_ms(void);
int64_t __wrap_clock_steady_ms(void)
{
	return __real_clock_steady_ms() * (hurry ? 100 : 1);
}

static char byte_at(size_t i)
{
	return (char)(i * 7 + (i >> 8) * 3 + (i >> 16));
}

static char *pattern(size_t length)
{
	char *data = mem_zero(length);
	for (size_t i = 0; i < length; i++)
		data[i] = byte_at(i);
	return data;
}

static void what_one_end_writes_the_other_reads_until_the_end(void **state)
{
	(void)state;
	struct stream *pair[2];
	char data[64];
	assert_int_equal(stream_pair(pair, NULL), 0);
	assert_int_equal(stream_write(pair[0], "one", 3, NULL), 0);
	assert_int_equal(stream_write(pair[1], "back", 4, NULL), 0);
	stream_finish(pair[0]);
	assert_int_equal(stream_read_all(pair[1], data, 3, 1000, NULL), 0);
	assert_memory_equal(data, "one", 3);
	assert_int_equal(stream_read(pair[1], data, sizeof(data), 1000, NULL), 0);
	/* One direction is closed; the other still works. */
	assert_int_equal(stream_read(pair[0], data, sizeof(data), 1000, NULL), 4);
	assert_int_equal(pair[0]->sent, 3);
	assert_int_equal(pair[0]->received, 4);
	stream_close(pair[0]);
	stream_close(pair[1]);
	stream_close(NULL);
}

static void silence_and_a_lost_link_are_distinguished(void **state)
{
	(void)state;
	struct stream *pair[2];
	char data[8];
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(stream_pair(pair, NULL), 0);
	int64_t began = clock_steady_ms();
	assert_int_equal(stream_read(pair[0], data, sizeof(data), 50, &err), -1);
	assert_true(error_is(err, "link-silent"));
	assert_true(clock_steady_ms() - began >= 50);
	stream_write(pair[1], "abc", 3, NULL);
	stream_close(pair[1]);
	error_clear(&err);
	assert_int_equal(stream_read_all(pair[0], data, 4, 1000, &err), -1);
	assert_true(error_is(err, "link-lost"));
	error_clear(&err);
	assert_int_equal(stream_write(pair[0], data, sizeof(data), &err), -1);
	assert_true(error_is(err, "link-lost"));
	stream_close(pair[0]);
}

static void a_side_that_takes_nothing_is_silent(void **state)
{
	(void)state;
	int fds[2];
	vmm_auto_error struct vmm_error *err = NULL;
	vmm_auto_free char *data = mem_zero(4 << 20);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	struct stream *s = stream_on_fds(dup(fds[0]), fds[1]);
	/* What it writes comes back to itself and fills the receive buffer; then nobody takes anything any more. */
	hurry = true;
	int rc = 0;
	for (int i = 0; rc == 0 && i < 64; i++)
		rc = stream_write(s, data, 4 << 20, &err);
	hurry = false;
	assert_int_equal(rc, -1);
	assert_true(error_is(err, "link-silent"));
	stream_close(s);
	close(fds[0]);
}

struct both {
	struct stream *s;
	size_t length;
	bool equal;
};

static void *write_then_read(void *arg)
{
	struct both *b = arg;
	vmm_auto_free char *data = pattern(b->length), *got = mem_zero(b->length);
	b->equal = stream_write(b->s, data, b->length, NULL) == 0 &&
		   stream_read_all(b->s, got, b->length, 20000, NULL) == 0 && memcmp(data, got, b->length) == 0;
	return NULL;
}

static void two_sides_that_both_write_first_do_not_wait_for_each_other(void **state)
{
	(void)state;
	struct stream *pair[2];
	struct both both[2];
	pthread_t thread;
	assert_int_equal(stream_pair(pair, NULL), 0);
	for (int i = 0; i < 2; i++)
		both[i] = (struct both){.s = pair[i], .length = 16 << 20};
	pthread_create(&thread, NULL, write_then_read, &both[0]);
	write_then_read(&both[1]);
	pthread_join(thread, NULL);
	assert_true(both[0].equal);
	assert_true(both[1].equal);
	stream_close(pair[0]);
	stream_close(pair[1]);
}

struct reader {
	struct stream *s;
	size_t length;
	bool equal;
};

static void *read_pattern(void *arg)
{
	struct reader *r = arg;
	char data[10007];
	r->equal = true;
	for (size_t at = 0; at < r->length;) {
		ssize_t got = stream_read(r->s, data, sizeof(data), 20000, NULL);
		if (got <= 0) {
			r->equal = false;
			break;
		}
		for (ssize_t i = 0; i < got; i++)
			r->equal &= data[i] == byte_at(at++);
	}
	return NULL;
}

static void one_thread_may_read_while_another_writes(void **state)
{
	(void)state;
	struct stream *pair[2];
	pthread_t threads[3];
	size_t length = 8 << 20;
	assert_int_equal(stream_pair(pair, NULL), 0);
	struct reader readers[2] = {{.s = pair[0], .length = length}, {.s = pair[1], .length = length}};
	vmm_auto_free char *data = pattern(length);
	pthread_create(&threads[0], NULL, read_pattern, &readers[0]);
	assert_int_equal(stream_write(pair[1], data, length, NULL), 0);
	/* Now 0 writes while both ends are read: what the writer moves to the buffer, the reader must get in order. */
	pthread_create(&threads[1], NULL, read_pattern, &readers[1]);
	assert_int_equal(stream_write(pair[0], data, length, NULL), 0);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	assert_true(readers[0].equal);
	assert_true(readers[1].equal);
	stream_close(pair[0]);
	stream_close(pair[1]);
}

static void a_stream_on_two_pipes_carries_and_ends(void **state)
{
	(void)state;
	int there[2], back[2];
	char data[16];
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(pipe2(there, O_CLOEXEC), 0);
	assert_int_equal(pipe2(back, O_CLOEXEC), 0);
	struct stream *near = stream_on_fds(back[0], there[1]), *far = stream_on_fds(there[0], back[1]);
	assert_int_equal(stream_write(near, "hello", 5, NULL), 0);
	stream_finish(near);
	assert_int_equal(stream_read_all(far, data, 5, 1000, NULL), 0);
	assert_int_equal(stream_read(far, data, sizeof(data), 1000, NULL), 0);
	assert_int_equal(stream_write(far, "bye", 3, NULL), 0);
	assert_int_equal(stream_read_all(near, data, 3, 1000, NULL), 0);
	stream_close(near);
	assert_int_equal(stream_write(far, "more", 4, &err), -1);
	assert_true(error_is(err, "link-lost"));
	stream_close(far);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_one_end_writes_the_other_reads_until_the_end),
		cmocka_unit_test(silence_and_a_lost_link_are_distinguished),
		cmocka_unit_test(a_side_that_takes_nothing_is_silent),
		cmocka_unit_test(two_sides_that_both_write_first_do_not_wait_for_each_other),
		cmocka_unit_test(one_thread_may_read_while_another_writes),
		cmocka_unit_test(a_stream_on_two_pipes_carries_and_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
