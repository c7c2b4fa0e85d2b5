/* Commands over a session, against a real sshd: output, stderr and status, both sides writing at once, and a broken
 * connection that is distinguished from the end of a command. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "own-sshd.h"

enum { MIB = 1 << 20 };

static struct own_sshd sshd;

/* ------------------------------------------------------------------ the other node */

/* The forced command: this program itself. */
static int far(void)
{
	const char *command = getenv("SSH_ORIGINAL_COMMAND");
	struct stream *s = stream_on_fds(0, 1);
	vmm_auto_free char *data = mem_zero(32 * MIB),
			   *line = str_format("command: %s\n", command ? command : "(none)");
	int done = 0;
	if (!str_same(command, "both write first"))
		done = stream_write(s, line, strlen(line), NULL);
	else if ((done = stream_write(s, data, 32 * MIB, NULL)) == 0)
		done = stream_read_all(s, data, 32 * MIB, 20000, NULL);
	stream_close(s);
	return done == 0 ? 0 : 1;
}

/* ------------------------------------------------------------------ helpers */

static struct ssh *open_peer(void)
{
	struct ssh *ssh = NULL;
	struct vmm_error *err = NULL;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	if (ssh_open(&peer, &ssh, &err) < 0)
		fail_msg("%s", err->message);
	return ssh;
}

static struct stream *run_there(struct ssh *ssh, const char *command)
{
	struct stream *s = NULL;
	struct vmm_error *err = NULL;
	if (ssh_exec(ssh, command, &s, &err) < 0)
		fail_msg("%s", err->message);
	return s;
}

/* Reads until the stream's end; the text belongs to the caller. */
static char *read_text(struct stream *s)
{
	struct text text = {0};
	char data[4096];
	ssize_t got;
	while ((got = stream_read(s, data, sizeof(data), 10000, NULL)) > 0)
		text_add_bytes(&text, data, (size_t)got);
	assert_int_equal(got, 0);
	return text_take(&text);
}

/* ------------------------------------------------------------------ commands */

static void status_output_and_stderr_of_a_command_are_told(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "echo out; echo one >&2; echo two >&2; exit 7");
	int status;
	vmm_auto_free char *out = read_text(s), *stderr_text = ssh_stderr(s, &status);
	assert_string_equal(out, "out\n");
	assert_string_equal(stderr_text, "one\ntwo\n");
	assert_int_equal(status, 7);
	stream_close(s);
	ssh_close(ssh);
}

static void a_command_that_is_missing_ends_the_stream_with_127(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "/does/not/exist/agent");
	int status;
	vmm_auto_free char *out = read_text(s), *stderr_text = ssh_stderr(s, &status);
	assert_string_equal(out, "");
	assert_int_equal(status, 127);
	assert_non_null(strstr(stderr_text, "/does/not/exist/agent"));
	stream_close(s);
	ssh_close(ssh);
}

static void a_command_that_a_signal_ended_says_which(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "kill -KILL $$");
	int status;
	vmm_auto_free char *out = read_text(s), *stderr_text = ssh_stderr(s, &status);
	assert_string_equal(out, "");
	assert_int_equal(status, -1);
	assert_string_equal(stderr_text, "killed by SIGKILL");
	stream_close(s);
	ssh_close(ssh);
}

static void much_stderr_does_not_stop_the_output(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "head -c 8000000 /dev/zero | tr '\\0' e >&2; echo; echo end >&2; echo out");
	int status;
	vmm_auto_free char *out = read_text(s), *stderr_text = ssh_stderr(s, &status);
	assert_string_equal(out, "\nout\n");
	assert_true(strlen(stderr_text) <= 65536);
	assert_true(str_ends(stderr_text, "eend\n"));
	stream_close(s);
	ssh_close(ssh);
}

static void a_forced_command_gets_the_command_that_was_asked_for(void **state)
{
	(void)state;
	struct ssh *ssh = NULL;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	peer.key = sshd.forced_key;
	assert_int_equal(ssh_open(&peer, &ssh, NULL), 0);
	struct stream *s = run_there(ssh, "relay /run/x; id");
	vmm_auto_free char *out = read_text(s);
	assert_string_equal(out, "command: relay /run/x; id\n");
	stream_close(s);
	ssh_close(ssh);
}

static void a_write_to_an_ended_command_fails_with_its_last_line_of_stderr(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "echo first >&2; echo no agent here >&2; exit 3");
	vmm_auto_free char *data = mem_zero(MIB);
	vmm_auto_error struct vmm_error *err = NULL;
	for (int i = 0; i < 100 && !err; i++)
		stream_write(s, data, MIB, &err);
	assert_true(error_is(err, "link-lost"));
	assert_non_null(strstr(err->message, "node2"));
	assert_non_null(strstr(err->message, "no agent here"));
	stream_close(s);
	/* The session can still be used. */
	s = run_there(ssh, "echo still");
	vmm_auto_free char *out = read_text(s);
	assert_string_equal(out, "still\n");
	stream_close(s);
	ssh_close(ssh);
}

static void a_channel_too_many_is_refused_and_the_session_goes_on(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s[3] = {run_there(ssh, "cat"), run_there(ssh, "cat"), run_there(ssh, "cat")}, *more = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(ssh_exec(ssh, "cat", &more, &err), -1);
	assert_true(error_is(err, "channel-refused"));
	assert_non_null(strstr(err->hint, "MaxSessions"));
	for (int i = 0; i < 3; i++) {
		stream_write(s[i], "x", 1, NULL);
		stream_finish(s[i]);
		vmm_auto_free char *out = read_text(s[i]);
		assert_string_equal(out, "x");
		stream_close(s[i]);
	}
	ssh_close(ssh);
}

/* ------------------------------------------------------------------ carrying */

static void silence_is_told_after_the_time_given(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "cat");
	char byte;
	vmm_auto_error struct vmm_error *err = NULL;
	int64_t began = clock_steady_ms();
	assert_int_equal(stream_read(s, &byte, 1, 200, &err), -1);
	assert_true(error_is(err, "link-silent"));
	assert_in_range(clock_steady_ms() - began, 200, 1500);
	/* The stream can still be used. */
	assert_int_equal(stream_write(s, "x", 1, NULL), 0);
	assert_int_equal(stream_read_all(s, &byte, 1, 5000, NULL), 0);
	stream_close(s);
	ssh_close(ssh);
}

static void fill(uint32_t *data, size_t number)
{
	for (size_t i = 0; i < MIB / sizeof(*data); i++)
		data[i] = (uint32_t)((number << 18 | i) * 2654435761u);
}

/* 64 MiB are written before any of it is read back. sshd renegotiates keys several times meanwhile. */
static void an_echo_of_64_mib_is_whole_though_nobody_reads_meanwhile(void **state)
{
	(void)state;
	enum { COUNT = 64 };
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "cat");
	vmm_auto_free uint32_t *data = mem_zero(MIB), *back = mem_zero(MIB);
	int64_t began = clock_steady_ms();
	for (size_t i = 0; i < COUNT; i++) {
		fill(data, i);
		assert_int_equal(stream_write(s, data, MIB, NULL), 0);
	}
	stream_finish(s);
	for (size_t i = 0; i < COUNT; i++) {
		fill(data, i);
		assert_int_equal(stream_read_all(s, back, MIB, 10000, NULL), 0);
		assert_memory_equal(data, back, MIB);
	}
	int64_t took = clock_steady_ms() - began;
	assert_int_equal(stream_read(s, back, 1, 5000, NULL), 0);
	assert_int_equal(s->sent, (uint64_t)COUNT * MIB);
	assert_int_equal(s->received, (uint64_t)COUNT * MIB);
	printf("  echo: %lld MiB/s each way\n", COUNT * 1000LL / (long long)took);
	uint64_t sent, received;
	ssh_counters(ssh, &sent, &received);
	assert_true(sent > (uint64_t)COUNT * MIB && received > (uint64_t)COUNT * MIB);
	stream_close(s);
	ssh_close(ssh);
}

static void two_sides_that_both_write_first_do_not_wait_on_each_other(void **state)
{
	(void)state;
	struct ssh *ssh = NULL;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	vmm_auto_free char *data = mem_zero(32 * MIB);
	int status;
	peer.key = sshd.forced_key;
	assert_int_equal(ssh_open(&peer, &ssh, NULL), 0);
	struct stream *s = run_there(ssh, "both write first");
	assert_int_equal(stream_write(s, data, 32 * MIB, NULL), 0);
	assert_int_equal(stream_read_all(s, data, 32 * MIB, 10000, NULL), 0);
	assert_int_equal(stream_read(s, data, 1, 5000, NULL), 0);
	free(ssh_stderr(s, &status));
	assert_int_equal(status, 0);
	stream_close(s);
	ssh_close(ssh);
}

static void channels_of_one_session_do_not_disturb_each_other(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *echo = run_there(ssh, "cat"), *deaf = run_there(ssh, "exec sleep 100"),
		      *loud = run_there(ssh, "yes");
	vmm_auto_free char *data = mem_zero(MIB), *back = mem_zero(MIB);
	/* One channel sends what nobody reads, one takes nothing; the third is not affected. */
	for (int i = 0; i < 8; i++) {
		memset(data, 'a' + i, MIB);
		assert_int_equal(stream_write(echo, data, MIB, NULL), 0);
		assert_int_equal(stream_read_all(echo, back, MIB, 10000, NULL), 0);
		assert_memory_equal(data, back, MIB);
	}
	assert_int_equal(stream_read_all(loud, back, MIB, 10000, NULL), 0);
	for (int i = 0; i < MIB; i++)
		assert_int_equal(back[i], i % 2 ? '\n' : 'y');
	stream_close(loud);
	stream_close(deaf);
	assert_int_equal(stream_write(echo, "end", 3, NULL), 0);
	assert_int_equal(stream_read_all(echo, back, 3, 5000, NULL), 0);
	stream_close(echo);
	ssh_close(ssh);
}

static void writes_of_a_mebibyte_go_fast(void **state)
{
	(void)state;
	enum { COUNT = 256 };
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "cat >/dev/null");
	vmm_auto_free char *data = mem_zero(MIB);
	int64_t began = clock_steady_ms();
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(stream_write(s, data, MIB, NULL), 0);
	stream_finish(s);
	vmm_auto_free char *out = read_text(s);
	printf("  push of 1 MiB writes: %lld MiB/s\n", COUNT * 1000LL / (long long)(clock_steady_ms() - began));
	stream_close(s);
	ssh_close(ssh);
}

/* ------------------------------------------------------------------ a broken connection */

static void carry_one(struct ssh *ssh, struct stream *s)
{
	uint64_t moved = 0;
	char text[8] = "";
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fd_write_all(pair[0], "there\n", 6), 0);
	assert_int_equal(ssh_carry(ssh, s, NULL, pair[1], &moved, NULL), 0);
	assert_int_equal(moved, 12);
	assert_int_equal(fd_read_all(pair[0], text, sizeof(text)), 6);
	assert_string_equal(text, "there\n");
	close(pair[0]);
}

/* Compares with plain reads of the same output: if the end were not noticed at once, each carry would take a second
 * more. */
static void what_is_carried_ends_with_the_command(void **state)
{
	(void)state;
	enum { TIMES = 12 };
	int64_t spent[2] = {0, 0};
	struct ssh *ssh = open_peer();
	for (int i = 0; i < 2 * TIMES; i++) {
		int64_t began = clock_steady_ms();
		struct stream *s =
			run_there(ssh, i % 2 ? "echo there; sleep 0.02" : "read line; echo $line; sleep 0.02");
		vmm_auto_free char *text = NULL;
		if (i % 2)
			text = read_text(s);
		else
			carry_one(ssh, s);
		spent[i % 2] += clock_steady_ms() - began;
		stream_close(s);
	}
	assert_true(spent[0] < spent[1] + TIMES * 500);
	ssh_close(ssh);
}

/* The pid of the sshd that serves this channel: the command prints it as its first line. */
static pid_t server_of(struct stream *s)
{
	char line[32] = "";
	for (size_t i = 0; i < sizeof(line) - 1; i++) {
		assert_int_equal(stream_read_all(s, line + i, 1, 5000, NULL), 0);
		if (line[i] == '\n')
			break;
	}
	return (pid_t)atoi(line);
}

static void a_cut_link_is_told_to_reader_and_writer(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "echo $PPID; cat"), *other = run_there(ssh, "cat"), *more = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	char data[16] = "";
	pid_t server = server_of(s);
	assert_true(server > 1);
	assert_int_equal(kill(server, SIGKILL), 0);
	int64_t began = clock_steady_ms();
	assert_int_equal(stream_read(s, data, sizeof(data), 10000, &err), -1);
	assert_true(error_is(err, "link-lost"));
	assert_non_null(strstr(err->message, "node2"));
	error_clear(&err);
	assert_int_equal(stream_write(other, data, sizeof(data), &err), -1);
	assert_true(error_is(err, "link-lost"));
	error_clear(&err);
	assert_int_equal(ssh_exec(ssh, "cat", &more, &err), -1);
	assert_true(error_is(err, "link-lost"));
	assert_true(clock_steady_ms() - began < 3000);
	stream_finish(other);
	stream_close(other);
	stream_close(s);
	ssh_close(ssh);
}

static void a_link_cut_while_we_write_is_told(void **state)
{
	(void)state;
	struct ssh *ssh = open_peer();
	struct stream *s = run_there(ssh, "echo $PPID; exec sleep 100");
	vmm_auto_free char *data = mem_zero(MIB);
	vmm_auto_error struct vmm_error *err = NULL;
	pid_t server = server_of(s), killer = fork();
	if (killer == 0) {
		clock_sleep_ms(300);
		_exit(kill(server, SIGKILL));
	}
	int64_t began = clock_steady_ms();
	for (int i = 0; i < 100 && !err; i++)
		stream_write(s, data, MIB, &err);
	assert_true(error_is(err, "link-lost"));
	assert_true(clock_steady_ms() - began < 5000);
	waitpid(killer, NULL, 0);
	stream_close(s);
	ssh_close(ssh);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "far"))
		return far();
	enter_namespace();
	own_sshd_start(&sshd, "MaxSessions 3\nRekeyLimit 16M\nMaxStartups 50\n");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_output_and_stderr_of_a_command_are_told),
		cmocka_unit_test(a_command_that_is_missing_ends_the_stream_with_127),
		cmocka_unit_test(a_command_that_a_signal_ended_says_which),
		cmocka_unit_test(much_stderr_does_not_stop_the_output),
		cmocka_unit_test(a_forced_command_gets_the_command_that_was_asked_for),
		cmocka_unit_test(a_write_to_an_ended_command_fails_with_its_last_line_of_stderr),
		cmocka_unit_test(a_channel_too_many_is_refused_and_the_session_goes_on),
		cmocka_unit_test(silence_is_told_after_the_time_given),
		cmocka_unit_test(an_echo_of_64_mib_is_whole_though_nobody_reads_meanwhile),
		cmocka_unit_test(two_sides_that_both_write_first_do_not_wait_on_each_other),
		cmocka_unit_test(channels_of_one_session_do_not_disturb_each_other),
		cmocka_unit_test(writes_of_a_mebibyte_go_fast),
		cmocka_unit_test(what_is_carried_ends_with_the_command),
		cmocka_unit_test(a_cut_link_is_told_to_reader_and_writer),
		cmocka_unit_test(a_link_cut_while_we_write_is_told),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	own_sshd_stop(&sshd);
	return failed;
}
