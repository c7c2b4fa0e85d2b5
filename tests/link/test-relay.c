/* The relay: bytes in both directions through two unix sockets and an sshd, directions that end one by one, bounded
 * memory, and sockets that are removed at the end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "own-sshd.h"

enum { MIB = 1 << 20 };

static struct own_sshd sshd;
static char *near_path, *dir_path, *far_path;

/* ------------------------------------------------------------------ the peer's side, as the agent runs it */

static int far(void)
{
	const char *command = getenv("SSH_ORIGINAL_COMMAND");
	struct vmm_error *err = NULL;
	struct stream *s = stream_on_fds(0, 1);
	int done = command && str_starts(command, "relay ") ? relay_serve(s, command + strlen("relay "), &err) : -1;
	if (done < 0)
		log_warn("%s", err ? err->message : "the command is not \"relay PATH\"");
	stream_close(s);
	return done < 0 ? 1 : 0;
}

/* ------------------------------------------------------------------ helpers */

struct relay_process {
	pid_t pid;
	int errors; /* its stderr */
};

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	assert_true(strlen(path) < sizeof(at.sun_path));
	memcpy(at.sun_path, path, strlen(path));
	return at;
}

static int listen_at(const char *path)
{
	struct sockaddr_un at = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static int connect_to(const char *path)
{
	struct sockaddr_un at = address(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Its exit status: 0 after a signal, 2 if the connection was lost, 1 for other errors. */
static int run_relay(int ready)
{
	struct vmm_error *err = NULL;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	struct relay_socket socket = {.listen = near_path, .connect = far_path, .owner = geteuid(), .group = getegid()};
	peer.key = sshd.forced_key;
	if (relay_run(&peer, &socket, 1, ready, &err) == 0)
		return 0;
	log_warn("%s", err->message);
	return error_is(err, "link-lost") ? 2 : 1;
}

static struct relay_process start_relay(void)
{
	struct relay_process r;
	int ready[2], errors[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(errors), 0);
	r.pid = fork();
	if (r.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(errors[1], 2);
		close(ready[0]);
		_exit(run_relay(ready[1]));
	}
	close(ready[1]);
	close(errors[1]);
	r.errors = errors[0];
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return r;
}

/* Sends the signal (0: none), waits for the end and returns the exit status; *stderr_text may be NULL. */
static int end_relay(struct relay_process *r, int signal, char **stderr_text)
{
	char text[4096] = "";
	int status;
	if (signal)
		kill(r->pid, signal);
	waitpid(r->pid, &status, 0);
	fd_read_all(r->errors, text, sizeof(text) - 1);
	close(r->errors);
	if (stderr_text)
		*stderr_text = str_copy(text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void stop_cleanly(struct relay_process *r)
{
	assert_int_equal(end_relay(r, SIGTERM, NULL), 0);
	assert_false(file_there(near_path));
	assert_false(file_there(dir_path));
}

struct sender {
	int fd;
	size_t length;
	uint32_t seed;
	bool sent;
};

static void fill(char *data, size_t from, uint32_t seed)
{
	for (size_t i = 0; i < 65536; i++)
		data[i] = (char)(((from + i) * 2654435761u + seed) >> 13);
}

static void *send_all(void *arg)
{
	struct sender *s = arg;
	char data[65536];
	s->sent = true;
	for (size_t at = 0; at < s->length && s->sent; at += sizeof(data)) {
		fill(data, at, s->seed);
		s->sent = fd_write_all(s->fd, data, sizeof(data)) == 0;
	}
	shutdown(s->fd, SHUT_WR);
	return NULL;
}

/* Reads until the end; returns whether that were the bytes of that sender. */
static bool receive_all(int fd, size_t length, uint32_t seed)
{
	char data[65536], want[65536];
	for (size_t at = 0; at < length; at += sizeof(data)) {
		fill(want, at, seed);
		if (fd_read_all(fd, data, sizeof(data)) != sizeof(data) || memcmp(data, want, sizeof(data)) != 0)
			return false;
	}
	return fd_read_all(fd, data, 1) == 0;
}

static bool ends_within(int fd, int ms)
{
	char byte;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, ms) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

/* ------------------------------------------------------------------ tests */

static void sixteen_mib_go_both_ways_at_once(void **state)
{
	(void)state;
	int listening = listen_at(far_path);
	struct relay_process r = start_relay();
	int near = connect_to(near_path), far_end = accept(listening, NULL, NULL);
	struct sender up = {.fd = near, .length = 16 * MIB, .seed = 1},
		      down = {.fd = far_end, .length = 16 * MIB, .seed = 2};
	pthread_t threads[2];
	int64_t began = clock_steady_ms();
	pthread_create(&threads[0], NULL, send_all, &up);
	/* While all of one direction is received, nobody reads the other one. */
	pthread_create(&threads[1], NULL, send_all, &down);
	assert_true(receive_all(far_end, up.length, up.seed));
	assert_true(receive_all(near, down.length, down.seed));
	printf("  relay: %lld MiB/s each way\n", 16000LL / (long long)(clock_steady_ms() - began + 1));
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(up.sent && down.sent);
	close(near);
	close(far_end);
	close(listening);
	stop_cleanly(&r);
}

static void each_half_is_closed_by_itself(void **state)
{
	(void)state;
	char data[8];
	int listening = listen_at(far_path);
	struct relay_process r = start_relay();
	/* The near side ends first: the far side sees the end and can still write. */
	int near = connect_to(near_path), far_end = accept(listening, NULL, NULL);
	assert_int_equal(write(near, "ask", 3), 3);
	shutdown(near, SHUT_WR);
	assert_int_equal(fd_read_all(far_end, data, sizeof(data)), 3);
	clock_sleep_ms(100);
	assert_int_equal(write(far_end, "answer", 6), 6);
	close(far_end);
	assert_int_equal(fd_read_all(near, data, sizeof(data)), 6);
	close(near);
	/* And the other way round. */
	near = connect_to(near_path);
	far_end = accept(listening, NULL, NULL);
	assert_int_equal(write(far_end, "hello", 5), 5);
	shutdown(far_end, SHUT_WR);
	assert_int_equal(fd_read_all(near, data, sizeof(data)), 5);
	clock_sleep_ms(100);
	assert_int_equal(write(near, "bye", 3), 3);
	close(near);
	assert_int_equal(fd_read_all(far_end, data, sizeof(data)), 3);
	close(far_end);
	close(listening);
	stop_cleanly(&r);
}

static void a_side_that_closes_its_socket_ends_the_other(void **state)
{
	(void)state;
	int listening = listen_at(far_path);
	struct relay_process r = start_relay();
	int near = connect_to(near_path), far_end = accept(listening, NULL, NULL);
	close(near);
	assert_true(ends_within(far_end, 5000));
	close(far_end);
	near = connect_to(near_path);
	far_end = accept(listening, NULL, NULL);
	close(far_end);
	assert_true(ends_within(near, 5000));
	close(near);
	close(listening);
	stop_cleanly(&r);
}

static void a_connection_is_closed_if_nobody_listens_on_the_peer(void **state)
{
	(void)state;
	vmm_auto_free char *stderr_text = NULL;
	unlink(far_path);
	struct relay_process r = start_relay();
	int near = connect_to(near_path);
	assert_true(ends_within(near, 5000));
	close(near);
	/* The relay itself goes on. */
	int listening = listen_at(far_path);
	near = connect_to(near_path);
	int far_end = accept(listening, NULL, NULL);
	char data[1];
	assert_int_equal(write(far_end, "x", 1), 1);
	assert_int_equal(fd_read_all(near, data, 1), 1);
	close(near);
	close(far_end);
	close(listening);
	assert_int_equal(end_relay(&r, SIGTERM, &stderr_text), 0);
	assert_non_null(strstr(stderr_text, far_path));
	assert_non_null(strstr(stderr_text, "No such file"));
}

static int64_t used_ms(pid_t pid)
{
	vmm_auto_free char *path = str_format("/proc/%d/stat", (int)pid), *stat = NULL;
	unsigned long user = 0, system = 0;
	assert_int_equal(file_read(path, 65536, &stat, NULL, NULL), 0);
	assert_int_equal(
		sscanf(strrchr(stat, ')'), ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	return (int64_t)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

static size_t resident_kib(pid_t pid)
{
	vmm_auto_free char *path = str_format("/proc/%d/status", (int)pid), *status = NULL;
	assert_int_equal(file_read(path, 65536, &status, NULL, NULL), 0);
	return strtoul(strstr(status, "VmRSS:") + 6, NULL, 10);
}

/* Sends until nothing more is taken for half a second; returns the number of bytes. */
static size_t send_until_stuck(int fd)
{
	static char data[65536];
	size_t total = 0;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	while (total < 64 * MIB && poll(&p, 1, 500) == 1) {
		ssize_t put = send(fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);
		total += put > 0 ? (size_t)put : 0;
	}
	return total;
}

static void a_side_that_takes_nothing_stops_the_other_and_costs_no_cpu_time(void **state)
{
	(void)state;
	int listening = listen_at(far_path);
	struct relay_process r = start_relay();
	size_t before = resident_kib(r.pid);
	int near = connect_to(near_path), far_end = accept(listening, NULL, NULL);
	assert_true(send_until_stuck(near) < 16 * MIB);
	assert_true(send_until_stuck(far_end) < 16 * MIB);
	assert_true(resident_kib(r.pid) < before + (16 << 10));
	int64_t busy = used_ms(r.pid);
	clock_sleep_ms(1000);
	assert_true(used_ms(r.pid) - busy <= 50);
	/* The first connection does not hold up a second one. */
	int near2 = connect_to(near_path), far2 = accept(listening, NULL, NULL);
	char byte;
	assert_int_equal(write(near2, "x", 1), 1);
	assert_int_equal(fd_read_all(far2, &byte, 1), 1);
	/* A half-closed connection does not keep the relay busy either. */
	shutdown(near2, SHUT_WR);
	assert_int_equal(fd_read_all(far2, &byte, 1), 0);
	busy = used_ms(r.pid);
	clock_sleep_ms(500);
	assert_true(used_ms(r.pid) - busy <= 50);
	close(near2);
	close(far2);
	close(near);
	close(far_end);
	close(listening);
	stop_cleanly(&r);
}

/* Kills the sshd that serves the session: the parent of the agent that has the other end of this connection. */
static void break_connection(int far_end)
{
	struct ucred agent;
	socklen_t size = sizeof(agent);
	int parent = 0;
	assert_int_equal(getsockopt(far_end, SOL_SOCKET, SO_PEERCRED, &agent, &size), 0);
	vmm_auto_free char *path = str_format("/proc/%d/stat", (int)agent.pid), *stat = NULL;
	assert_int_equal(file_read(path, 65536, &stat, NULL, NULL), 0);
	assert_int_equal(sscanf(strrchr(stat, ')'), ") %*c %d", &parent), 1);
	assert_true(parent > 1);
	assert_int_equal(kill(parent, SIGKILL), 0);
}

static void a_lost_link_closes_every_connection_and_ends_the_relay(void **state)
{
	(void)state;
	vmm_auto_free char *stderr_text = NULL;
	int listening = listen_at(far_path);
	struct relay_process r = start_relay();
	int near[2], far_end[2];
	for (int i = 0; i < 2; i++) {
		near[i] = connect_to(near_path);
		far_end[i] = accept(listening, NULL, NULL);
	}
	break_connection(far_end[0]);
	for (int i = 0; i < 2; i++) {
		assert_true(ends_within(near[i], 5000));
		assert_true(ends_within(far_end[i], 5000));
		close(near[i]);
		close(far_end[i]);
	}
	assert_int_equal(end_relay(&r, 0, &stderr_text), 2);
	assert_non_null(strstr(stderr_text, "node2"));
	assert_false(file_there(near_path));
	assert_false(file_there(dir_path));
	close(listening);
}

static void its_sockets_belong_to_their_owner_alone_and_replace_stale_ones(void **state)
{
	(void)state;
	struct stat st;
	assert_int_equal(dir_make(dir_path, 0700, NULL), 0);
	close(listen_at(near_path));
	assert_true(file_there(near_path));
	struct relay_process r = start_relay();
	assert_int_equal(stat(near_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(stat(dir_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(end_relay(&r, SIGTERM, NULL), 0);
	/* The relay has not made the directory, and does not remove it. */
	assert_false(file_there(near_path));
	assert_true(file_there(dir_path));
	assert_int_equal(rmdir(dir_path), 0);
}

static void a_peer_that_cannot_be_reached_is_told_before_anything_listens(void **state)
{
	(void)state;
	vmm_auto_error struct vmm_error *err = NULL;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	struct relay_socket socket = {.listen = near_path, .connect = far_path, .owner = geteuid(), .group = getegid()};
	peer.port = free_port();
	assert_int_equal(relay_run(&peer, &socket, 1, -1, &err), -1);
	assert_true(error_is(err, "connection-refused"));
	assert_false(file_there(near_path));
}

static void a_file_at_the_sockets_path_is_left_alone(void **state)
{
	(void)state;
	vmm_auto_error struct vmm_error *err = NULL;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	struct relay_socket socket = {.listen = sshd.known_hosts, .connect = far_path};
	assert_int_equal(relay_run(&peer, &socket, 1, -1, &err), -1);
	assert_non_null(strstr(err->message, sshd.known_hosts));
	assert_true(file_there(sshd.known_hosts));
}

/* wrap: bind */

/* What somebody puts in the place of the next socket as soon as it is made: a link to this file; or NULL. */
static const char *victim;

int __real_bind(int fd, const struct sockaddr *at, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *at, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *at, socklen_t size)
{
	const char *path = ((const struct sockaddr_un *)at)->sun_path;
	int done = __real_bind(fd, at, size);
	if (victim && at->sa_family == AF_UNIX) {
		unlink(path);
		assert_int_equal(symlink(victim, path), 0);
	}
	return done;
}

/* QEMU's user can write the directory of the socket that memory crosses by. */
static void no_link_in_the_place_of_a_socket_is_given_away(void **state)
{
	(void)state;
	vmm_auto_error struct vmm_error *err = NULL;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	struct relay_socket socket = {.listen = near_path, .connect = far_path, .owner = 1234, .group = 1234};
	struct stat info;
	assert_int_equal(file_write("/run/of-the-host", "x", 1, 0644, NULL), 0);
	victim = "/run/of-the-host";
	int done = relay_run(&peer, &socket, 1, -1, &err);
	victim = NULL;
	assert_int_equal(done, -1);
	assert_int_equal(stat("/run/of-the-host", &info), 0);
	assert_int_equal(info.st_uid, geteuid());
	assert_int_equal(info.st_mode & 0777, 0644);
}

static void no_link_is_followed_to_a_socket_of_the_node(void **state)
{
	(void)state;
	static const char host[] = "/run/of-the-host.sock";
	static const char *const links[][2] = {
		{host, "/run/libvirt/qemu/vmmigrate/memory.tunnelmigrate.dest.link"},
		{"/run/libvirt/qemu/vmmigrate/memory.tunnelmigrate.dest.link",
		 "/run/libvirt/qemu/vmmigrate/memory.tunnelmigrate.dest.link2"},
	};
	vmm_auto_close int listener = listen_at(host);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	for (size_t i = 0; i < VMM_COUNT(links); i++) {
		struct stream *pair[2];
		vmm_auto_error struct vmm_error *err = NULL;
		assert_int_equal(symlink(links[i][0], links[i][1]), 0);
		assert_int_equal(stream_pair(pair, NULL), 0);
		stream_close(pair[1]);
		assert_int_equal(relay_serve(pair[0], links[i][1], &err), -1);
		assert_non_null(strstr(err->message, links[i][1]));
		assert_int_equal(accept4(listener, NULL, NULL, SOCK_CLOEXEC), -1);
		stream_close(pair[0]);
	}
	for (size_t i = 0; i < VMM_COUNT(links); i++)
		unlink(links[i][1]);
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
	(void)state;
	vmm_auto_error struct vmm_error *err = NULL;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	vmm_auto_free char *longer = str_format("%s/%0100d", dir_path, 0);
	struct relay_socket socket = {.listen = longer, .connect = far_path, .owner = geteuid(), .group = getegid()};
	assert_int_equal(relay_run(&peer, &socket, 1, -1, &err), -1);
	assert_true(error_is(err, "bad-path"));
	assert_false(file_there(dir_path));
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc > 1 && !strcmp(argv[1], "far"))
		return far();
	if (!enter_namespace() || dir_make("/run/libvirt/qemu/vmmigrate", 0700, NULL) < 0) {
		printf("test-relay: skipped, no mount namespace can be made here\n");
		return 0;
	}
	own_sshd_start(&sshd, "");
	far_path = relay_migration_socket("test");
	dir_path = str_format("%s/relay", sshd.dir);
	near_path = str_format("%s/socket", dir_path);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sixteen_mib_go_both_ways_at_once),
		cmocka_unit_test(each_half_is_closed_by_itself),
		cmocka_unit_test(a_side_that_closes_its_socket_ends_the_other),
		cmocka_unit_test(a_connection_is_closed_if_nobody_listens_on_the_peer),
		cmocka_unit_test(a_side_that_takes_nothing_stops_the_other_and_costs_no_cpu_time),
		cmocka_unit_test(a_lost_link_closes_every_connection_and_ends_the_relay),
		cmocka_unit_test(its_sockets_belong_to_their_owner_alone_and_replace_stale_ones),
		cmocka_unit_test(a_peer_that_cannot_be_reached_is_told_before_anything_listens),
		cmocka_unit_test(a_file_at_the_sockets_path_is_left_alone),
		cmocka_unit_test(no_link_in_the_place_of_a_socket_is_given_away),
		cmocka_unit_test(no_link_is_followed_to_a_socket_of_the_node),
		cmocka_unit_test(a_path_too_long_for_a_socket_is_refused),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(far_path);
	free(dir_path);
	free(near_path);
	own_sshd_stop(&sshd);
	return failed;
}
