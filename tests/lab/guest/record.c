/*
 * record ID RATE [FILE]: writes RATE numbered records a second to /dev/vda or FILE, and prints "rec N" once record N is
 * synced. It goes on after the last record on the disk ("rec-start N" names the first one that it writes). SIGTERM ends
 * it between two writes.
 */
#define _GNU_SOURCE
#include "record.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void end(int sig)
{
	(void)sig;
	ended = 1;
}

static void say(const char *what, uint64_t n)
{
	char line[64];
	int len = snprintf(line, sizeof line, "%s %llu\n", what, (unsigned long long)n);

	if (write(STDOUT_FILENO, line, (size_t)len) < 0)
		_exit(1);
}

static uint64_t last_record(int fd, unsigned char *buf, uint64_t id)
{
	enum { PIECE = 1 << 20 };
	uint64_t last = 0;

	for (long long at = 0; at < (long long)RECORD_SLOTS * RECORD_SIZE; at += PIECE) {
		ssize_t got = pread(fd, buf, PIECE, RECORD_START + at);

		for (ssize_t i = 0; i + RECORD_SIZE <= got; i += RECORD_SIZE) {
			uint64_t n = record_number(buf + i, id);

			if (n > last)
				last = n;
		}
	}
	return last;
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4)
		return 2;
	uint64_t id = strtoull(argv[1], NULL, 10);
	long rate = strtol(argv[2], NULL, 10);
	struct timespec pause = {0, 1000000000 / (rate > 1 ? rate : 1)};
	struct sigaction act = {.sa_handler = end};
	unsigned char *buf = aligned_alloc(4096, 1 << 20);
	int fd = open(argc == 4 ? argv[3] : "/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);

	if (rate <= 1)
		pause = (struct timespec){1, 0};
	sigaction(SIGTERM, &act, NULL);
	if (fd < 0 || !buf) {
		say("rec-error", (uint64_t)errno);
		return 1;
	}
	uint64_t n = last_record(fd, buf, id) + 1;

	say("rec-start", n);
	while (!ended) {
		record_fill(buf, id, n);
		if (pwrite(fd, buf, RECORD_SIZE, record_offset(n)) != RECORD_SIZE || fdatasync(fd) < 0) {
			say("rec-error", (uint64_t)errno);
			nanosleep(&(struct timespec){1, 0}, NULL);
			continue;
		}
		say("rec", n++);
		nanosleep(&pause, NULL);
	}
	say("rec-end", n - 1);
	return 0;
}
