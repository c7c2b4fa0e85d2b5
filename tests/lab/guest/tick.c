/*
 * tick: ten times a second, one line on standard output (the serial line):
 *
 *     tick BOOT N UPTIME
 *
 * BOOT are the first eight digits of the kernel's boot id ("tick container": of a random number), N counts from 1,
 * UPTIME is in seconds. The uptime stops while the guest is paused; the stamp that the recorder on the host puts before
 * the line shows the gap.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_NS = 100 * 1000 * 1000 };

static void boot_id(const char *file, char id[9])
{
	char buf[64] = "";
	int fd = open(file, O_RDONLY);

	if (fd >= 0 && read(fd, buf, sizeof buf - 1) < 8)
		memset(buf, '0', 8);
	memcpy(id, buf, 8);
	id[8] = 0;
}

int main(int argc, char **argv)
{
	char id[9], line[80];
	struct timespec now, next;

	if (argc == 2 && strcmp(argv[1], "container") == 0)
		boot_id("/proc/sys/kernel/random/uuid", id);
	else
		boot_id("/proc/sys/kernel/random/boot_id", id);
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (unsigned long n = 1;; n++) {
		clock_gettime(CLOCK_BOOTTIME, &now);
		int len = snprintf(line, sizeof line, "tick %s %lu %lld.%03ld\n", id, n, (long long)now.tv_sec,
				   now.tv_nsec / 1000000);
		if (write(STDOUT_FILENO, line, (size_t)len) < 0)
			return 1;
		/* A guest that got no CPU time does not catch up with a burst of ticks. */
		clock_gettime(CLOCK_MONOTONIC, &now);
		next.tv_nsec += PERIOD_NS;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		if (now.tv_sec > next.tv_sec || (now.tv_sec == next.tv_sec && now.tv_nsec > next.tv_nsec))
			next = now;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}
