/* track.c: the list of trackers, and opening and closing of snapshots. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

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
