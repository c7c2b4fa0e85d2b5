/* tree.c: runs rsync: the sending one on the source, the receiving one on the target. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tree/tree.h"

enum { PROGRESS_MS = 100, SOCKET_FD = 3, STDERR_MOST = 64 << 10, LOCK_WAIT_MS = 10000, SYNC_MS = 1000 };

/* Either rsync gives up if it receives nothing for 60 seconds. While it works it sends keep-alive messages. */
#define IO_TIMEOUT "--timeout=60"
/* Compare times to the nanosecond. By default rsync compares seconds, so a directory that changes twice within one
 * second would keep the time of its first copy. */
#define MODIFY_WINDOW "--modify-window=-1"

/* What rsync may do as root. CAP_SYS_ADMIN is for attributes "trusted.*", which overlays have. */
#define CAN(capability) (UINT64_C(1) << (capability))
#define CAN_READ	(CAN(CAP_DAC_READ_SEARCH) | CAN(CAP_SYS_ADMIN))
#define CAN_WRITE                                                                                                      \
	(CAN_READ | CAN(CAP_DAC_OVERRIDE) | CAN(CAP_CHOWN) | CAN(CAP_FOWNER) | CAN(CAP_FSETID) | CAN(CAP_MKNOD) |      \
	 CAN(CAP_SETFCAP))

/* ---------------------------------------------------------------- the receiving rsync */

/* Locks the tree. The lock is held until the last process of this receiving rsync has ended, so an earlier receiver
 * whose connection was lost has written everything before the next one begins. node/seeds.c and storage/tree.c test the
 * same lock. Returns false, with errno, if the lock cannot be had within LOCK_WAIT_MS. */
static bool lock_tree(const char *path)
{
	int64_t end = clock_steady_ms() + LOCK_WAIT_MS;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || clock_steady_ms() >= end)
			return false;
		clock_sleep_ms(20);
	}
	return fd >= 0;
}

/* Starts a child that syncs the filesystem every second until the receiver ends. The kernel writes dirty pages to the
 * disk after half a minute only, and the sync at the end of the copy, while the guest is off, would have to wait for
 * all of them. */
static void start_syncing(const char *path)
{
	pid_t receiver = getpid();
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fork() != 0) {
		vmm_cleanup_close(&fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = fcntl(fd, F_DUPFD, 3);
	dup2(fd, 0);
	close_range(1, ~0U, 0); /* the receiver's connection and lock must end with the receiver, not with this child */
	while (getppid() == receiver && syncfs(0) == 0)
		clock_sleep_ms(SYNC_MS);
	_exit(0);
}

/* The arguments are those that the sender's options (see start_rsync) mean for an rsync server, with the capabilities
 * of rsync 3.2 and later. None of them comes from the other node; `path` is a directory that this node has made. */
void tree_receive(const char *path, bool checksum)
{
	const char *const argv[] = {"rsync",
				    "--server",
				    checksum ? "-lHogDtpAXrcSe.LsfxCIvu" : "-lHogDtpAXrSe.LsfxCIvu",
				    "--delete",
				    "--numeric-ids",
				    IO_TIMEOUT,
				    MODIFY_WINDOW,
				    ".",
				    path,
				    NULL};
	const char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					   "LC_ALL=C", NULL};
	signal(SIGPIPE, SIG_DFL);
	if (confine(&(struct confinement){.path = path, .writable = true, .capabilities = CAN_WRITE}) < 0 ||
	    !lock_tree(path))
		return;
	start_syncing(path);
	if (chdir("/") == 0)
		execvpe("rsync", (char *const *)argv, (char *const *)environment);
}

/* ---------------------------------------------------------------- the sending rsync */

struct sending {
	const struct tree_job *job;
	pid_t pid;
	int stdout_fd, stderr_fd, socket;	/* rsync's output; our end of the socket that tree-pipe uses */
	struct text progress_line, stderr_text; /* an incomplete line of progress; what rsync wrote to stderr */
	struct tree_progress progress;
	pthread_t thread;
	uint64_t wire;
	struct vmm_error *carry_failure; /* belongs to the thread until it is joined */
	bool stopped;			 /* the caller's progress function asked to stop */
};

static void write_stderr(const char *text)
{
	(void)!write(2, text, strlen(text));
}

/* Only async-signal-safe calls between fork and exec. */
static void exec_rsync(const struct tree_job *job, const char *const *argv, int stdout_fd, int stderr_fd, int socket_fd)
{
	const struct confinement within = {.path = job->from, .program = job->pipe, .capabilities = CAN_READ};
	const char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					   "LC_ALL=C", "VMMIGRATE_TREE_FD=3", NULL};
	setpgid(0, 0);
	if (job->running)
		io_set_idle();
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY);
	dup2(null, 0);
	/* First to numbers above the final ones, so that no dup2 below overwrites one that is still needed. */
	stdout_fd = fcntl(stdout_fd, F_DUPFD, 10);
	stderr_fd = fcntl(stderr_fd, F_DUPFD, 10);
	socket_fd = fcntl(socket_fd, F_DUPFD, 10);
	dup2(stdout_fd, 1);
	dup2(stderr_fd, 2);
	dup2(socket_fd, SOCKET_FD);
	close_range(SOCKET_FD + 1, ~0U, 0);
	if (chdir("/") < 0 || confine(&within) < 0) {
		write_stderr("it cannot be confined to the tree: ");
		write_stderr(strerrordesc_np(errno));
		_exit(126);
	}
	execvpe(argv[0], (char *const *)argv, (char *const *)environment);
	write_stderr(strerrordesc_np(errno));
	_exit(127);
}

static int start_rsync(struct sending *s, int socket_fd, struct vmm_error **err)
{
	const struct tree_job *job = s->job;
	vmm_auto_free char *from = str_format("%s/", job->from), *limit = NULL;
	if (job->rate_limit)
		limit = str_format("--bwlimit=%llu", (unsigned long long)(job->rate_limit + 1023) / 1024);
	const char *const argv[] = {"rsync",
				    job->checksum ? "-aHAXSc" : "-aHAXS",
				    "--numeric-ids",
				    "--delete",
				    "--no-inc-recursive",
				    "--info=progress2",
				    "--no-human-readable",
				    IO_TIMEOUT,
				    MODIFY_WINDOW,
				    "-e",
				    job->pipe,
				    limit ? limit : "--",
				    limit ? "--" : from,
				    limit ? from : "vmmigrate:.",
				    limit ? "vmmigrate:." : NULL,
				    NULL};
	int output[2] = {-1, -1}, errors[2] = {-1, -1};
	if (pipe2(output, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0) {
		vmm_cleanup_close(&output[0]);
		vmm_cleanup_close(&output[1]);
		return error_errno(err, errno, "run rsync");
	}
	s->pid = fork();
	if (s->pid == 0)
		exec_rsync(job, argv, output[1], errors[1], socket_fd);
	int number = errno;
	if (s->pid > 0)
		setpgid(s->pid, s->pid); /* the child does the same: we do not know which of us runs first */
	close(output[1]);
	close(errors[1]);
	s->stdout_fd = output[0];
	s->stderr_fd = errors[0];
	return s->pid < 0 ? error_errno(err, number, "run rsync") : 0;
}

static void *carry_thread(void *context)
{
	struct sending *s = context;
	s->job->carry(s->job->carry_context, s->socket, &s->wire, &s->carry_failure);
	return NULL;
}

/* A line is "  1234567  45%   12.34MB/s    0:00:01 (xfr#5, to-chk=10/20)". */
static void parse_progress(struct sending *s, const char *line)
{
	unsigned long long bytes, left, all;
	unsigned percent;
	if (sscanf(line, "%llu %u%%", &bytes, &percent) != 2)
		return;
	s->progress.done = bytes;
	if (percent)
		s->progress.total = bytes / percent * 100;
	const char *check = strstr(line, "-chk=");
	if (check && sscanf(check, "-chk=%llu/%llu", &left, &all) == 2) {
		s->progress.files = all - left;
		s->progress.files_total = all;
	}
}

static void read_progress(struct sending *s)
{
	char block[4096];
	ssize_t got = read(s->stdout_fd, block, sizeof(block));
	if (got < 0 && errno == EINTR)
		return;
	if (got <= 0) {
		vmm_cleanup_close(&s->stdout_fd);
		return;
	}
	for (ssize_t i = 0; i < got; i++) {
		if (block[i] != '\r' && block[i] != '\n') {
			text_add_bytes(&s->progress_line, &block[i], 1);
			continue;
		}
		if (s->progress_line.length)
			parse_progress(s, s->progress_line.data);
		text_free(&s->progress_line);
	}
}

static void read_stderr(struct sending *s)
{
	char block[4096];
	ssize_t got = read(s->stderr_fd, block, sizeof(block));
	if (got < 0 && errno == EINTR)
		return;
	if (got <= 0)
		vmm_cleanup_close(&s->stderr_fd);
	else if (s->stderr_text.length + (size_t)got < STDERR_MOST)
		text_add_bytes(&s->stderr_text, block, (size_t)got);
}

/* Reads rsync's output and reports progress until rsync has closed both. Ends rsync if the progress function says stop.
 */
static void watch_rsync(struct sending *s)
{
	int64_t reported = 0;
	while (s->stdout_fd >= 0 || s->stderr_fd >= 0) {
		struct pollfd set[] = {{s->stdout_fd, POLLIN, 0}, {s->stderr_fd, POLLIN, 0}};
		if (poll(set, 2, PROGRESS_MS) < 0)
			continue;
		if (set[0].revents)
			read_progress(s);
		if (set[1].revents)
			read_stderr(s);
		if (clock_steady_ms() - reported < PROGRESS_MS)
			continue;
		reported = clock_steady_ms();
		s->progress.wire = __atomic_load_n(&s->wire, __ATOMIC_RELAXED);
		if (!s->stopped && s->job->progress && !s->job->progress(s->job->context, &s->progress)) {
			s->stopped = true;
			kill(-s->pid, SIGTERM);
		}
	}
}

/* ---------------------------------------------------------------- the result */

enum { RSYNC_PARTIAL = 23, RSYNC_VANISHED = 24, NOT_FOUND = 127, CAUSE_MOST = 400 };

/* The first line of rsync's errors that gives a reason, else the first line of all. Points into `stderr_text`, and
 * changes it. */
static const char *find_cause(char *stderr_text)
{
	char *line, *first = NULL;
	while ((line = strsep(&stderr_text, "\n"))) {
		if (!*line)
			continue;
		if (!first)
			first = line;
		if (strstr(line, " failed: ") || strstr(line, "failed to "))
			return line;
	}
	return first ? first : "it gave no reason";
}

/* Is the target's disk full? Either the sending rsync reports it, or the receiving one, whose message is in
 * `carry_failure`. */
static bool is_out_of_space(const char *stderr_text, const struct vmm_error *carry_failure)
{
	static const char *const reasons[] = {"No space left on device", "Disk quota exceeded"};
	for (size_t i = 0; i < VMM_COUNT(reasons); i++)
		if (strstr(stderr_text, reasons[i]) || (carry_failure && strstr(carry_failure->message, reasons[i])))
			return true;
	return false;
}

/* If both `carry` and rsync failed, carry's error is the cause (the target or the connection) and rsync's is its
 * consequence. But if rsync was killed by a signal, that is the cause. */
static int check_result(struct sending *s, int status, struct vmm_error **err)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (s->stopped)
		return error_set(err, VMM_CANCELLED, "cancelled", "the copy of %s was cancelled", s->job->from);
	if (code == 0 || (s->job->running && (code == RSYNC_PARTIAL || code == RSYNC_VANISHED)))
		return 0;
	if (code == NOT_FOUND) {
		error_set(err, VMM_BLOCKED, "rsync-missing", "rsync is not installed here");
		return error_hint(err, "install the package rsync on both nodes");
	}
	vmm_auto_free char *stderr_text = text_take(&s->stderr_text);
	if (is_out_of_space(stderr_text, s->carry_failure))
		return error_set(err, VMM_FAILED, "no-space", "%s: no space left on the target", s->job->from);
	if (s->carry_failure && WIFEXITED(status)) {
		error_take(err, s->carry_failure);
		s->carry_failure = NULL;
		return error_context(err, "%s", s->job->from);
	}
	return error_set(err, VMM_FAILED, "tree-failed", "%s: rsync ended with %d: %.*s", s->job->from, code,
			 CAUSE_MOST, find_cause(stderr_text));
}

static int wait_for_rsync(struct sending *s, struct vmm_error **err)
{
	int status = 0;
	while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
		;
	pthread_join(s->thread, NULL);
	s->progress.wire = s->wire;
	int done = check_result(s, status, err);
	error_clear(&s->carry_failure);
	return done;
}

int tree_push(const struct tree_job *job, struct tree_progress *result, struct vmm_error **err)
{
	struct sending s = {.job = job, .stdout_fd = -1, .stderr_fd = -1};
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "make a socket pair for rsync");
	s.socket = pair[0];
	int number = pthread_create(&s.thread, NULL, carry_thread, &s);
	if (number) {
		close(pair[0]);
		close(pair[1]);
		return error_errno(err, number, "start a thread for rsync");
	}
	int done = start_rsync(&s, pair[1], err);
	close(pair[1]);
	if (done < 0) {
		pthread_join(s.thread, NULL);
		error_clear(&s.carry_failure);
	} else {
		watch_rsync(&s);
		done = wait_for_rsync(&s, err);
	}
	vmm_cleanup_close(&s.stdout_fd);
	vmm_cleanup_close(&s.stderr_fd);
	text_free(&s.progress_line);
	text_free(&s.stderr_text);
	if (result)
		*result = s.progress;
	return done;
}
