/*
 * dirty RATE SET: rewrites memory, RATE MiB a second, round and round in a working set of SET MiB.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE = 4096, STEP_NS = 10 * 1000 * 1000 };

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	size_t pages = strtoul(argv[2], NULL, 10) * 256;
	size_t step = strtoul(argv[1], NULL, 10) * 256 / 100;
	volatile uint64_t *set = aligned_alloc(PAGE, pages * PAGE);
	uint64_t value = 88172645463325252u;

	if (!set || !pages)
		return 1;
	if (!step)
		step = 1;
	for (size_t at = 0;;) {
		for (size_t i = 0; i < step; i++, at = (at + 1) % pages) {
			value ^= value << 13;
			value ^= value >> 7;
			value ^= value << 17;
			set[at * (PAGE / 8)] = value;
		}
		nanosleep(&(struct timespec){0, STEP_NS}, NULL);
	}
}
