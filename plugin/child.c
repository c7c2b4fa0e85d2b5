/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One engine process. The host (a panel) must not notice it, and it must not depend on the host:
 *   - It inherits no descriptors, signal mask or working directory, and of the environment only VMMIGRATE_* variables.
 *   - Its stdin and stderr are files in memory, so that neither side ever waits for the other to read or write, and no
 * write of ours can raise SIGPIPE in the host.
 *   - Its stdout is a socket, so that we can look at what has come without taking it (MSG_PEEK). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENGINE	     "/usr/libexec/vmmigrate/vmmigrate-engine"
#define PKEXEC	     "/usr/bin/pkexec"
#define STDERR_LIMIT 16384

/* Moves a descriptor to a number above 2. A host that has closed its stdin, stdout or stderr would get our descriptor
 * under that number, and would then read or print into it. */
static int fd_clear(int fd)
{
	int clear = fd;

	if (fd >= 0 && fd <= STDERR_FILENO) {
		clear = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		close(fd);
	}
	return clear;
}

/* A file in memory that holds `text`, positioned at its beginning. -1 with errno. */
static int memory_with(const char *text)
{
	size_t length = strlen(text);
	int fd = fd_clear(memfd_create("vmmigrate-request", MFD_CLOEXEC));

	if (fd < 0)
		return -1;
	for (size_t done = 0; done < length;) {
		ssize_t n = write(fd, text + done, length - done);

		if (n < 0 && errno != EINTR) {
			close(fd);
			return -1;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* A file in memory that cannot grow beyond STDERR_LIMIT, however much the engine writes. -1 with errno. */
static int memory_limited(void)
{
	int fd = fd_clear(memfd_create("vmmigrate-stderr", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	if (fd >= 0 && (ftruncate(fd, STDERR_LIMIT) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The engine's environment: PATH, a locale that every system has, and the host's VMMIGRATE_* variables unless the host
 * is setuid. The caller frees the array, not the strings. NULL for lack of memory. */
static char **environment_make(void)
{
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char locale[] = "LC_ALL=C.UTF-8";
	size_t count = 0, n = 0;
	char **list;

	while (environ && environ[count])
		count++;
	list = calloc(count + 3, sizeof(*list));
	if (!list)
		return NULL;
	list[n++] = path;
	list[n++] = locale;
	for (size_t i = 0; i < count && !getauxval(AT_SECURE); i++)
		if (strncmp(environ[i], "VMMIGRATE_", strlen("VMMIGRATE_")) == 0)
			list[n++] = environ[i];
	return list;
}

static int actions_make(posix_spawn_file_actions_t *actions, int in, int out, int err)
{
	int rc = posix_spawn_file_actions_adddup2(actions, in, STDIN_FILENO);

	rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, out, STDOUT_FILENO);
	rc = rc ? rc : posix_spawn_file_actions_adddup2(actions, err, STDERR_FILENO);
	rc = rc ? rc : posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
	return rc ? rc : posix_spawn_file_actions_addchdir_np(actions, "/");
}

/* All signals unblocked and with their default action. The engine gets a session of its own, so that Ctrl-C on the
 * host's terminal does not reach it; pkexec stays in the host's session, since it may have to ask for a password on
 * that terminal. */
static int attributes_make(posix_spawnattr_t *attributes, bool pkexec)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | (pkexec ? 0 : POSIX_SPAWN_SETSID);
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawnattr_setflags(attributes, flags);
	rc = rc ? rc : posix_spawnattr_setsigmask(attributes, &none);
	return rc ? rc : posix_spawnattr_setsigdefault(attributes, &all);
}

static int spawn(struct child *child, char **argv, int in, int out)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char **environment = environment_make();
	int rc = environment ? posix_spawn_file_actions_init(&actions) : ENOMEM;

	if (rc == 0) {
		rc = posix_spawnattr_init(&attributes);
		if (rc == 0) {
			rc = actions_make(&actions, in, out, child->stderr_fd);
			rc = rc ? rc : attributes_make(&attributes, child->pkexec);
			rc = rc ? rc : posix_spawn(&child->pid, argv[0], &actions, &attributes, argv, environment);
			posix_spawnattr_destroy(&attributes);
		}
		posix_spawn_file_actions_destroy(&actions);
	}
	free(environment);
	return rc;
}

static void close_all(struct child *child)
{
	if (child->out >= 0)
		close(child->out);
	if (child->stderr_fd >= 0)
		close(child->stderr_fd);
	if (child->pidfd >= 0)
		close(child->pidfd);
}

/* The word for which pkexec asks for an action (org.vmmigrate.policy). The engine looks at the request itself: here too
 * little would only have it refused. */
static const char *right_for(const char *verb, const char *request)
{
	static const char *const beyond[] = {"\"keep\"", "\"forget\"", "\"map_mount\"", "\"map-mount\""};

	if (strcmp(verb, "node-add") == 0 || strcmp(verb, "node-remove") == 0)
		return "administer";
	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
		if (strstr(request, beyond[i]))
			return "administer";
	return "manage";
}

int child_start(struct child *child, const char *verb, const char *request)
{
	const char *override = secure_getenv("VMMIGRATE_ENGINE"), *other_pkexec = secure_getenv("VMMIGRATE_PKEXEC");
	char *engine = (char *)(override ? override : ENGINE);
	char *pkexec = (char *)(other_pkexec ? other_pkexec : PKEXEC);
	char *direct[] = {engine, (char *)verb, NULL};
	char *through_pkexec[] = {pkexec, engine, (char *)right_for(verb, request), (char *)verb, NULL};
	int pair[2] = {-1, -1}, in = memory_with(request), rc = 0;

	*child = (struct child){.pidfd = -1,
				.out = -1,
				.stderr_fd = memory_limited(),
				.pkexec = other_pkexec || (!override && geteuid() != 0)};
	child->administer = strcmp(through_pkexec[2], "administer") == 0;
	if (in < 0 || child->stderr_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		rc = errno;
	pair[0] = fd_clear(pair[0]);
	pair[1] = fd_clear(pair[1]);
	child->out = pair[0];
	if (rc == 0 && (pair[0] < 0 || pair[1] < 0))
		rc = EMFILE;
	if (rc == 0 && (*engine != '/' || access(engine, X_OK) < 0))
		rc = ENOENT;
	else if (rc == 0 && child->pkexec && access(pkexec, X_OK) < 0)
		rc = EACCES;
	if (rc == 0)
		rc = spawn(child, child->pkexec ? through_pkexec : direct, in, pair[1]);
	if (rc == 0)
		child->pidfd = fd_clear(pidfd_open(child->pid, 0));
	if (in >= 0)
		close(in);
	if (pair[1] >= 0)
		close(pair[1]);
	if (rc != 0)
		close_all(child);
	return rc;
}

ssize_t child_read(struct child *child, void *data, size_t room, bool wait, bool peek)
{
	struct pollfd fds[] = {{.fd = child->out, .events = POLLIN}, {.fd = child->pidfd, .events = POLLIN}};

	for (;;) {
		ssize_t n = recv(child->out, data, room, MSG_DONTWAIT | (peek ? MSG_PEEK : 0));

		if (n >= 0 || errno != EAGAIN || !wait)
			return n;
		/* A process that the engine left behind may hold its stdout open. So the end of the engine counts as
		 * the end of its output. */
		if (fds[1].revents)
			return 0;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return -1;
	}
}

void child_stderr_line(const struct child *child, char *line, size_t room)
{
	char text[STDERR_LIMIT + 1];
	ssize_t n = pread(child->stderr_fd, text, STDERR_LIMIT, 0);
	char *end, *start;

	text[n > 0 ? n : 0] = '\0';
	end = text + strlen(text);
	while (end > text && (unsigned char)end[-1] <= ' ')
		*--end = '\0';
	start = strrchr(text, '\n');
	start = start ? start + 1 : text;
	if ((size_t)(end - start) >= room)
		start[room - 1] = '\0';
	for (char *p = start; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	memcpy(line, start, strlen(start) + 1);
}

static void child_signal(struct child *child, int number)
{
	if (child->pidfd >= 0)
		pidfd_send_signal(child->pidfd, number, NULL, 0);
	else
		kill(child->pid, number);
}

void child_stop(struct child *child)
{
	shutdown(child->out, SHUT_RDWR);
	child_signal(child, SIGTERM);
}

int child_end(struct child *child, int limit_ms)
{
	struct pollfd fd = {.fd = child->pidfd, .events = POLLIN};
	int status = 0, options = 0;
	pid_t rc;

	if (child->pidfd >= 0 && poll(&fd, 1, limit_ms) == 0) {
		child_signal(child, SIGKILL);
		/* An engine that pkexec has started runs as root and cannot be killed by us, so we do not wait for it.
		 * It ends by itself when it writes to its stdout, which is closed. */
		options = child->pkexec ? WNOHANG : 0;
	}
	do
		rc = waitpid(child->pid, &status, options);
	while (rc < 0 && errno == EINTR);
	close_all(child);
	if (rc <= 0)
		return -1;
	return WIFSIGNALED(status) ? CHILD_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}
