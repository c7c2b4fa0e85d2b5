/* TLS streams: only the side that has the key is accepted, bytes arrive in order in both directions at once, an
 * announced end is distinguished from a broken connection, and every wait has a time limit. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "link/link.h"

enum { MIB = 1 << 20, WAIT_MS = 10000 };

static const struct ssh_peer here = {.name = "node2", .address = "127.0.0.1"};

/* ------------------------------------------------------------------ two ends */

struct caller {
	int port;
	char key[TLS_KEY + 1];
	struct stream *stream;
	struct vmm_error *err;
	pthread_t thread;
};

static void *call(void *argument)
{
	struct caller *caller = argument;
	tls_connect(&here, caller->port, caller->key, &caller->stream, &caller->err);
	return NULL;
}

static void begin_call(struct caller *caller)
{
	assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
}

static struct tls_listener *listening(struct caller *caller)
{
	struct tls_listener *listener;
	*caller = (struct caller){0};
	assert_int_equal(tls_listen("127.0.0.1", "127.0.0.1", NULL, &listener, &caller->port, caller->key, NULL), 0);
	return listener;
}

/* Makes two streams that are connected with each other. */
static void connected(struct stream *pair[2])
{
	struct caller caller;
	struct tls_listener *listener = listening(&caller);
	begin_call(&caller);
	assert_int_equal(tls_accept(listener, WAIT_MS, &pair[1], NULL), 0);
	pthread_join(caller.thread, NULL);
	assert_non_null(caller.stream);
	pair[0] = caller.stream;
	tls_listener_close(listener);
}

/* ------------------------------------------------------------------ bytes */

static void what_one_end_writes_the_other_reads_until_the_end(void **state)
{
	(void)state;
	struct stream *pair[2];
	char data[64];
	connected(pair);
	assert_int_equal(stream_write(pair[0], "one", 3, NULL), 0);
	assert_int_equal(stream_write(pair[1], "back", 4, NULL), 0);
	stream_finish(pair[0]);
	assert_int_equal(stream_read_all(pair[1], data, 3, WAIT_MS, NULL), 0);
	assert_memory_equal(data, "one", 3);
	assert_int_equal(stream_read(pair[1], data, sizeof(data), WAIT_MS, NULL), 0);
	assert_int_equal(stream_read(pair[1], data, sizeof(data), WAIT_MS, NULL), 0);
	/* One direction is closed; the other still works. */
	assert_int_equal(stream_read_all(pair[0], data, 4, WAIT_MS, NULL), 0);
	assert_memory_equal(data, "back", 4);
	stream_close(pair[0]);
	stream_close(pair[1]);
}

static void fill(uint8_t *data, size_t length, uint32_t seed)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
}

struct mover {
	struct stream *stream;
	uint32_t seed;
	pthread_t thread;
	bool good;
};

enum { BIG = 40 * MIB, PART = 700001 };

static void *write_much(void *argument)
{
	struct mover *mover = argument;
	vmm_auto_free uint8_t *data = mem_zero(PART);
	mover->good = true;
	for (size_t done = 0; done < BIG && mover->good; done += PART) {
		fill(data, PART, mover->seed + (uint32_t)done);
		mover->good = stream_write(mover->stream, data, PART, NULL) == 0;
	}
	stream_finish(mover->stream);
	return NULL;
}

static void *read_much(void *argument)
{
	struct mover *mover = argument;
	vmm_auto_free uint8_t *data = mem_zero(PART), *wanted = mem_zero(PART);
	mover->good = true;
	for (size_t done = 0; done < BIG && mover->good; done += PART) {
		fill(wanted, PART, mover->seed + (uint32_t)done);
		mover->good =
			stream_read_all(mover->stream, data, PART, WAIT_MS, NULL) == 0 && !memcmp(data, wanted, PART);
	}
	mover->good &= stream_read(mover->stream, data, 1, WAIT_MS, NULL) == 0;
	return NULL;
}

/* At each end one thread writes while another reads. */
static void much_crosses_both_ways_at_once(void **state)
{
	(void)state;
	struct stream *pair[2];
	connected(pair);
	struct mover movers[] = {
		{pair[0], 1, 0, false}, {pair[1], 1, 0, false}, {pair[1], 2, 0, false}, {pair[0], 2, 0, false}};
	for (size_t i = 0; i < VMM_COUNT(movers); i++)
		assert_int_equal(pthread_create(&movers[i].thread, NULL, i % 2 ? read_much : write_much, &movers[i]),
				 0);
	for (size_t i = 0; i < VMM_COUNT(movers); i++)
		pthread_join(movers[i].thread, NULL);
	for (size_t i = 0; i < VMM_COUNT(movers); i++)
		assert_true(movers[i].good);
	stream_close(pair[0]);
	stream_close(pair[1]);
}

static void *write_then_read(void *argument)
{
	struct mover *mover = argument;
	write_much(mover);
	return mover->good ? read_much(mover) : NULL;
}

static void two_ends_that_both_write_first_do_not_wait_on_each_other(void **state)
{
	(void)state;
	struct stream *pair[2];
	connected(pair);
	struct mover us = {.stream = pair[0], .seed = 5}, other = {.stream = pair[1], .seed = 5};
	assert_int_equal(pthread_create(&other.thread, NULL, write_then_read, &other), 0);
	write_then_read(&us);
	pthread_join(other.thread, NULL);
	assert_true(us.good && other.good);
	stream_close(pair[0]);
	stream_close(pair[1]);
}

/* ------------------------------------------------------------------ connections that are refused */

static void another_key_is_refused_and_the_right_one_is_still_accepted(void **state)
{
	(void)state;
	struct caller good, bad;
	struct tls_listener *listener = listening(&good);
	struct stream *stream;
	bad = good;
	bad.key[31] = bad.key[31] == '0' ? '1' : '0';
	begin_call(&bad);
	assert_int_equal(tls_accept(listener, 500, &stream, NULL), -1);
	pthread_join(bad.thread, NULL);
	assert_null(bad.stream);
	assert_true(error_is(bad.err, "data-key"));
	assert_non_null(bad.err->hint);
	error_clear(&bad.err);
	begin_call(&good);
	assert_int_equal(tls_accept(listener, WAIT_MS, &stream, NULL), 0);
	pthread_join(good.thread, NULL);
	assert_non_null(good.stream);
	stream_close(good.stream);
	stream_close(stream);
	tls_listener_close(listener);
}

static int plain_connection(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* One stranger speaks another protocol, one closes at once, and one sends nothing at all. */
static void strangers_are_refused_and_the_right_one_is_accepted_after_them(void **state)
{
	(void)state;
	struct caller caller;
	struct stream *stream;
	struct tls_listener *listener = listening(&caller);
	int loud = plain_connection(caller.port), gone = plain_connection(caller.port),
	    silent = plain_connection(caller.port);
	assert_int_equal(send(loud, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
	close(gone);
	/* The silent one is accepted last. Each handshake has a time limit of its own. */
	assert_int_equal(tls_accept(listener, 4000, &stream, NULL), -1);
	begin_call(&caller);
	assert_int_equal(tls_accept(listener, WAIT_MS, &stream, NULL), 0);
	pthread_join(caller.thread, NULL);
	assert_non_null(caller.stream);
	stream_close(caller.stream);
	stream_close(stream);
	tls_listener_close(listener);
	close(loud);
	close(silent);
}

/* As many as wait to be accepted; all of them were there first. */
static void silent_strangers_keep_nobody_waiting(void **state)
{
	(void)state;
	enum { STRANGERS = 7 };
	struct caller caller;
	struct stream *stream;
	struct tls_listener *listener = listening(&caller);
	int silent[STRANGERS];
	for (int i = 0; i < STRANGERS; i++)
		silent[i] = plain_connection(caller.port);
	int64_t began = clock_steady_ms();
	begin_call(&caller);
	assert_int_equal(tls_accept(listener, WAIT_MS, &stream, NULL), 0);
	pthread_join(caller.thread, NULL);
	assert_non_null(caller.stream);
	assert_true(clock_steady_ms() - began < 1500);
	stream_close(caller.stream);
	stream_close(stream);
	for (int i = 0; i < STRANGERS; i++)
		close(silent[i]);
	tls_listener_close(listener);
}

/* Not even one that has the key: it does not come from the node that was told it. */
static void who_does_not_come_from_the_peers_address_is_refused(void **state)
{
	(void)state;
	struct caller caller = {0};
	struct stream *stream;
	struct tls_listener *listener;
	assert_int_equal(tls_listen("127.0.0.1", "127.0.0.2", NULL, &listener, &caller.port, caller.key, NULL), 0);
	begin_call(&caller);
	assert_int_equal(tls_accept(listener, 1000, &stream, NULL), -1);
	pthread_join(caller.thread, NULL);
	assert_null(caller.stream);
	error_clear(&caller.err);
	tls_listener_close(listener);
}

static void a_port_that_cannot_be_reached_is_named_with_a_remedy(void **state)
{
	(void)state;
	struct caller caller;
	tls_listener_close(listening(&caller));
	vmm_auto_free char *number = str_format("port %d", caller.port);
	call(&caller);
	assert_true(error_is(caller.err, "data-port"));
	assert_int_equal(caller.err->exit, VMM_BLOCKED);
	assert_non_null(strstr(caller.err->message, number));
	assert_non_null(strstr(caller.err->hint, "data_ports"));
	assert_non_null(strstr(caller.err->hint, "firewall of node2"));
	error_clear(&caller.err);
}

static void a_range_of_ports_is_kept_to_and_one_without_a_free_port_is_refused(void **state)
{
	(void)state;
	struct caller caller;
	struct tls_listener *first = listening(&caller), *second = NULL;
	int port = 0;
	char key[TLS_KEY + 1];
	vmm_auto_free char *taken = str_format("%d-%d", caller.port, caller.port);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(tls_listen("127.0.0.1", NULL, taken, &second, &port, key, &err), -1);
	assert_true(error_is(err, "data-port"));
	assert_non_null(strstr(err->message, taken));
	tls_listener_close(first);
	assert_int_equal(tls_listen("127.0.0.1", NULL, taken, &second, &port, key, NULL), 0);
	assert_int_equal(port, caller.port);
	assert_string_not_equal(key, caller.key);
	tls_listener_close(second);
}

static void accepting_has_a_time_limit(void **state)
{
	(void)state;
	struct caller caller;
	struct stream *stream;
	vmm_auto_error struct vmm_error *err = NULL;
	struct tls_listener *listener = listening(&caller);
	int64_t began = clock_steady_ms();
	assert_int_equal(tls_accept(listener, 300, &stream, &err), -1);
	assert_true(error_is(err, "link-silent"));
	assert_in_range(clock_steady_ms() - began, 300, 5000);
	tls_listener_close(listener);
}

/* ------------------------------------------------------------------ cuts */

/* The other end writes, and is killed before it can announce its end. */
static void a_broken_connection_is_distinguished_from_an_end(void **state)
{
	(void)state;
	struct caller caller;
	struct stream *stream;
	char data[4];
	vmm_auto_error struct vmm_error *err = NULL, *later = NULL;
	struct tls_listener *listener = listening(&caller);
	pid_t pid = fork();
	if (pid == 0) {
		call(&caller);
		if (caller.stream)
			stream_write(caller.stream, "data", 4, NULL);
		raise(SIGKILL);
	}
	assert_int_equal(tls_accept(listener, WAIT_MS, &stream, NULL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(stream_read_all(stream, data, sizeof(data), WAIT_MS, NULL), 0);
	assert_memory_equal(data, "data", 4);
	assert_int_equal(stream_read(stream, data, sizeof(data), WAIT_MS, &err), -1);
	assert_true(error_is(err, "link-lost"));
	vmm_auto_free char *much = mem_zero(32 * MIB);
	assert_int_equal(stream_write(stream, much, 32 * MIB, &later), -1);
	assert_true(error_is(later, "link-lost"));
	stream_close(stream);
	tls_listener_close(listener);
}

static void silence_is_distinguished_from_a_lost_link(void **state)
{
	(void)state;
	struct stream *pair[2];
	char data[4];
	vmm_auto_error struct vmm_error *err = NULL;
	connected(pair);
	assert_int_equal(stream_read(pair[0], data, sizeof(data), 100, &err), -1);
	assert_true(error_is(err, "link-silent"));
	assert_int_equal(stream_write(pair[1], "more", 4, NULL), 0);
	assert_int_equal(stream_read_all(pair[0], data, 4, WAIT_MS, NULL), 0);
	stream_close(pair[0]);
	stream_close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_one_end_writes_the_other_reads_until_the_end),
		cmocka_unit_test(much_crosses_both_ways_at_once),
		cmocka_unit_test(two_ends_that_both_write_first_do_not_wait_on_each_other),
		cmocka_unit_test(another_key_is_refused_and_the_right_one_is_still_accepted),
		cmocka_unit_test(strangers_are_refused_and_the_right_one_is_accepted_after_them),
		cmocka_unit_test(silent_strangers_keep_nobody_waiting),
		cmocka_unit_test(who_does_not_come_from_the_peers_address_is_refused),
		cmocka_unit_test(a_port_that_cannot_be_reached_is_named_with_a_remedy),
		cmocka_unit_test(a_range_of_ports_is_kept_to_and_one_without_a_free_port_is_refused),
		cmocka_unit_test(accepting_has_a_time_limit),
		cmocka_unit_test(a_broken_connection_is_distinguished_from_an_end),
		cmocka_unit_test(silence_is_distinguished_from_a_lost_link),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
