/* stamp.c: when a tree's files were written, by the clock of their own filesystem.
 *
 * That clock need not be ours (a filesystem may be served by another machine), and either may be set while a copy goes
 * on. So times of files are compared with the time of a file that is made there, and a clock that was set makes them
 * worth nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>

#include "tree/tree.h"

int64_t tree_stamp(const char *root)
{
	/* A file without a name, so that the directory stays as it is. */
	vmm_auto_close int fd = open(root, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct stat info;
	if (fd < 0 || fstat(fd, &info) < 0)
		return TREE_STAMP_UNKNOWN;
	return (int64_t)info.st_ctim.tv_sec * 1000000000 + info.st_ctim.tv_nsec;
}

int tree_clock_watch(void)
{
	/* A timer that never rings; reading it fails with ECANCELED once the clock has been set. */
	const struct itimerspec never = {.it_value.tv_sec = INT32_MAX};
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd >= 0 && timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0)
		vmm_cleanup_close(&fd);
	return fd;
}

bool tree_clock_was_set(int fd)
{
	uint64_t times;
	return read(fd, &times, sizeof(times)) < 0 && errno != EAGAIN;
}
