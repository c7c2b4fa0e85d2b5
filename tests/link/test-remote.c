/* Which connections remote.c makes: calls and the first session share one, and a further one is made only if it is of
 * use. The other node is our agent under a real sshd. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

#include "cluster/cluster.h"
#include "copy/copy.h"
#include "node/node.h"
#include "own-sshd.h"
#include "storage/storage.h"

/* wrap: clock_steady_ms clock_gettime */

enum { SIZE = 48 << 20 };

/* Both nodes have their files in the /run that enter_namespace makes. */
static const struct node_paths paths = {
	.state = "/run/both/state",
	.etc = "/run/both/etc",
	.run = "/run/both/run",
	.hooks = "/run/both/hooks",
	.libexec = "/run/both",
};
static const char task[] = "test", target[] = "/run/both/volumes/target";

/* ------------------------------------------------------------------ helpers */

static void copy_file(const char *from, const char *to)
{
	vmm_auto_free char *text = NULL;
	size_t length;
	if (file_read(from, 65536, &text, &length, NULL) < 0 || file_write(to, text, length, 0600, NULL) < 0)
		abort();
}

/* Starts an sshd with these lines in its configuration, and opens the node behind it. */
static struct vmm_node *node_behind(struct own_sshd *sshd, const char *lines)
{
	struct vmm_node *node = NULL;
	struct vmm_error *err = NULL;
	own_sshd_start(sshd, lines);
	vmm_auto_free char *conf =
		str_format("[node node2]\naddress = 127.0.0.1\nport = %d\nuser = %s\n", sshd->port, sshd->user);
	vmm_auto_free char *here = str_format("[migration]\nself = node1\n%s", conf);
	static const char there[] =
		"[migration]\nself = node2\n[node node1]\n[storage volumes]\npath = /run/both/volumes\n";
	file_write("/run/both/etc/vmmigrate.conf", here, strlen(here), 0600, NULL);
	file_write("/run/both/there/vmmigrate.conf", there, strlen(there), 0600, NULL);
	copy_file(sshd->forced_key, "/run/both/etc/id_vmmigrate");
	copy_file(sshd->known_hosts, "/run/both/etc/known_hosts");
	if (node_open_remote(&paths, "node2", task, &node, &err) < 0)
		fail_msg("%s", err->message);
	return node;
}

static struct stream *session_of(struct vmm_node *node, bool tls)
{
	struct stream *session = NULL;
	struct vmm_error *err = NULL;
	if (node->ops->session(node, task, tls, &session, &err) < 0)
		fail_msg("%s", err->message);
	return session;
}

static void call(struct vmm_node *node, enum node_op op, struct json_object *arguments)
{
	vmm_auto_json struct json_object *args = arguments, *reply = NULL;
	struct vmm_error *err = NULL;
	if (node_call(node, op, args, &reply, &err) < 0)
		fail_msg("%s", err->message);
}

static int sockets(void)
{
	int count = 0;
	DIR *all = opendir("/proc/self/fd");
	for (struct dirent *one; (one = readdir(all));) {
		struct stat st;
		count += fstat(atoi(one->d_name), &st) == 0 && S_ISSOCK(st.st_mode);
	}
	closedir(all);
	return count;
}

static char *allocate(struct vmm_node *node)
{
	char *temporary = storage_temporary(target, task);
	struct json_object *volume = json_make(
		"target:s action:s from:s to:s to_kind:s temporary:s track:s kind:s format:s size:i allocated:i", "vda",
		"copy", target, target, "dir", temporary, "none", "dir", "raw", (int64_t)SIZE, (int64_t)SIZE);
	call(node, NODE_ALLOCATE, json_make("task:s guest:s volume:o replace:b", task, "null-1", volume, 0));
	return temporary;
}

/* ------------------------------------------------------------------ copies */

struct copying {
	struct copy_job job;
	struct stream *session;
	int done;
	atomic_bool over;
	pthread_t thread;
};

static void *copy_all(void *argument)
{
	struct copying *copying = argument;
	struct copy_leaves leaves = {0};
	struct copy_sessions sessions = {.stream = {copying->session}, .count = 1};
	copying->done = copy_push(&copying->job, &sessions, &leaves, NULL, NULL);
	if (copying->done == 0)
		copying->done = copy_verify(&copying->job, copying->session, &leaves, NULL, NULL);
	copy_leaves_free(&leaves);
	copying->over = true;
	return NULL;
}

static int make_source(void)
{
	vmm_auto_free uint8_t *data = mem_zero(SIZE);
	int fd = open("/run/both/source", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	uint64_t state = 88172645463325252u; /* random data, which cannot be compressed */
	for (size_t i = 0; i < SIZE; i += sizeof(state)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(data + i, &state, sizeof(state));
	}
	assert_int_equal(fd_write_all(fd, data, SIZE), 0);
	return fd;
}

static void copy_well(struct vmm_node *node, struct stream *session, bool calling)
{
	vmm_auto_free char *temporary = allocate(node);
	vmm_auto_close int fd = make_source();
	struct copying copying = {.job = {.fd = fd, .size = SIZE, .volume = temporary}, .session = session};
	assert_int_equal(pthread_create(&copying.thread, NULL, copy_all, &copying), 0);
	for (int i = 0; calling && i < 50; i++)
		call(node, NODE_RECORD, json_make("guest:s", "null-1"));
	pthread_join(copying.thread, NULL);
	assert_int_equal(copying.done, 0);
	unlink(temporary);
}

/* The target keeps a table of its leaves in memory. */
static void a_volume_is_not_made_larger_than_the_plan_says(void **state)
{
	(void)state;
	struct own_sshd sshd;
	struct vmm_node *node = node_behind(&sshd, "");
	vmm_auto_free char *temporary = allocate(node);
	vmm_auto_close int fd = make_source();
	struct stream *session = session_of(node, false);
	struct copy_job job = {.fd = fd, .size = SIZE + 4096, .volume = temporary};
	struct copy_leaves leaves = {0};
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(ftruncate(fd, SIZE + 4096), 0);
	assert_int_equal(copy_push(&job, &(struct copy_sessions){.stream = {session}, .count = 1}, &leaves, NULL, &err),
			 -1);
	assert_string_equal(err->code, "too-large");
	copy_leaves_free(&leaves);
	stream_close(session);
	node_close(node);
	unlink(temporary);
	own_sshd_stop(&sshd);
}

static void a_session_shares_the_connection_of_calls(void **state)
{
	(void)state;
	struct own_sshd sshd;
	struct vmm_node *node = node_behind(&sshd, "");
	int before = sockets();
	struct stream *session = session_of(node, false);
	assert_int_equal(sockets(), before);
	copy_well(node, session, false);
	/* A second session is to use another core: it gets a connection of its own, even if the first session is
	 * closed. */
	struct stream *second = session_of(node, false);
	assert_int_equal(sockets(), before + 1);
	stream_close(session);
	copy_well(node, second, false);
	stream_close(second);
	assert_int_equal(sockets(), before);
	node_close(node);
	own_sshd_stop(&sshd);
}

static void calls_are_answered_while_a_copy_goes_over_their_connection(void **state)
{
	(void)state;
	struct own_sshd sshd;
	struct vmm_node *node = node_behind(&sshd, "");
	struct stream *session = session_of(node, false);
	copy_well(node, session, true);
	stream_close(session);
	call(node, NODE_RECORD, json_make("guest:s", "null-1"));
	node_close(node);
	own_sshd_stop(&sshd);
}

static void neither_calls_nor_new_sessions_wait_for_a_copy_to_end(void **state)
{
	(void)state;
	struct own_sshd sshd;
	struct vmm_node *node = node_behind(&sshd, "");
	vmm_auto_free char *temporary = allocate(node);
	vmm_auto_close int fd = make_source();
	struct copying copying = {
		.job = {.fd = fd, .size = SIZE, .volume = temporary, .rate_limit = SIZE / 4},
		.session = session_of(node, false),
	};
	assert_int_equal(pthread_create(&copying.thread, NULL, copy_all, &copying), 0);
	for (int i = 0; i < 5; i++)
		call(node, NODE_RECORD, json_make("guest:s", "null-1"));
	stream_close(session_of(node, true));
	stream_close(session_of(node, false));
	assert_false(copying.over);
	pthread_join(copying.thread, NULL);
	assert_int_equal(copying.done, 0);
	stream_close(copying.session);
	node_close(node);
	unlink(temporary);
	own_sshd_stop(&sshd);
}

static void a_session_may_be_closed_after_its_node(void **state)
{
	(void)state;
	struct own_sshd sshd;
	struct vmm_node *node = node_behind(&sshd, "");
	vmm_auto_free char *temporary = allocate(node);
	int before = sockets();
	struct stream *session = session_of(node, false), *tls = session_of(node, true);
	node_close(node);
	assert_int_equal(sockets(), before + 1);
	stream_close(tls);
	stream_close(session);
	assert_int_equal(sockets(), before - 1);
	unlink(temporary);
	own_sshd_stop(&sshd);
}

static void sessions_over_tls_need_no_other_connection_of_ssh(void **state)
{
	(void)state;
	struct own_sshd sshd;
	struct vmm_node *node = node_behind(&sshd, "");
	int before = sockets();
	struct stream *first = session_of(node, true), *second = session_of(node, true);
	assert_int_equal(sockets(), before + 2); /* the two TLS connections */
	copy_well(node, first, true);
	copy_well(node, second, false);
	stream_close(first);
	stream_close(second);
	assert_int_equal(sockets(), before);
	node_close(node);
	own_sshd_stop(&sshd);
}

static void without_a_second_channel_a_session_makes_a_connection_of_its_own(void **state)
{
	(void)state;
	struct own_sshd sshd;
	struct vmm_node *node = node_behind(&sshd, "MaxSessions 1\n");
	int before = sockets();
	struct stream *session = session_of(node, false);
	assert_int_equal(sockets(), before + 1);
	copy_well(node, session, true);
	stream_close(session);
	call(node, NODE_RECORD, json_make("guest:s", "null-1"));
	node_close(node);
	own_sshd_stop(&sshd);
}

/* ------------------------------------------------------------------ a node that hangs
 *
 * FAULTS 82: while this file is there, the other node says that it is alive and does nothing. */

static const char hangs[] = "/run/both/hangs";

static void say_alive(struct stream *stream)
{
	vmm_auto_identity struct identity self = {0};
	vmm_auto_json struct json_object *hello = NULL;
	cluster_identity("/run/both/there", &self);
	if (frame_hello(stream, "the other side", &self, FRAME_SILENCE_MS, &hello, NULL) < 0)
		return;
	while (frame_send(stream, FRAME_ALIVE, 0, NULL, 0, NULL) == 0)
		clock_sleep_ms(20);
}

/* Our clock goes so many times as fast as it should. */
static int speed = 1;

int64_t __real_clock_steady_ms(void);
int64_t __wrap_clock_steady_ms(void);
int64_t __wrap_clock_steady_ms(void)
{
	return __real_clock_steady_ms() * speed;
}

static bool is_cancelled(void *context)
{
	return *(bool *)context;
}

static void call_of_hanging_node(bool cancelled, const char *code, const char *message)
{
	struct own_sshd sshd;
	vmm_auto_error struct vmm_error *err = NULL;
	vmm_auto_json struct json_object *args = json_make("guest:s", "null-1");
	assert_int_equal(file_write(hangs, "", 0, 0600, NULL), 0);
	struct vmm_node *node = node_behind(&sshd, "");
	node->cancelled = is_cancelled;
	node->context = &cancelled;
	int64_t began = __real_clock_steady_ms();
	speed = 20;
	int done = node_call(node, NODE_RECORD, args, NULL, &err);
	speed = 1;
	assert_int_equal(done, -1);
	assert_string_equal(err->code, code);
	assert_non_null(strstr(err->message, message));
	assert_true(__real_clock_steady_ms() - began < 20000);
	unlink(hangs);
	/* Then the node is itself again. */
	assert_int_equal(node->ops->reconnect(node, NULL), 0);
	cancelled = false;
	call(node, NODE_RECORD, json_make("guest:s", "null-1"));
	node_close(node);
	own_sshd_stop(&sshd);
}

static void an_operation_ends_at_its_limit_although_the_node_says_that_it_is_alive(void **state)
{
	(void)state;
	call_of_hanging_node(false, "link-silent", "node node2 has not carried out \"record\" within 30 s");
}

static void a_cancel_is_heard_while_the_node_says_that_it_is_alive(void **state)
{
	(void)state;
	call_of_hanging_node(true, "cancelled", "cancelled while node2 carried out \"record\"");
}

/* While this file is there, somebody has set the other node's clock, which goes a day ahead of what it tells waiting
 * threads. */
static const char clock_was_set[] = "/run/both/clock-was-set";

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int done = __real_clock_gettime(clock, now);
	now->tv_sec += clock == CLOCK_REALTIME && file_there(clock_was_set) ? 86400 : 0;
	return done;
}

/* Our clock goes five times as fast: we wait for a sign of life for six seconds, and the hook takes eight. */
static void a_node_whose_clock_is_set_still_says_that_it_is_alive(void **state)
{
	(void)state;
	static const char script[] = "#!/bin/sh\nsleep 8\n", hook[] = "/run/both/hooks/check.d/10-slow";
	struct own_sshd sshd;
	assert_int_equal(file_write(clock_was_set, "", 0, 0600, NULL), 0);
	assert_int_equal(dir_make("/run/both/hooks/check.d", 0755, NULL), 0);
	assert_int_equal(file_write(hook, script, strlen(script), 0755, NULL), 0);
	struct vmm_node *node = node_behind(&sshd, "");
	speed = 5;
	call(node, NODE_HOOKS,
	     json_make("phase:s id:s environment:o input:o", "check", "1", json_object_new_object(),
		       json_object_new_object()));
	speed = 1;
	unlink(clock_was_set);
	unlink(hook);
	node_close(node);
	own_sshd_stop(&sshd);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "far")) {
		struct stream *stream = stream_on_fds(0, 1);
		struct node_paths theirs = paths;
		theirs.etc = "/run/both/there";
		if (file_there(hangs)) {
			say_alive(stream);
			return 0;
		}
		int status = agent_serve(&theirs, getenv("SSH_ORIGINAL_COMMAND"), stream);
		stream_close(stream);
		return status;
	}
	if (!enter_namespace() || dir_make("/run/both/etc", 0700, NULL) < 0 ||
	    dir_make("/run/both/there", 0700, NULL) < 0 || dir_make("/run/both/volumes", 0700, NULL) < 0) {
		puts("skipped: no mount namespace can be made here");
		return 0;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_shares_the_connection_of_calls),
		cmocka_unit_test(calls_are_answered_while_a_copy_goes_over_their_connection),
		cmocka_unit_test(neither_calls_nor_new_sessions_wait_for_a_copy_to_end),
		cmocka_unit_test(a_session_may_be_closed_after_its_node),
		cmocka_unit_test(sessions_over_tls_need_no_other_connection_of_ssh),
		cmocka_unit_test(a_volume_is_not_made_larger_than_the_plan_says),
		cmocka_unit_test(an_operation_ends_at_its_limit_although_the_node_says_that_it_is_alive),
		cmocka_unit_test(a_cancel_is_heard_while_the_node_says_that_it_is_alive),
		cmocka_unit_test(a_node_whose_clock_is_set_still_says_that_it_is_alive),
		cmocka_unit_test(without_a_second_channel_a_session_makes_a_connection_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
