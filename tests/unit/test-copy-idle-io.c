/* A copy leaves others what they need: it reads the disk of a running guest with idle I/O priority, and does not fill
 * the page cache with a large volume. */
#include <linux/ioprio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "copy/copy-internal.h"

enum { MIB = 1 << 20, PAGE = 4096 };

static int class_seen; /* I/O priority class of the thread that has read the source */

ssize_t __real_pread(int fd, void *data, size_t length, off_t at);
ssize_t __wrap_pread(int fd, void *data, size_t length, off_t at);

/* wrap: pread */
ssize_t __wrap_pread(int fd, void *data, size_t length, off_t at)
{
	class_seen = IOPRIO_PRIO_CLASS(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
	return __real_pread(fd, data, length, at);
}

static int class_of_push(bool idle_io)
{
	struct rig rig;
	class_seen = -1;
	rig_begin(&rig, MIB);
	rig_fill(rig.source, 0, MIB, 1);
	rig.idle_io = idle_io;
	rig_push_well(&rig, NULL);
	rig_end(&rig);
	return class_seen;
}

static void the_disk_of_a_running_guest_is_read_with_idle_priority(void **state)
{
	(void)state;
	assert_int_equal(class_of_push(true), IOPRIO_CLASS_IDLE);
	assert_int_not_equal(class_of_push(false), IOPRIO_CLASS_IDLE);
}

static size_t cached_pages(int fd, size_t length)
{
	size_t count = 0;
	unsigned char *pages = mem_zero(length / PAGE);
	void *mapped = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mapped, MAP_FAILED);
	assert_int_equal(mincore(mapped, length, pages), 0);
	for (size_t i = 0; i < length / PAGE; i++)
		count += pages[i] & 1;
	munmap(mapped, length);
	free(pages);
	return count;
}

static size_t cached_after_push(uint64_t size)
{
	struct rig rig;
	rig_begin(&rig, size);
	rig_fill(rig.source, 0, 32 * MIB, 1);
	assert_int_equal(fsync(rig.source), 0);
	rig_push_well(&rig, NULL);
	size_t cached = cached_pages(rig.source, 32 * MIB);
	rig_end(&rig);
	return cached;
}

/* True if TMPDIR is a tmpfs: its files are always in the cache. */
static bool on_tmpfs(void)
{
	enum { TMPFS = 0x01021994 };
	const char *base = getenv("TMPDIR");
	struct statfs fs;
	return statfs(base ? base : "/tmp", &fs) < 0 || fs.f_type == TMPFS;
}

static void a_volume_larger_than_memory_does_not_stay_in_the_cache(void **state)
{
	(void)state;
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	if (on_tmpfs())
		skip();
	assert_in_range(cached_after_push(memory), 0, 8 * MIB / PAGE);
	assert_int_equal(cached_after_push(64 * MIB), 32 * MIB / PAGE);
}

static void holes_do_not_fill_the_cache_of_either_side(void **state)
{
	(void)state;
	struct rig rig;
	if (on_tmpfs())
		skip();
	rig_begin(&rig, 32 * MIB);
	for (uint64_t at = 0; at < rig.size; at += COPY_EXTENT)
		rig_fill(rig.source, at, COPY_LEAF, 1 + at);
	rig_push_well(&rig, NULL);
	rig_push_well(&rig, NULL); /* now the target's volume is read, too */
	assert_in_range(cached_pages(rig.source, rig.size), 0, 2 * MIB / PAGE);
	assert_in_range(cached_pages(rig.target, rig.size), 0, 2 * MIB / PAGE);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_disk_of_a_running_guest_is_read_with_idle_priority),
		cmocka_unit_test(a_volume_larger_than_memory_does_not_stay_in_the_cache),
		cmocka_unit_test(holes_do_not_fill_the_cache_of_either_side),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
