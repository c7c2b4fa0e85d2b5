/* track.c: the list of trackers, and opening and closing of snapshots. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "copy/copy.h"
#include "track/track.h"

static const struct track_ops *const trackers[] = {&track_reflink, &track_reread};

const struct track_ops *track_named(const char *name)
{
	for (size_t i = 0; i < VMM_COUNT(trackers); i++)
		if (str_same(trackers[i]->name, name))
			return trackers[i];
	return &track_reread;
}

int track_check_room(int fd, uint64_t need, struct vmm_error **err)
{
	const uint64_t floor_most = (uint64_t)4 << 30;
	struct statvfs fs;
	if (fstatvfs(fd, &fs) < 0)
		return error_set(err, VMM_FAILED, "track-unable", "its free space cannot be determined: %m");
	uint64_t have = (uint64_t)fs.f_bavail * fs.f_frsize, floor = (uint64_t)fs.f_blocks * fs.f_frsize / 20;
	need += floor < floor_most ? floor : floor_most;
	if (have >= need)
		return 0;
	vmm_auto_free char *had = str_size((int64_t)have), *needed = str_size((int64_t)need);
	return error_set(
		err, VMM_FAILED, "track-unable",
		"its storage has too little free space for what is written while there are snapshots (need %s, "
		"have %s)",
		needed, had);
}

int track_open(const char *path, uint64_t device, uint64_t inode, struct track_snapshot *snapshot,
	       struct vmm_error **err)
{
	struct stat info;
	*snapshot = (struct track_snapshot){0};
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, VMM_FAILED, "track-doubt", "its snapshot %s cannot be opened: %m", path);
	if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || info.st_dev != device || info.st_ino != inode) {
		close(fd);
		return error_set(err, VMM_FAILED, "track-doubt", "%s is not the snapshot that was made", path);
	}
	*snapshot = (struct track_snapshot){str_copy(path), fd, device, inode, (uint64_t)info.st_size};
	return 0;
}

void track_close(struct track_snapshot *snapshot)
{
	if (!snapshot->path)
		return;
	close(snapshot->fd);
	free(snapshot->path);
	*snapshot = (struct track_snapshot){0};
}
