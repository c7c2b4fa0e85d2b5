/* Connecting, against a real sshd: every way to fail has an error code and a remedy, every wait has a time limit, and a
 * host whose key is not known is refused. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "own-sshd.h"

static struct own_sshd sshd;
static bool isolated; /* we have a mount namespace of our own */

static void fails_with(const struct ssh_peer *peer, const char *code, const char *in_hint)
{
	struct ssh *ssh = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(ssh_open(peer, &ssh, &err), -1);
	assert_string_equal(err->code, code);
	assert_int_equal(err->exit, VMM_BLOCKED);
	assert_non_null(strstr(err->message, "node2"));
	assert_non_null(err->hint);
	assert_non_null(strstr(err->hint, in_hint));
	printf("  %s: %s\n    %s\n", err->code, err->message, err->hint);
}

/* A socket of 127.0.0.1 that listens. */
static int listen_here(int backlog, int *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	getsockname(fd, (struct sockaddr *)&at, &size);
	*port = ntohs(at.sin_port);
	return fd;
}

/* ------------------------------------------------------------------ connecting */

static void a_name_without_address_is_unresolved(void **state)
{
	(void)state;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	peer.address = "no-such-host.invalid";
	fails_with(&peer, "name-unresolved", "/etc/hosts");
}

static void a_port_without_sshd_is_refused(void **state)
{
	(void)state;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	peer.port = free_port();
	fails_with(&peer, "connection-refused", "systemctl start ssh");
}

static void an_address_that_does_not_answer_times_out(void **state)
{
	(void)state;
	int port, waiting[4];
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	vmm_auto_close int fd = listen_here(0, &port);
	to.sin_port = htons((uint16_t)port);
	/* The queue is full then: further connections get no answer. */
	for (size_t i = 0; i < VMM_COUNT(waiting); i++) {
		waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(waiting[i], (struct sockaddr *)&to, sizeof(to));
	}
	struct ssh_peer peer = own_sshd_peer(&sshd);
	peer.port = port;
	peer.connect_ms = 300;
	int64_t began = clock_steady_ms();
	fails_with(&peer, "connection-timeout", "firewall");
	assert_in_range(clock_steady_ms() - began, 300, 3000);
	for (size_t i = 0; i < VMM_COUNT(waiting); i++)
		close(waiting[i]);
}

static void a_listener_that_says_nothing_times_out(void **state)
{
	(void)state;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	vmm_auto_close int fd = listen_here(4, &peer.port);
	peer.connect_ms = 300;
	int64_t began = clock_steady_ms();
	fails_with(&peer, "connection-timeout", "sshd");
	assert_in_range(clock_steady_ms() - began, 300, 3000);
}

static void *answer_once(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);
	assert_int_equal(write(fd, "no ssh\r\n", 8), 8);
	close(fd);
	return NULL;
}

static void a_listener_that_is_no_sshd_is_a_lost_link(void **state)
{
	(void)state;
	pthread_t thread;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	vmm_auto_close int fd = listen_here(4, &peer.port);
	pthread_create(&thread, NULL, answer_once, &fd);
	fails_with(&peer, "link-lost", "journalctl -u ssh");
	pthread_join(thread, NULL);
}

/* In a network namespace whose interfaces are down there is no route to anywhere. */
static void an_address_without_route_is_told(void **state)
{
	(void)state;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	pid_t pid = fork();
	if (pid == 0) {
		struct ssh *ssh;
		struct vmm_error *err = NULL;
		if (unshare(CLONE_NEWNET) < 0)
			_exit(77);
		_exit(ssh_open(&peer, &ssh, &err) < 0 && error_is(err, "no-route") && err->hint ? 0 : 1);
	}
	int status;
	waitpid(pid, &status, 0);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* ------------------------------------------------------------------ keys */

static void write_known(const char *path, const char *key_file)
{
	vmm_auto_free char *key = NULL, *pub = str_format("%s.pub", key_file);
	assert_int_equal(file_read(pub, 65536, &key, NULL, NULL), 0);
	vmm_auto_free char *line = str_format("[127.0.0.1]:%d %s", sshd.port, key);
	assert_int_equal(file_write(path, line, strlen(line), 0600, NULL), 0);
}

static void an_unknown_host_key_is_refused(void **state)
{
	(void)state;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	peer.known_hosts = "/dev/null";
	fails_with(&peer, "host-key-unknown", "vmmigrate node add node2 127.0.0.1");
	peer.known_hosts = "/does/not/exist";
	fails_with(&peer, "host-key-unknown", "vmmigrate node add node2 127.0.0.1");
}

static void a_changed_host_key_is_refused(void **state)
{
	(void)state;
	vmm_auto_free char *wrong = str_format("%s/wrong_hosts", sshd.dir);
	struct ssh_peer peer = own_sshd_peer(&sshd);
	peer.known_hosts = wrong;
	write_known(wrong, sshd.foreign_key);
	fails_with(&peer, "host-key-changed", "ssh-keygen -f");
	/* A known key of another type counts as a changed key too. */
	vmm_auto_free char *other = str_format("%s/ecdsa", sshd.dir);
	must_run("ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", other);
	write_known(wrong, other);
	fails_with(&peer, "host-key-changed", "ssh-keygen -f");
}

static void the_system_wide_known_hosts_file_is_used_too(void **state)
{
	(void)state;
	vmm_auto_free char *host = str_format("%s/host", sshd.dir);
	struct ssh_peer peer = own_sshd_peer(&sshd);
	struct ssh *ssh = NULL;
	if (!isolated)
		skip();
	peer.known_hosts = "/dev/null";
	write_known("/etc/ssh/ssh_known_hosts", host);
	assert_int_equal(ssh_open(&peer, &ssh, NULL), 0);
	ssh_close(ssh);
	write_known("/etc/ssh/ssh_known_hosts", sshd.foreign_key);
	fails_with(&peer, "host-key-changed", "/etc/ssh/ssh_known_hosts");
	assert_int_equal(unlink("/etc/ssh/ssh_known_hosts"), 0);
}

static void ssh_config_cannot_disable_the_check(void **state)
{
	(void)state;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	static const char lax[] = "Host *\n\tStrictHostKeyChecking no\n";
	if (!isolated)
		skip();
	assert_int_equal(file_write("/etc/ssh/ssh_config", lax, strlen(lax), 0644, NULL), 0);
	peer.known_hosts = "/dev/null";
	fails_with(&peer, "host-key-unknown", "vmmigrate node add");
	assert_int_equal(unlink("/etc/ssh/ssh_config"), 0);
}

static void a_foreign_key_is_rejected(void **state)
{
	(void)state;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	peer.key = sshd.foreign_key;
	fails_with(&peer, "key-rejected", "authorized_keys");
	peer.key = "/does/not/exist";
	fails_with(&peer, "key-unreadable", "vmmigrate node add");
}

static void the_fingerprint_is_the_one_that_ssh_keygen_prints(void **state)
{
	(void)state;
	struct ssh_peer peer = own_sshd_peer(&sshd);
	struct run_result result;
	vmm_auto_free char *fingerprint = NULL, *line = NULL, *host = str_format("%s/host.pub", sshd.dir),
			   *known = NULL;
	peer.known_hosts = "/dev/null";
	peer.key = "/does/not/exist";
	assert_int_equal(ssh_fingerprint(&peer, &fingerprint, &line, NULL), 0);
	const char *const argv[] = {"ssh-keygen", "-lf", host, NULL};
	assert_int_equal(run_checked(&(struct run){.argv = argv}, &result, NULL), 0);
	assert_non_null(strstr(result.out, fingerprint));
	run_result_free(&result);
	assert_int_equal(file_read(sshd.known_hosts, 65536, &known, NULL, NULL), 0);
	assert_true(str_starts(known, line));
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	isolated = enter_namespace();
	own_sshd_start(&sshd, "MaxStartups 50\n");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_without_address_is_unresolved),
		cmocka_unit_test(a_port_without_sshd_is_refused),
		cmocka_unit_test(an_address_that_does_not_answer_times_out),
		cmocka_unit_test(a_listener_that_says_nothing_times_out),
		cmocka_unit_test(a_listener_that_is_no_sshd_is_a_lost_link),
		cmocka_unit_test(an_address_without_route_is_told),
		cmocka_unit_test(an_unknown_host_key_is_refused),
		cmocka_unit_test(a_changed_host_key_is_refused),
		cmocka_unit_test(the_system_wide_known_hosts_file_is_used_too),
		cmocka_unit_test(ssh_config_cannot_disable_the_check),
		cmocka_unit_test(a_foreign_key_is_rejected),
		cmocka_unit_test(the_fingerprint_is_the_one_that_ssh_keygen_prints),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	own_sshd_stop(&sshd);
	return failed;
}
