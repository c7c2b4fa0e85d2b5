/* hold.c: holds the start of a container until it may run. libc only.
 *
 *	lxc-hold start NAME SECONDS COMMAND...
 *		The engine runs this: it runs COMMAND (lxc-start) in a session of its own. Exits with 0 when the
 *		container is held, or when COMMAND has ended with 0; with 1 when COMMAND has failed (what it printed is
 *		on stderr), or when SECONDS are over: COMMAND is killed then.
 *	lxc-hold wait PID START SECONDS
 *		LXC runs this as lxc.hook.start-host (guest/lxc/power.c): the container is set up and has run nothing.
 *		Exits with 0 when the container may run, and with 1 when it may not, which makes the start fail.
 *
 * The two, and the engine, meet in the directory /run/vmmigrate/lxc/NAME. The file "held" is there while the hook
 * waits. The engine answers by a file: "go" lets the container run, now and whenever it starts again by itself, as
 * after a reboot from inside, when this program is not even asked; "end" makes the start fail. The start also fails
 *when SECONDS are over, or when the process PID that asked for it (START: when that process began) has ended: then
 *nobody would answer any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIRECTORY "/run/vmmigrate/lxc"
enum { POLL_MS = 20, PATH_MOST = 512 };

static void wait_a_moment(void)
{
	nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
}

static long now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long)now.tv_sec;
}

static int is_there(const char *name, const char *file)
{
	char path[PATH_MOST];
	snprintf(path, sizeof(path), DIRECTORY "/%s/%s", name, file);
	return access(path, F_OK) == 0;
}

/* Clock ticks from boot to the start of the process; 0: there is no such process. Parsed from the last ')' on, since
 * the program's name in the second field may contain anything. */
static unsigned long long started(long pid)
{
	char path[64], text[1024];
	unsigned long long start = 0;
	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return 0;
	text[length] = 0;
	char *at = strrchr(text, ')');
	if (at)
		sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		       &start);
	return start;
}

/* ---------------------------------------------------------------- the hook */

/* Writes "held": the hook's pid and when it began. By rename, so that it is never read half written. */
static int write_held(const char *name)
{
	char path[PATH_MOST], temporary[PATH_MOST];
	snprintf(path, sizeof(path), DIRECTORY "/%s/held", name);
	snprintf(temporary, sizeof(temporary), DIRECTORY "/%s/held.new", name);
	FILE *file = fopen(temporary, "we");
	if (!file)
		return -1;
	fprintf(file, "%d %llu\n", (int)getpid(), started(getpid()));
	return fclose(file) == 0 ? rename(temporary, path) : -1;
}

static int wait_for_answer(const char *name, long pid, unsigned long long start, long limit_s)
{
	for (long end = now_s() + limit_s; now_s() < end; wait_a_moment()) {
		if (is_there(name, "go"))
			return 0;
		if (is_there(name, "end") || started(pid) != start)
			break;
	}
	fprintf(stderr, "vmmigrate: container %s may not run: its held start was not released\n", name);
	return 1;
}

static int hold_start(char **argv)
{
	const char *name = getenv("LXC_NAME");
	char path[PATH_MOST];
	if (!name || strchr(name, '/') || strlen(name) > 200)
		return 1;
	if (write_held(name) < 0)
		return 1;
	int status = wait_for_answer(name, atol(argv[0]), strtoull(argv[1], NULL, 10), atol(argv[2]));
	snprintf(path, sizeof(path), DIRECTORY "/%s/held", name);
	unlink(path);
	return status;
}

/* ---------------------------------------------------------------- the start */

/* The child: COMMAND in a session of its own, its output in the file `output`. */
static void run_command(char **argv, int output)
{
	int null = open("/dev/null", O_RDWR);
	setsid();
	dup2(null, 0);
	dup2(output, 1);
	dup2(output, 2);
	close_range(3, ~0U, 0);
	execvp(argv[0], argv);
	_exit(127);
}

static void print_output(int output)
{
	char text[4096];
	ssize_t length = pread(output, text, sizeof(text), 0);
	if (length > 0)
		(void)!write(2, text, (size_t)length);
}

static int start(const char *name, long limit_s, char **argv)
{
	FILE *file = tmpfile();
	int output = file ? fileno(file) : -1, status = 0;
	pid_t pid = output < 0 ? -1 : fork();
	if (pid == 0)
		run_command(argv, output);
	if (pid < 0) {
		perror("lxc-hold");
		return 1;
	}
	for (long end = now_s() + limit_s; now_s() < end; wait_a_moment()) {
		if (is_there(name, "held"))
			return 0;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			print_output(output);
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
		}
	}
	fprintf(stderr, "container %s was not set up within %ld s\n", name, limit_s);
	kill(-pid, SIGKILL);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc >= 5 && !strcmp(argv[1], "wait"))
		return hold_start(argv + 2);
	if (argc >= 5 && !strcmp(argv[1], "start"))
		return start(argv[2], atol(argv[3]), argv + 4);
	fprintf(stderr, "lxc-hold is run by vmmigrate itself only\n");
	return 2;
}
