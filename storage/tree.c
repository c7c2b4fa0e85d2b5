/* tree.c: volumes that are directory trees, such as a container's root. They are on storages of the kind "dir". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* rsync takes relative paths of up to PATH_MAX bytes, and appends some to the names of its temporary files. */
enum { PATH_MOST = PATH_MAX - 96, SHOWN_MOST = 100, BTRFS_SUBVOLUME_INODE = 256 };

struct sum {
	double blocks; /* of 512 bytes; a fraction where a file has further names outside of the tree */
	int64_t files;
	struct text path; /* of the current entry, relative to the tree */
	/* The first path, or its beginning, of each kind that is not copied as it is; or NULL. */
	char *deep;	 /* it is too long, or too many levels down */
	char *subvolume; /* of btrfs */
	char *mounted;	 /* another filesystem is mounted there */
};

static void note_first(char **first, const struct text *path)
{
	if (!*first)
		*first = str_format("%.*s%s", SHOWN_MOST, path->data, path->length > SHOWN_MOST ? "..." : "");
}

static void add(struct sum *sum, const struct stat *info)
{
	bool many = !S_ISDIR(info->st_mode) && info->st_nlink > 1;
	sum->blocks += (double)info->st_blocks / (many ? (double)info->st_nlink : 1);
	sum->files++;
}

static void add_directory(struct sum *sum, int fd, dev_t device, int level);

static void add_entry(struct sum *sum, int parent, const char *name, dev_t device, int level)
{
	struct stat info;
	if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	add(sum, &info);
	if (sum->path.length > PATH_MOST)
		note_first(&sum->deep, &sum->path);
	if (!S_ISDIR(info.st_mode))
		return;
	if (info.st_dev != device)
		note_first(info.st_ino == BTRFS_SUBVOLUME_INODE ? &sum->subvolume : &sum->mounted, &sum->path);
	if (level < TREE_LEVELS_MOST)
		add_directory(sum, openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), info.st_dev,
			      level + 1);
	else
		note_first(&sum->deep, &sum->path);
}

/* Closes the descriptor. Files that are removed meanwhile are skipped: the guest may be running. */
static void add_directory(struct sum *sum, int fd, dev_t device, int level)
{
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	size_t above = sum->path.length;
	if (!directory)
		vmm_cleanup_close(&fd);
	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		text_add(&sum->path, "%s%s", above ? "/" : "", entry->d_name);
		add_entry(sum, fd, entry->d_name, device, level);
		sum->path.length = above;
		sum->path.data[above] = 0;
	}
	if (directory)
		closedir(directory);
}

/* Bytes that are allocated, and the number of names in the tree. A file with several hard links is counted once for its
 * size, since each of its names counts for a part of it. */
static int sum_up(const char *path, struct sum *sum, struct vmm_error **err)
{
	struct stat info;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0) {
		int number = errno;
		vmm_cleanup_close(&fd);
		return error_errno(err, number, "examine the tree %s", path);
	}
	add(sum, &info);
	add_directory(sum, fd, info.st_dev, 0);
	return 0;
}

static void put_sum(struct json_object *volume, struct sum *sum)
{
	int64_t allocated = (int64_t)(sum->blocks * 512);
	json_put(volume, "tree:b format:s size:i allocated:i files:i", 1, "tree", allocated, allocated, sum->files);
	if (sum->deep)
		json_put(volume, "deep:s", sum->deep);
	if (sum->subvolume)
		json_put(volume, "subvolume:s", sum->subvolume);
	if (sum->mounted)
		json_put(volume, "mounted:s", sum->mounted);
}

static int tree_describe(struct json_object *volume, struct vmm_error **err)
{
	const char *path = json_text(volume, "path");
	struct sum sum = {0};
	if (plain_describe(volume, err) < 0)
		return -1;
	if (json_true(volume, "absent"))
		return 0;
	if (!json_true(volume, "directory"))
		return error_set(err, VMM_BLOCKED, "volume-odd", "the volume %s is not a directory", path);
	int done = sum_up(path, &sum, err);
	if (done == 0)
		put_sum(volume, &sum);
	text_free(&sum.path);
	free(sum.deep);
	free(sum.subvolume);
	free(sum.mounted);
	return done;
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
	vmm_auto_free char *tree = tree_within(path);
	if (plain_check_space(path, size_needed, (uint64_t)room.f_bavail * room.f_frsize, err) < 0 ||
	    tree_private_make(path, err) < 0 || make_directory(tree, path, err) < 0)
		return -1;
	int fd = open(tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "open the directory %s", tree) : fd;
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
	return tree_show(temporary, final, err);
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

static int tree_remove(const char *path, struct vmm_error **err)
{
	if (path_check(path, "volume", err) < 0)
		return -1;
	if (!file_there(path))
		return 0;
	vmm_auto_free char *dir = path_dir(path), *within = tree_within(path);
	if (check_mounts(path, err) < 0 || wait_for_writer(path, err) < 0 || wait_for_writer(within, err) < 0 ||
	    tree_remove_all(path, err) < 0)
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
