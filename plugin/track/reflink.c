/* reflink.c: XFS, btrfs - the frozen file shares its blocks with the volume until either is written to. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "copy/copy.h"
#include "track/track.h"

bool track_reflink_fits(const char *fs)
{
	return str_same(fs, "xfs") || str_same(fs, "btrfs");
}

/* ---------------------------------------------------------------- freezing */

static int unable(struct vmm_error **err, const char *what)
{
	return error_set(err, VMM_FAILED, "track-unable", "%s: %s", what, strerror(errno));
}

/* From now on the guest needs a new block for each that it writes for the first time. It must not meet a full disk because of us:
 * a quarter of the image has to be free. */
static int check_room(int from, struct vmm_error **err)
{
	struct stat info;
	struct statvfs room;
	if (fstat(from, &info) < 0 || fstatvfs(from, &room) < 0)
		return unable(err, "it cannot be looked at");
	uint64_t have = (uint64_t)room.f_bavail * room.f_frsize, need = (uint64_t)info.st_blocks * 512 / 4;
	if (have >= need)
		return 0;
	vmm_auto_free char *had = str_size((int64_t)have), *needed = str_size((int64_t)need);
	return error_set(err, VMM_FAILED, "track-unable",
			 "its storage has too little room for what the guest writes beside a snapshot (%s, have %s)",
			 needed, had);
}

/* btrfs shares blocks between files of one kind only: both with checksums, or both without. */
static void take_flags(int from, int to)
{
	int flags = 0, own = 0;
	if (ioctl(from, FS_IOC_GETFLAGS, &flags) < 0 || ioctl(to, FS_IOC_GETFLAGS, &own) < 0 ||
	    !((flags ^ own) & FS_NOCOW_FL))
		return;
	own ^= FS_NOCOW_FL;
	ioctl(to, FS_IOC_SETFLAGS, &own);
}

static int reflink_begin(const char *path, const char *place, struct vmm_error **err)
{
	vmm_auto_close int from = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (from < 0)
		return unable(err, path);
	if (check_room(from, err) < 0)
		return -1;
	/* Sharing blocks holds up the writers until all that is dirty has been written: so most of it is, before. */
	fdatasync(from);
	vmm_auto_close int to = open(place, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return unable(err, place);
	take_flags(from, to);
	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	unable(err, "its blocks cannot be shared");
	unlink(place);
	return -1;
}

/* ---------------------------------------------------------------- comparing */

static int check_ours(const struct track_snapshot *since, struct vmm_error **err)
{
	struct stat open_one, there;
	if (fstat(since->fd, &open_one) == 0 && lstat(since->place, &there) == 0 && there.st_dev == since->device &&
	    there.st_ino == since->inode && open_one.st_dev == since->device && open_one.st_ino == since->inode &&
	    (uint64_t)open_one.st_size == since->size)
		return 0;
	return error_set(err, VMM_FAILED, "track-doubt", "its snapshot %s is not as it was made", since->place);
}

static int check_now(const struct track_snapshot *since, int fd, struct vmm_error **err)
{
	struct stat info;
	if (fstat(fd, &info) < 0 || info.st_dev != since->device)
		return error_set(err, VMM_FAILED, "track-doubt", "its snapshot is on another filesystem");
	if ((uint64_t)info.st_size < since->size)
		return error_set(err, VMM_FAILED, "track-doubt", "it has become shorter");
	return 0;
}

/* The snapshot's map is asked for before and after: where blocks were moved meanwhile (a balance, a defragmentation), an address may
 * have been given to another block. */
static int reflink_changed(const struct track_snapshot *since, int fd, struct track_changes *changes,
			   struct vmm_error **err)
{
	struct track_map before = {0}, now = {0}, after = {0};
	*changes = (struct track_changes){0};
	if (check_ours(since, err) < 0 || check_now(since, fd, err) < 0)
		return -1;
	int done = track_map_read(since->fd, &before, err) < 0 || track_map_read(fd, &now, err) < 0 ||
				   track_map_read(since->fd, &after, err) < 0
			   ? -1
			   : 0;
	if (!done && !track_map_same(&before, &after))
		done = error_set(err, VMM_FAILED, "track-doubt", "its blocks are being moved");
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
