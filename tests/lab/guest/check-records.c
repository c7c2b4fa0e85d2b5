/*
 * check-records ID FILE: on the host. FILE is what a disk holds from RECORD_START on; standard input has the numbers
 * of the records that the guest has reported as synced, in the order of the reports. Prints one line
 *
 *     reported=N last=N disk_last=N missing=N stale=N
 *
 * missing: reported, but not on the disk, and not overwritten by a later record of the same slot.
 * stale: reported a second time, or after a later one, as a guest does that was started from an old disk.
 * The exit status is 1 if either is not 0.
 */
#include "record.h"
#include <stdlib.h>

int main(int argc, char **argv)
{
	static unsigned char block[RECORD_SIZE];
	static uint64_t held[RECORD_SLOTS], said[RECORD_SLOTS];
	uint64_t reported = 0, last = 0, disk_last = 0, missing = 0, stale = 0;
	unsigned long long n;

	if (argc != 3)
		return 2;
	uint64_t id = strtoull(argv[1], NULL, 10);
	FILE *disk = fopen(argv[2], "r");

	if (!disk) {
		perror(argv[2]);
		return 2;
	}
	for (size_t i = 0; i < RECORD_SLOTS && fread(block, RECORD_SIZE, 1, disk) == 1; i++) {
		held[i] = record_number(block, id);
		if (held[i] && (held[i] - 1) % RECORD_SLOTS != i)
			held[i] = 0;
		if (held[i] > disk_last)
			disk_last = held[i];
	}
	while (scanf("%llu", &n) == 1 && n > 0) {
		reported++;
		if (n <= last)
			stale++;
		else
			last = n;
		if (n > said[(n - 1) % RECORD_SLOTS])
			said[(n - 1) % RECORD_SLOTS] = n;
	}
	for (size_t i = 0; i < RECORD_SLOTS; i++)
		if (held[i] < said[i])
			missing++;
	printf("reported=%llu last=%llu disk_last=%llu missing=%llu stale=%llu", (unsigned long long)reported,
	       (unsigned long long)last, (unsigned long long)disk_last, (unsigned long long)missing,
	       (unsigned long long)stale);
	return missing || stale;
}
