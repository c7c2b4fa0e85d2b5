/* reflink.c: snapshots on XFS and btrfs. The snapshot shares each block with the volume until the block is written to.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "copy/copy.h"
#include "track/track.h"

bool track_reflink_fits(const char *fs)
{
	return str_same(fs, "xfs") || str_same(fs, "btrfs");
}

/* ---------------------------------------------------------------- making a snapshot */

static int unable(struct vmm_error **err, const char *what)
{
	return error_set(err, VMM_FAILED, "track-unable", "%s: %s", what, strerror(errno));
}

/* btrfs lets two files share blocks only if both have checksums or neither has, that is, if their NOCOW flags are
 * equal. If the flag cannot be set, FICLONE fails and reports it. */
static void copy_nocow_flag(int from, int to)
{
	int from_flags = 0, to_flags = 0;
	if (ioctl(from, FS_IOC_GETFLAGS, &from_flags) < 0 || ioctl(to, FS_IOC_GETFLAGS, &to_flags) < 0 ||
	    !((from_flags ^ to_flags) & FS_NOCOW_FL))
		return;
	to_flags ^= FS_NOCOW_FL;
	ioctl(to, FS_IOC_SETFLAGS, &to_flags);
}

static int reflink_begin(const char *path, const char *snapshot, uint64_t need, struct vmm_error **err)
{
	vmm_auto_close int from = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (from < 0)
		return unable(err, path);
	if (track_check_room(from, need, err) < 0)
		return -1;
	/* FICLONE writes all dirty pages to the disk and blocks the guest's writes until then. Most of them are written
	 * here, before. */
	fdatasync(from);
	vmm_auto_close int to = open(snapshot, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return unable(err, snapshot);
	copy_nocow_flag(from, to);
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	unable(err, "its blocks cannot be shared");
	unlink(snapshot);
	return -1;
}

/* ---------------------------------------------------------------- comparing */

/* The snapshot is still the file that was made: at its path, of the same device, inode and size. */
static int check_snapshot(const struct track_snapshot *since, struct vmm_error **err)
{
	struct stat opened, at_path;
	if (fstat(since->fd, &opened) == 0 && lstat(since->path, &at_path) == 0 && at_path.st_dev == since->device &&
	    at_path.st_ino == since->inode && opened.st_dev == since->device && opened.st_ino == since->inode &&
	    (uint64_t)opened.st_size == since->size)
		return 0;
	return error_set(err, VMM_FAILED, "track-doubt", "its snapshot %s was replaced, removed or resized",
			 since->path);
}

static int check_volume(const struct track_snapshot *since, int fd, struct vmm_error **err)
{
	struct stat info;
	if (fstat(fd, &info) < 0 || info.st_dev != since->device)
		return error_set(err, VMM_FAILED, "track-doubt", "its snapshot is on another filesystem");
	if ((uint64_t)info.st_size < since->size)
		return error_set(err, VMM_FAILED, "track-doubt", "it has become smaller");
	return 0;
}

/* Reads the snapshot's map twice, before and after the volume's. If they differ, the filesystem is moving blocks (a
 * balance, a defragmentation) and may have given an address to another block meanwhile, so the comparison proves
 * nothing. */
static int reflink_changed(const struct track_snapshot *since, int fd, struct track_changes *changes,
			   struct vmm_error **err)
{
	struct track_map before = {0}, now = {0}, after = {0};
	*changes = (struct track_changes){0};
	if (check_snapshot(since, err) < 0 || check_volume(since, fd, err) < 0)
		return -1;
	int done = track_map_read(since->fd, &before, err) < 0 || track_map_read(fd, &now, err) < 0 ||
				   track_map_read(since->fd, &after, err) < 0
			   ? -1
			   : 0;
	if (!done && !track_map_same(&before, &after))
		done = error_set(err, VMM_FAILED, "track-doubt", "the filesystem is moving its blocks");
	if (!done)
		track_compare(&before, &now, changes);
	track_map_free(&before);
	track_map_free(&now);
	track_map_free(&after);
	return done;
}

const struct track_ops track_reflink = {
	.name = "reflink",
	.begin = reflink_begin,
	.changed = reflink_changed,
};
