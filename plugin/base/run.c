/* run.c: runs programs. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base.h"

enum { RUN_OUTPUT_LIMIT = 1 << 20 };

static const char *const run_plain_environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
						    "LC_ALL=C.UTF-8", NULL};

struct pipes {
	int in[2], out[2], err[2];
};

static void pipes_close(struct pipes *p)
{
	int *all[] = {p->in, p->out, p->err};
	for (size_t i = 0; i < VMM_COUNT(all); i++) {
		vmm_cleanup_close(&all[i][0]);
		vmm_cleanup_close(&all[i][1]);
	}
}

static int pipes_open(struct pipes *p)
{
	*p = (struct pipes){{-1, -1}, {-1, -1}, {-1, -1}};
	if (pipe2(p->in, O_CLOEXEC) == 0 && pipe2(p->out, O_CLOEXEC) == 0 && pipe2(p->err, O_CLOEXEC) == 0)
		return 0;
	int number = errno;
	pipes_close(p);
	errno = number;
	return -1;
}

/* Never returns. Makes only async-signal-safe calls: other threads of ours may hold locks at the moment of the fork. */
static void child(const struct run *run, struct pipes *p)
{
	setpgid(0, 0);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(p->in[0], 0);
	dup2(p->out[1], 1);
	dup2(p->err[1], 2);
	close_range(3, ~0U, 0);
	const char *const *env = run->environment ? run->environment : run_plain_environment;
	if (chdir(run->directory ? run->directory : "/") == 0 && (!run->within || confine(run->within) == 0))
		execvpe(run->argv[0], (char *const *)run->argv, (char *const *)env);
	const char *reason = strerrordesc_np(errno);
	(void)!write(2, reason, strlen(reason));
	_exit(127);
}

/* Reads what the program has written, and closes the pipe at its end. What is over the limit is read, but not kept.
 * False: there is nothing more to read now. */
static bool read_output(struct text *text, int *fd)
{
	char block[16384];
	ssize_t got = *fd < 0 ? 0 : read(*fd, block, sizeof(block));
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return errno == EINTR;
	if (got <= 0) {
		vmm_cleanup_close(fd);
		return false;
	}
	size_t left = RUN_OUTPUT_LIMIT - text->length;
	text_add_bytes(text, block, (size_t)got < left ? (size_t)got : left);
	return true;
}

/* Writes as much input as the pipe takes, and closes the pipe when all is written or the program reads no more. */
static void write_input(const char **input, int *fd)
{
	ssize_t done = write(*fd, *input, strlen(*input));
	if (done > 0)
		*input += done;
	if (!**input || (done < 0 && errno != EINTR && errno != EAGAIN))
		vmm_cleanup_close(fd);
}

static void set_nonblocking(struct pipes *p)
{
	const int ours[] = {p->in[1], p->out[0], p->err[0]};
	for (size_t i = 0; i < VMM_COUNT(ours); i++)
		fcntl(ours[i], F_SETFL, O_NONBLOCK);
}

/* Writes the program's input and reads its outputs until it has ended, whatever it does with them. What it leaves in
 * the background may hold them open; nobody waits for that. Returns true if the time limit was reached before its end.
 */
static bool exchange(const struct run *run, int program, struct pipes *p, struct text *out, struct text *err)
{
	const char *input = run->input ? run->input : "";
	int64_t end = run->limit_ms ? clock_steady_ms() + run->limit_ms : INT64_MAX;
	set_nonblocking(p);
	if (!*input)
		vmm_cleanup_close(&p->in[1]);
	for (;;) {
		struct pollfd set[] = {
			{p->out[0], POLLIN, 0}, {p->err[0], POLLIN, 0}, {p->in[1], POLLOUT, 0}, {program, POLLIN, 0}};
		int64_t left = end - clock_steady_ms();
		if (left <= 0)
			return true;
		if (poll(set, VMM_COUNT(set), run->limit_ms ? (int)left : -1) <= 0)
			continue;
		if (set[2].revents)
			write_input(&input, &p->in[1]);
		if (set[0].revents)
			read_output(out, &p->out[0]);
		if (set[1].revents)
			read_output(err, &p->err[0]);
		if (set[3].revents)
			break;
	}
	while (read_output(out, &p->out[0]) || read_output(err, &p->err[0]))
		;
	return false;
}

static int reap(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Starts the program; *ended becomes a descriptor that is readable once it has ended. Returns its pid, or -1 with
 * errno. */
static pid_t start(const struct run *run, struct pipes *p, int *ended)
{
	pid_t pid = fork();
	if (pid == 0)
		child(run, p);
	if (pid < 0)
		return -1;
	setpgid(pid, pid);
	*ended = pidfd_open(pid, 0);
	if (*ended >= 0)
		return pid;
	int number = errno;
	kill(-pid, SIGKILL);
	reap(pid);
	errno = number;
	return -1;
}

int run_program(const struct run *run, struct run_result *result, struct vmm_error **err)
{
	*result = (struct run_result){0};
	struct pipes p;
	vmm_auto_close int ended = -1;
	if (pipes_open(&p) < 0)
		return error_errno(err, errno, "run %s", run->argv[0]);
	pid_t pid = start(run, &p, &ended);
	if (pid < 0) {
		int number = errno;
		pipes_close(&p);
		return error_errno(err, number, "run %s", run->argv[0]);
	}
	vmm_cleanup_close(&p.in[0]);
	vmm_cleanup_close(&p.out[1]);
	vmm_cleanup_close(&p.err[1]);
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
	sigaction(SIGPIPE, &ignore, &before);
	vmm_auto_text struct text out = {0}, err_out = {0};
	result->timed_out = exchange(run, ended, &p, &out, &err_out);
	if (result->timed_out)
		kill(-pid, SIGKILL);
	pipes_close(&p);
	result->status = reap(pid);
	sigaction(SIGPIPE, &before, NULL);
	result->out = text_take(&out);
	result->err_out = text_take(&err_out);
	return 0;
}

void run_result_free(struct run_result *result)
{
	free(result->out);
	free(result->err_out);
	*result = (struct run_result){0};
}

/* The last line of `text` that is not blank, without its end; changes `text`. */
static const char *last_line(char *text)
{
	size_t length = strlen(text);
	while (length && strchr("\r\n \t", text[length - 1]))
		text[--length] = 0;
	const char *line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

int run_checked(const struct run *run, struct run_result *result, struct vmm_error **err)
{
	if (run_program(run, result, err) < 0)
		return -1;
	if (!result->timed_out && result->status == 0)
		return 0;
	if (result->timed_out)
		error_set(err, VMM_FAILED, "timed-out", "%s took longer than %d s", run->argv[0], run->limit_ms / 1000);
	else
		error_set(err, VMM_FAILED, "program-failed", "%s ended with %d: %s", run->argv[0], result->status,
			  last_line(result->err_out));
	run_result_free(result);
	return -1;
}
