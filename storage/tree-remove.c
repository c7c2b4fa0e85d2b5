/* tree-remove.c: removes a directory tree, whatever is in it: paths that are longer than a system call takes, files and
 * directories that chattr(1) protects. Names are resolved from descriptors of their directories, never by a path, and
 * no symbolic link is followed: what is outside of the tree is not touched, whoever moves directories meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "storage.h"

/* Each level of directories takes a descriptor. A directory that is deeper is moved up to the top of the tree first. */
enum { LEVELS_MOST = 128 };

struct removal {
	const char *path; /* for messages */
	int top;	  /* the tree's own directory */
	unsigned moved;	  /* directories that were moved up */
};

static int failed(const struct removal *r, int number, const char *name, struct vmm_error **err)
{
	return error_errno(err, number, "remove %.80s, in the tree %s", name, r->path);
}

static int open_within(int fd, const char *name, int flags)
{
	return openat(fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
}

/* Takes protecting flags off what has that name in the directory. Only files and directories have flags. */
static int unprotect_entry(int fd, const char *name)
{
	struct stat info;
	if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0 || (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
		return 0;
	vmm_auto_close int own = open_within(fd, name, O_RDONLY);
	return own < 0 ? -1 : inode_unprotect(own);
}

/* The same for the directory too. True: it makes sense to try again. */
static bool unprotect(int fd, const char *name)
{
	return inode_unprotect(fd) == 0 && unprotect_entry(fd, name) == 0;
}

static int remove_name(struct removal *r, int fd, const char *name, int how, struct vmm_error **err)
{
	for (int attempt = 0; unlinkat(fd, name, how) < 0 && errno != ENOENT; attempt++) {
		int number = errno;
		if (number != EPERM || attempt || !unprotect(fd, name))
			return failed(r, number, name, err);
	}
	return 0;
}

static int move_up(struct removal *r, int fd, const char *name, struct vmm_error **err)
{
	for (int attempt = 0;; attempt++) {
		char new_name[32];
		snprintf(new_name, sizeof(new_name), ".vmmigrate-deep-%u", r->moved);
		if (renameat2(fd, name, r->top, new_name, RENAME_NOREPLACE) == 0) {
			r->moved++;
			return 0;
		}
		int number = errno;
		if (number == EEXIST)
			r->moved++;
		else if (number != EPERM || attempt || !unprotect(fd, name) || inode_unprotect(r->top) < 0)
			return failed(r, number, name, err);
	}
}

static int empty(struct removal *r, int fd, int level, struct vmm_error **err);

static int remove_entry(struct removal *r, int fd, const char *name, int level, struct vmm_error **err)
{
	struct stat info;
	if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(r, errno, name, err);
	if (!S_ISDIR(info.st_mode))
		return remove_name(r, fd, name, 0, err);
	if (level == LEVELS_MOST)
		return move_up(r, fd, name, err);
	int child = open_within(fd, name, O_RDONLY | O_DIRECTORY);
	if (child < 0)
		return failed(r, errno, name, err);
	return empty(r, child, level + 1, err) < 0 ? -1 : remove_name(r, fd, name, AT_REMOVEDIR, err);
}

/* Removes everything in the directory, and closes `fd`. */
static int empty(struct removal *r, int fd, int level, struct vmm_error **err)
{
	DIR *directory = fdopendir(fd);
	int done = 0;
	if (!directory) {
		int number = errno;
		close(fd);
		return failed(r, number, "a directory", err);
	}
	for (struct dirent *entry; done == 0 && (entry = readdir(directory));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			done = remove_entry(r, dirfd(directory), entry->d_name, level, err);
	closedir(directory);
	return done;
}

/* Directories that were moved up while the top was read may not have been seen in it: they are looked for again. */
static int empty_top(struct removal *r, struct vmm_error **err)
{
	unsigned before;
	do {
		int fd = open_within(r->top, ".", O_RDONLY | O_DIRECTORY);
		before = r->moved;
		if (fd < 0)
			return failed(r, errno, ".", err);
		if (empty(r, fd, 1, err) < 0)
			return -1;
	} while (r->moved != before);
	return 0;
}

int tree_remove_all(const char *path, struct vmm_error **err)
{
	vmm_auto_close int top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct removal r = {.path = path, .top = top};
	if (top < 0 && errno == ENOENT)
		return 0;
	if (top < 0 && errno != ENOTDIR && errno != ELOOP)
		return error_errno(err, errno, "open the tree %s", path);
	if (top < 0) /* no directory: it is a single file, or a link */
		return file_remove(path, err);
	if (empty_top(&r, err) < 0)
		return -1;
	return inode_unprotect(top) == 0 && rmdir(path) == 0 ? 0 : error_errno(err, errno, "remove the tree %s", path);
}

/* ---------------------------------------------------------------- protecting flags */

/* Closes `fd`. */
static int unprotect_below(const char *path, int fd, int level, struct vmm_error **err)
{
	DIR *directory = fdopendir(fd);
	int done = 0;
	if (!directory || inode_unprotect(fd) < 0)
		done = error_errno(err, errno, "take the flags \"immutable\" and \"append only\" off, in %s", path);
	if (!directory)
		close(fd);
	for (struct dirent *entry; done == 0 && (entry = readdir(directory));) {
		const char *name = entry->d_name;
		if (!strcmp(name, ".") || !strcmp(name, ".."))
			continue;
		int child = open_within(dirfd(directory), name, O_RDONLY | O_DIRECTORY);
		if (child >= 0 && level < TREE_LEVELS_MOST)
			done = unprotect_below(path, child, level + 1, err);
		else if (child >= 0)
			close(child);
		else if (unprotect_entry(dirfd(directory), name) < 0)
			done = error_errno(err, errno, "take flags off %.80s, in %s", name, path);
	}
	if (directory)
		closedir(directory);
	return done;
}

int tree_unprotect_all(const char *path, struct vmm_error **err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? error_errno(err, errno, "open the tree %s", path) : unprotect_below(path, fd, 0, err);
}
