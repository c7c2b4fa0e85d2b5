/* hold.c: holds a container's start until it may run. libc only.
 *
 *	lxc-hold start NAME SECONDS COMMAND...   runs lxc-start in a session of its own; ends when the container is held (0), when
 *	                                         the start failed (1, its words on stderr), or when the time is over (1)
 *	lxc-hold wait PID START SECONDS ...      what LXC runs as lxc.hook.start-host (LXC adds arguments of its own): the container
 *	                                         is set up and has run nothing
 *
 * Both meet in /run/vmmigrate/lxc/NAME: "held" is there while the hook waits; "go" lets the container run - then and whenever it
 * starts again by itself, as after a reboot from within; "end" makes the start fail. So does the end of the process PID that
 * asked for the start, and the end of the time: a start that nobody waits for any more is not kept.
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

#define ROOM "/run/vmmigrate/lxc"
enum { PAUSE_MS = 20, PATH_MOST = 512 };

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
}

static long now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long)now.tv_sec;
}

static int there(const char *name, const char *word)
{
	char path[PATH_MOST];
	snprintf(path, sizeof(path), ROOM "/%s/%s", name, word);
	return access(path, F_OK) == 0;
}

/* Clock ticks since boot when the process began; 0: there is none. The name in the second field may hold anything. */
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

static int mark(const char *name)
{
	char path[PATH_MOST], beside[PATH_MOST];
	snprintf(path, sizeof(path), ROOM "/%s/held", name);
	snprintf(beside, sizeof(beside), ROOM "/%s/held.new", name);
	FILE *file = fopen(beside, "we");
	if (!file)
		return -1;
	fprintf(file, "%d %llu\n", (int)getpid(), started(getpid()));
	return fclose(file) == 0 ? rename(beside, path) : -1;
}

static int await(const char *name, long pid, unsigned long long start, long limit_s)
{
	for (long end = now_s() + limit_s; now_s() < end; nap()) {
		if (there(name, "go"))
			return 0;
		if (there(name, "end") || started(pid) != start)
			break;
	}
	fprintf(stderr, "vmmigrate: container %s is not let go\n", name);
	return 1;
}

static int hold(char **argv)
{
	const char *name = getenv("LXC_NAME");
	char path[PATH_MOST];
	if (!name || strchr(name, '/') || strlen(name) > 200)
		return 1;
	if (there(name, "go"))
		return 0;
	if (mark(name) < 0)
		return 1;
	int status = await(name, atol(argv[0]), strtoull(argv[1], NULL, 10), atol(argv[2]));
	snprintf(path, sizeof(path), ROOM "/%s/held", name);
	unlink(path);
	return status;
}

/* ---------------------------------------------------------------- the start */

static void become(char **argv, int said)
{
	int null = open("/dev/null", O_RDWR);
	setsid();
	dup2(null, 0);
	dup2(said, 1);
	dup2(said, 2);
	close_range(3, ~0U, 0);
	execvp(argv[0], argv);
	_exit(127);
}

static void repeat(int said)
{
	char text[4096];
	ssize_t length = pread(said, text, sizeof(text), 0);
	if (length > 0)
		(void)!write(2, text, (size_t)length);
}

static int start(const char *name, long limit_s, char **argv)
{
	FILE *file = tmpfile();
	int said = file ? fileno(file) : -1, status = 0;
	pid_t pid = said < 0 ? -1 : fork();
	if (pid == 0)
		become(argv, said);
	if (pid < 0) {
		perror("lxc-hold");
		return 1;
	}
	for (long end = now_s() + limit_s; now_s() < end; nap()) {
		if (there(name, "held"))
			return 0;
		if (waitpid(pid, &status, WNOHANG) == pid) {
			repeat(said);
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
		return hold(argv + 2);
	if (argc >= 5 && !strcmp(argv[1], "start"))
		return start(argv[2], atol(argv[3]), argv + 4);
	fprintf(stderr, "lxc-hold is for vmmigrate's own use\n");
	return 2;
}
