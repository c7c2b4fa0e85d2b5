/* tree.c: runs rsync - the sending one here, the receiving one on the far side. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tree/tree.h"

enum { PROGRESS_MS = 100, LINE_FD = 3, SAID_MOST = 64 << 10, ALONE_MS = 10000, SYNC_MS = 1000 };

/* Without a word on its line for that long either rsync gives up; while one works it sends signs of life. */
#define SILENCE "--timeout=60"
/* Times are the same when their nanoseconds are: else a directory that changes within a second keeps the time of its copy. */
#define WINDOW "--modify-window=-1"

/* ---------------------------------------------------------------- the receiving rsync */

/* The lock goes with the last process of this rsync: what an earlier one, of a line that was cut, still had to write is written by then.
 * seeds.c and storage/tree.c look for it too. */
static bool be_alone(const char *place)
{
	int64_t end = clock_steady_ms() + ALONE_MS;
	int fd = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || clock_steady_ms() >= end)
			return false;
		clock_sleep_ms(20);
	}
	return fd >= 0;
}

/* The kernel keeps what was written in memory for half a minute: what was left of it by the end would be waited for then. So it is
 * brought to the disk as it comes, by a child that ends with the receiver. */
static void sync_meanwhile(const char *place)
{
	pid_t receiver = getpid();
	int fd = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fork() != 0) {
		vmm_cleanup_close(&fd);
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = fcntl(fd, F_DUPFD, 3);
	dup2(fd, 0);
	close_range(1, ~0U, 0); /* its line and its lock are not ours */
	while (getppid() == receiver && syncfs(0) == 0)
		clock_sleep_ms(SYNC_MS);
	_exit(0);
}

/* What the sender's options (below) are for its server, and the capabilities of rsync 3.2 and later. Not one word of it comes
 * from the other side but the place, which this node has made. */
void tree_receive(const char *place, bool checksum)
{
	const char *const argv[] = {"rsync",
				    "--server",
				    checksum ? "-lHogDtpAXrcSe.LsfxCIvu" : "-lHogDtpAXrSe.LsfxCIvu",
				    "--delete",
				    "--numeric-ids",
				    SILENCE,
				    WINDOW,
				    ".",
				    place,
				    NULL};
	const char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					   "LC_ALL=C", NULL};
	signal(SIGPIPE, SIG_DFL);
	if (!be_alone(place))
		return;
	sync_meanwhile(place);
	if (chdir("/") == 0)
		execvpe("rsync", (char *const *)argv, (char *const *)environment);
}

/* ---------------------------------------------------------------- the sending rsync */

struct sending {
	const struct tree_job *job;
	pid_t pid;
	int out, err_out, line; /* line: our end of what tree-pipe speaks on */
	struct text row, said;	/* a row of progress that is not whole yet; what it said on stderr */
	struct tree_progress progress;
	pthread_t thread;
	uint64_t wire;
	struct vmm_error *carry_failure; /* the thread's until it is joined */
	bool stopped;
};

/* Only async-signal-safe calls between fork and exec. */
static void child(const char *const *argv, bool gently, int out, int err_out, int line)
{
	const char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
					   "LC_ALL=C", "VMMIGRATE_TREE_FD=3", NULL};
	setpgid(0, 0);
	if (gently)
		io_set_idle();
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	int null = open("/dev/null", O_RDONLY);
	dup2(null, 0);
	/* Above where they go to, so that none is overwritten before it was moved. */
	out = fcntl(out, F_DUPFD, 10);
	err_out = fcntl(err_out, F_DUPFD, 10);
	line = fcntl(line, F_DUPFD, 10);
	dup2(out, 1);
	dup2(err_out, 2);
	dup2(line, LINE_FD);
	close_range(LINE_FD + 1, ~0U, 0);
	if (chdir("/") == 0)
		execvpe(argv[0], (char *const *)argv, (char *const *)environment);
	const char *words = strerrordesc_np(errno);
	(void)!write(2, words, strlen(words));
	_exit(127);
}

static int start_rsync(struct sending *s, int line, struct vmm_error **err)
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
				    SILENCE,
				    WINDOW,
				    "-e",
				    job->pipe,
				    limit ? limit : "--",
				    limit ? "--" : from,
				    limit ? from : "vmmigrate:.",
				    limit ? "vmmigrate:." : NULL,
				    NULL};
	int out[2] = {-1, -1}, said[2] = {-1, -1};
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(said, O_CLOEXEC) < 0) {
		vmm_cleanup_close(&out[0]);
		vmm_cleanup_close(&out[1]);
		return error_errno(err, errno, "run rsync");
	}
	s->pid = fork();
	if (s->pid == 0)
		child(argv, job->running, out[1], said[1], line);
	int number = errno;
	if (s->pid > 0)
		setpgid(s->pid, s->pid); /* as the child does: whichever comes first */
	close(out[1]);
	close(said[1]);
	s->out = out[0];
	s->err_out = said[0];
	return s->pid < 0 ? error_errno(err, number, "run rsync") : 0;
}

static void *carry_thread(void *context)
{
	struct sending *s = context;
	s->job->carry(s->job->carry_context, s->line, &s->wire, &s->carry_failure);
	return NULL;
}

/* "  1234567  45%   12.34MB/s    0:00:01 (xfr#5, to-chk=10/20)" */
static void read_row(struct sending *s, const char *row)
{
	unsigned long long bytes, left, all;
	unsigned percent;
	if (sscanf(row, "%llu %u%%", &bytes, &percent) != 2)
		return;
	s->progress.done = bytes;
	if (percent)
		s->progress.total = bytes / percent * 100;
	const char *check = strstr(row, "-chk=");
	if (check && sscanf(check, "-chk=%llu/%llu", &left, &all) == 2) {
		s->progress.files = all - left;
		s->progress.files_total = all;
	}
}

static void read_progress(struct sending *s)
{
	char block[4096];
	ssize_t got = read(s->out, block, sizeof(block));
	if (got < 0 && errno == EINTR)
		return;
	if (got <= 0) {
		vmm_cleanup_close(&s->out);
		return;
	}
	for (ssize_t i = 0; i < got; i++) {
		if (block[i] != '\r' && block[i] != '\n') {
			text_add_bytes(&s->row, &block[i], 1);
			continue;
		}
		if (s->row.length)
			read_row(s, s->row.data);
		text_free(&s->row);
	}
}

static void read_said(struct sending *s)
{
	char block[4096];
	ssize_t got = read(s->err_out, block, sizeof(block));
	if (got < 0 && errno == EINTR)
		return;
	if (got <= 0)
		vmm_cleanup_close(&s->err_out);
	else if (s->said.length + (size_t)got < SAID_MOST)
		text_add_bytes(&s->said, block, (size_t)got);
}

/* Until rsync has closed both. A wish to stop ends it. */
static void watch(struct sending *s)
{
	int64_t told = 0;
	while (s->out >= 0 || s->err_out >= 0) {
		struct pollfd set[] = {{s->out, POLLIN, 0}, {s->err_out, POLLIN, 0}};
		if (poll(set, 2, PROGRESS_MS) < 0)
			continue;
		if (set[0].revents)
			read_progress(s);
		if (set[1].revents)
			read_said(s);
		if (clock_steady_ms() - told < PROGRESS_MS)
			continue;
		told = clock_steady_ms();
		s->progress.wire = __atomic_load_n(&s->wire, __ATOMIC_RELAXED);
		if (!s->stopped && s->job->progress && !s->job->progress(s->job->context, &s->progress)) {
			s->stopped = true;
			kill(-s->pid, SIGTERM);
		}
	}
}

/* ---------------------------------------------------------------- how it went */

enum { RSYNC_PARTIAL = 23, RSYNC_VANISHED = 24, NOT_FOUND = 127 };

/* The first line that says what is wrong, not that something is. */
static const char *cause(char *said)
{
	char *line, *first = NULL;
	while ((line = strsep(&said, "\n"))) {
		if (!*line)
			continue;
		if (!first)
			first = line;
		if (strstr(line, " failed: ") || strstr(line, "failed to "))
			return line;
	}
	return first ? first : "it said nothing";
}

/* The far side's disk is full: one of the two says so, whichever is heard. */
static bool has_no_room(const char *said, const struct vmm_error *there)
{
	static const char *const words[] = {"No space left on device", "Disk quota exceeded"};
	for (size_t i = 0; i < VMM_COUNT(words); i++)
		if (strstr(said, words[i]) || (there && strstr(there->message, words[i])))
			return true;
	return false;
}

/* What went wrong on the far side or on the way there is the cause; what rsync says of it here is the consequence. Where rsync was
 * killed here it is the other way round. */
static int judge(struct sending *s, int status, struct vmm_error **err)
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
	vmm_auto_free char *said = text_take(&s->said);
	if (has_no_room(said, s->carry_failure))
		return error_set(err, VMM_FAILED, "no-space", "%s: no space left on the target", s->job->from);
	if (s->carry_failure && WIFEXITED(status)) {
		error_take(err, s->carry_failure);
		s->carry_failure = NULL;
		return error_context(err, "%s", s->job->from);
	}
	return error_set(err, VMM_FAILED, "tree-failed", "%s: rsync ended with %d: %s", s->job->from, code,
			 cause(said));
}

static int finish(struct sending *s, struct vmm_error **err)
{
	int status = 0;
	while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
		;
	pthread_join(s->thread, NULL);
	s->progress.wire = s->wire;
	int done = judge(s, status, err);
	error_clear(&s->carry_failure);
	return done;
}

int tree_push(const struct tree_job *job, struct tree_progress *result, struct vmm_error **err)
{
	struct sending s = {.job = job, .out = -1, .err_out = -1};
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "a line for rsync");
	s.line = pair[0];
	int number = pthread_create(&s.thread, NULL, carry_thread, &s);
	if (number) {
		close(pair[0]);
		close(pair[1]);
		return error_errno(err, number, "starting a thread");
	}
	int done = start_rsync(&s, pair[1], err);
	close(pair[1]);
	if (done < 0) {
		pthread_join(s.thread, NULL);
		error_clear(&s.carry_failure);
	} else {
		watch(&s);
		done = finish(&s, err);
	}
	vmm_cleanup_close(&s.out);
	vmm_cleanup_close(&s.err_out);
	text_free(&s.row);
	text_free(&s.said);
	if (result)
		*result = s.progress;
	return done;
}
