/*
 * The records on a guest's disk, as the guest writes them and the checker on the host expects them.
 *
 * Record N (from 1) is a block of 4 KiB at RECORD_START + (N - 1) % RECORD_SLOTS * 4096. Every byte of it follows
 * from the guest's id and N, so that torn and stale blocks are recognised.
 */
#ifndef LAB_RECORD_H
#define LAB_RECORD_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_SIZE = 4096, RECORD_START = 1 << 20, RECORD_SLOTS = 4096 };

static inline long long record_offset(uint64_t n)
{
	return RECORD_START + (long long)((n - 1) % RECORD_SLOTS) * RECORD_SIZE;
}

static inline void record_fill(unsigned char block[RECORD_SIZE], uint64_t id, uint64_t n)
{
	uint64_t x = (n * 0x9e3779b97f4a7c15u) ^ (id + 1);

	for (size_t i = 64; i < RECORD_SIZE; i += 8) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(block + i, &x, 8);
	}
	memset(block, 0, 64);
	snprintf((char *)block, 64, "vmmigrate-lab record %llu guest %llu\n", (unsigned long long)n,
		 (unsigned long long)id);
}

/* The number of the record in a block; 0 if the block holds no complete record of that guest. */
static inline uint64_t record_number(const unsigned char block[RECORD_SIZE], uint64_t id)
{
	unsigned char good[RECORD_SIZE];
	unsigned long long n;

	if (memchr(block, 0, 64) == NULL || sscanf((const char *)block, "vmmigrate-lab record %llu ", &n) != 1 ||
	    n == 0)
		return 0;
	record_fill(good, id, n);
	return memcmp(block, good, RECORD_SIZE) == 0 ? n : 0;
}

#endif
