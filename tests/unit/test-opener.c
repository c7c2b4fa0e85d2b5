/* Who has an image open: asked of QEMU's own lock, and of the loop devices. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "storage/storage.h"

static char *image_make(void)
{
	char *path = str_copy("/tmp/vmmigrate-opener-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	close(fd);
	return path;
}

/* Opens the image as QEMU does, with its lock on that byte. */
static int lock_byte(const char *path, off_t byte)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	return fd;
}

static void an_image_that_nobody_or_only_a_reader_has_open_has_no_opener(void **state)
{
	(void)state;
	vmm_auto_free char *path = image_make();
	assert_null(storage_opener(path));
	int reader = lock_byte(path, 100);
	assert_null(storage_opener(path));
	close(reader);
	assert_null(storage_opener("/nonexistent"));
	unlink(path);
}

static void qemus_lock_for_writing_names_qemu(void **state)
{
	(void)state;
	vmm_auto_free char *path = image_make();
	int writer = lock_byte(path, 101);
	vmm_auto_free char *opener = storage_opener(path);
	assert_non_null(strstr(opener, "QEMU"));
	close(writer);
	assert_null(storage_opener(path));
	unlink(path);
}

/* The lock is the one that QEMU 7.2 takes. */
static void qemu_io_that_writes_is_found(void **state)
{
	(void)state;
	vmm_auto_free char *path = image_make(), *fifo = str_format("%s.fifo", path);
	vmm_auto_free char *command = str_format("mkfifo %s && qemu-io -f raw %s <%s >/dev/null", fifo, path, fifo);
	FILE *shell = popen(command, "re");
	assert_non_null(shell);
	while (access(fifo, F_OK) < 0)
		clock_sleep_ms(10);
	FILE *commands = fopen(fifo, "we");
	vmm_auto_free char *opener = NULL;
	for (int64_t end = clock_steady_ms() + 20000; !opener && clock_steady_ms() < end; clock_sleep_ms(20))
		opener = storage_opener(path);
	fputs("quit\n", commands);
	fclose(commands);
	pclose(shell);
	assert_non_null(opener);
	assert_null(storage_opener(path));
	unlink(fifo);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_that_nobody_or_only_a_reader_has_open_has_no_opener),
		cmocka_unit_test(qemus_lock_for_writing_names_qemu),
		cmocka_unit_test(qemu_io_that_writes_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
