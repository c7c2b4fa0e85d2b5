/* clock.c: time, I/O priority, process start times, random digits, checksums. */
#include <errno.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>

#include "base.h"

void io_set_idle(void)
{
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

int64_t clock_now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_steady_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_steady_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void clock_sleep_ms(int ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

uint64_t process_started(pid_t pid)
{
	vmm_auto_free char *path = str_format("/proc/%d/stat", (int)pid);
	vmm_auto_free char *stat = NULL;
	if (file_read(path, 65536, &stat, NULL, NULL) < 0)
		return 0;
	/* The second field is the program's name in parentheses and may contain anything, also ')': search it from the
	 * end. The start time is field 22. */
	const char *at = strrchr(stat, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

uint32_t crc32c(uint32_t seed, const void *data, size_t length)
{
	const uint8_t *at = data;
	uint32_t crc = ~seed;
	while (length--) {
		crc ^= *at++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
	}
	return ~crc;
}

char *random_hex(size_t bytes)
{
	char *text = mem_zero(bytes * 2 + 1);
	for (size_t i = 0; i < bytes; i++) {
		uint8_t byte;
		if (getrandom(&byte, 1, 0) != 1)
			abort();
		snprintf(text + i * 2, 3, "%02x", byte);
	}
	return text;
}
