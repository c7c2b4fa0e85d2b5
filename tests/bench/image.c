/* image: makes and changes the images that are copied. Their content is the same in every run.
 *
 *   image sparse FILE MIB DATA FRONT   a file of MIB with DATA MiB of data: FRONT at the beginning, the rest scattered
 *   image dense FILE MIB SEED	       MIB of incompressible data
 *   image change FILE MIB	       rewrites MIB of the data, in clusters of 1 MiB at even distances
 *   image shift FILE MIB	       moves MIB of data, from offset 1 MiB on, up by 53 bytes
 *
 * The scattered data looks like files in a filesystem: aligned to 4 KiB, from 1 to 9 MiB long, about half of the blocks
 * text. */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIB = 1 << 20, BLOCK = 4096, SHIFT = 53 };

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	return *state ^= *state << 17;
}

static void fill(uint8_t *block, size_t length, bool text, uint64_t *state)
{
	static const char *const words[] = {"guest  ", "volume ", "node   ", "session",
					    "extent ", "digest ", "target ", "source "};
	for (size_t i = 0; i + 8 <= length; i += 8) {
		uint64_t number = next(state);
		if (text)
			memcpy(block + i, words[number >> 61], 8);
		else
			memcpy(block + i, &number, 8);
	}
}

static void write_data(int fd, off_t at, off_t length, bool mixed, uint64_t *state)
{
	static uint8_t data[MIB];
	for (off_t done = 0; done < length; done += MIB) {
		size_t chunk = length - done < MIB ? (size_t)(length - done) : MIB;
		for (size_t i = 0; i < chunk; i += BLOCK)
			fill(data + i, BLOCK, mixed && next(state) >> 63, state);
		if (pwrite(fd, data, chunk, at + done) != (ssize_t)chunk)
			err(1, "write");
	}
}

static void make_sparse(int fd, off_t size, off_t data, off_t front)
{
	static const int lengths[] = {1, 4, 2, 9};
	uint64_t state = 1;
	off_t rest = data - front, room = size - front, at = front;
	write_data(fd, 0, front, true, &state);
	for (int i = 0; rest > 0; i++) {
		off_t length = (off_t)lengths[i % 4] * MIB < rest ? (off_t)lengths[i % 4] * MIB : rest;
		write_data(fd, at + (off_t)(i % 16) * BLOCK, length, true, &state);
		rest -= length;
		at += (off_t)((double)length * (double)room / (double)(data - front)) / MIB * MIB;
	}
}

/* Rewrites `amount` bytes of the data, in whole MiB at even distances. */
static void change(int fd, off_t amount)
{
	off_t data = 0, seen = 0, written = 0, from, to;
	uint64_t state = 99;
	for (off_t at = 0; (from = lseek(fd, at, SEEK_DATA)) >= 0; at = to) {
		to = lseek(fd, from, SEEK_HOLE);
		data += (to - from) / MIB;
	}
	for (off_t at = 0; (from = lseek(fd, at, SEEK_DATA)) >= 0; at = to) {
		to = lseek(fd, from, SEEK_HOLE);
		for (off_t i = 0; i < (to - from) / MIB; i++, seen++)
			if (written * data < seen * (amount / MIB) && written < amount / MIB) {
				write_data(fd, from + i * MIB, MIB, true, &state);
				written++;
			}
	}
	if (written < amount / MIB - 1)
		errx(1, "only %lld MiB of %lld were changed", (long long)written, (long long)(amount / MIB));
}

static void shift(int fd, off_t length)
{
	uint8_t *data = malloc((size_t)length);
	if (!data || pread(fd, data, (size_t)length, MIB) != length ||
	    pwrite(fd, data, (size_t)length, MIB + SHIFT) != length)
		err(1, "shift");
	free(data);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		errx(2, "usage: image sparse|dense|change|shift FILE MIB ...");
	int fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	off_t size = atoll(argv[3]) * MIB;
	uint64_t state = argc > 4 ? (uint64_t)atoll(argv[4]) * 0x9e3779b97f4a7c15 : 1;
	if (fd < 0)
		err(1, "%s", argv[2]);
	if ((!strcmp(argv[1], "sparse") || !strcmp(argv[1], "dense")) && ftruncate(fd, size) < 0)
		err(1, "%s", argv[2]);
	if (!strcmp(argv[1], "sparse") && argc == 6)
		make_sparse(fd, size, atoll(argv[4]) * MIB, atoll(argv[5]) * MIB);
	else if (!strcmp(argv[1], "dense"))
		write_data(fd, 0, size, false, &state);
	else if (!strcmp(argv[1], "change"))
		change(fd, size);
	else if (!strcmp(argv[1], "shift"))
		shift(fd, size);
	else
		errx(2, "image %s: unknown command or wrong number of arguments", argv[1]);
	return close(fd) < 0 ? 1 : 0;
}
