/* tree.c: volumes that are directory trees, such as a container's root. They are on storages of the kind "dir". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/btrfs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#include "storage.h"

enum { BTRFS_MAGIC = 0x9123683e };

static bool tree_is_mine(struct json_object *volume)
{
	return str_same(json_text(volume, "type"), "tree");
}

/* ------------------------------------------------------------------ describe */

enum { DEPTH_MOST = 512 };

struct sum {
	double blocks; /* of 512 bytes; a fraction where a file has further names outside of the tree */
	int64_t files;
};

static void add(struct sum *sum, const struct stat *info)
{
	bool many = !S_ISDIR(info->st_mode) && info->st_nlink > 1;
	sum->blocks += (double)info->st_blocks / (many ? (double)info->st_nlink : 1);
	sum->files++;
}

/* Closes the descriptor. Files that are removed meanwhile are skipped: the guest may be running. */
static void add_directory(struct sum *sum, int fd, int depth)
{
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory)
		vmm_cleanup_close(&fd);
	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		const char *name = entry->d_name;
		struct stat info;
		if (!strcmp(name, ".") || !strcmp(name, "..") || fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		add(sum, &info);
		if (S_ISDIR(info.st_mode) && depth < DEPTH_MOST)
			add_directory(sum, openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
				      depth + 1);
	}
	if (directory)
		closedir(directory);
}

/* Bytes that are allocated, and the number of names in the tree. A file with several hard links is counted once for its
 * size, since each of its names counts for a part of it. */
static int sum_up(const char *path, int64_t *allocated, int64_t *files, struct vmm_error **err)
{
	struct sum sum = {0};
	struct stat info;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0) {
		int number = errno;
		vmm_cleanup_close(&fd);
		return error_errno(err, number, "examine the tree %s", path);
	}
	add(&sum, &info);
	add_directory(&sum, fd, 0);
	*allocated = (int64_t)(sum.blocks * 512);
	*files = sum.files;
	return 0;
}

static int tree_describe(struct json_object *volume, struct vmm_error **err)
{
	int64_t allocated = 0, files = 0;
	const char *path = json_text(volume, "path");
	if (plain_describe(volume, err) < 0)
		return -1;
	if (!json_true(volume, "directory"))
		return error_set(err, VMM_BLOCKED, "volume-odd", "the volume %s is not a directory", path);
	if (sum_up(path, &allocated, &files, err) < 0)
		return -1;
	json_put(volume, "tree:b format:s size:i allocated:i files:i", 1, "tree", allocated, allocated, files);
	return 0;
}

/* ------------------------------------------------------------------ allocate, publish */

/* On btrfs a tree becomes a subvolume, as LXC makes them. */
static int make_directory(const char *path, const char *dir, struct vmm_error **err)
{
	struct statfs fs;
	if (statfs(dir, &fs) == 0 && (unsigned long)fs.f_type == BTRFS_MAGIC) {
		struct btrfs_ioctl_vol_args args = {0};
		const char *base = path_base(path);
		vmm_auto_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && strlen(base) < sizeof(args.name)) {
			memcpy(args.name, base, strlen(base));
			if (ioctl(fd, BTRFS_IOC_SUBVOL_CREATE, &args) == 0)
				return 0;
		}
	}
	if (mkdir(path, 0700) == 0)
		return 0;
	return errno == EEXIST ? error_set(err, VMM_BLOCKED, "volume-taken", "%s is there already", path)
			       : error_errno(err, errno, "make the directory %s", path);
}

static int tree_allocate(const char *path, uint64_t size, uint64_t size_needed, struct vmm_error **err)
{
	(void)size;
	vmm_auto_free char *dir = path_dir(path);
	struct statvfs room;
	if (path_check(path, "volume", err) < 0)
		return -1;
	if (statvfs(dir, &room) < 0)
		return error_errno(err, errno, "get the free space in %s", dir);
	if (plain_check_space(path, size_needed, (uint64_t)room.f_bavail * room.f_frsize, err) < 0 ||
	    make_directory(path, dir, err) < 0)
		return -1;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "open the directory %s", path) : fd;
}

/* Owner and mode of the tree were copied with it. The whole filesystem is synced, since none of the tree's files is
 * yet. */
static int tree_publish(const char *temporary, const char *final, const struct storage_owner *owner,
			struct vmm_error **err)
{
	(void)owner;
	if (path_check(final, "volume", err) < 0)
		return -1;
	vmm_auto_close int fd = open(temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0)
		return error_errno(err, errno, "sync the tree %s", temporary);
	return plain_rename(temporary, final, err);
}

/* ------------------------------------------------------------------ remove */

/* Error "mounted" if anything is mounted inside of the tree: that does not belong to it and must not be removed. */
static int check_mounts(const char *path, struct vmm_error **err)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	vmm_auto_free char *line = NULL, *real = realpath(path, NULL);
	vmm_auto_free char *within = str_format(" %s/", real ? real : path);
	size_t room = 0;
	bool mounted = false;
	while (mounts && !mounted && getline(&line, &room, mounts) > 0) {
		char *point = line;
		for (int field = 0; field < 4 && point; field++)
			point = strchr(point + 1, ' ');
		mounted = point && str_starts(point, within);
	}
	if (mounts)
		fclose(mounts);
	return mounted ? error_set(err, VMM_FAILED, "mounted", "%s is not removed: something is mounted in it", path)
		       : 0;
}

/* Waits until the receiver of a cancelled copy has ended, which holds a lock on the directory: what it writes during
 * the removal would stay. Error "volume-in-use". */
static int wait_for_writer(const char *path, struct vmm_error **err)
{
	enum { WAIT_MS = 10000, PAUSE_MS = 20 };
	vmm_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int64_t end = clock_steady_ms() + WAIT_MS;
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (clock_steady_ms() >= end)
			return error_set(err, VMM_FAILED, "volume-in-use", "%s is not removed: it is being written to",
					 path);
		clock_sleep_ms(PAUSE_MS);
	}
	return 0;
}

static int remove_all(const char *path, struct vmm_error **err)
{
	char *const roots[] = {(char *)path, NULL};
	FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;
	int done = 0;
	if (!walk)
		return error_errno(err, errno, "read the tree %s", path);
	while (done == 0 && (entry = fts_read(walk)))
		if (entry->fts_info != FTS_D && remove(entry->fts_accpath) < 0 && errno != ENOENT)
			done = error_errno(err, errno, "remove %s", entry->fts_path);
	fts_close(walk);
	return done;
}

static int tree_remove(const char *path, struct vmm_error **err)
{
	if (path_check(path, "volume", err) < 0)
		return -1;
	if (!file_there(path))
		return 0;
	vmm_auto_free char *dir = path_dir(path);
	if (check_mounts(path, err) < 0 || wait_for_writer(path, err) < 0 || remove_all(path, err) < 0)
		return -1;
	return dir_sync(dir, err);
}

const struct storage_ops storage_tree = {
	.kind = "tree",
	.storage_kind = "dir",
	.tree = true,
	.is_mine = tree_is_mine,
	.describe = tree_describe,
	.default_storage = plain_default_storage,
	.allocate = tree_allocate,
	.publish = tree_publish,
	.remove = tree_remove,
};
