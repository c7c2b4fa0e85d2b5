/* file.c: files and directories. What a function reports as written is on the disk: it calls fsync for the file and for
 * its directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base.h"

void vmm_cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int fd_write_all(int fd, const void *data, size_t length)
{
	const char *at = data;
	while (length) {
		ssize_t done = write(fd, at, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		at += done;
		length -= (size_t)done;
	}
	return 0;
}

ssize_t fd_read_all(int fd, void *data, size_t length)
{
	size_t got = 0;
	while (got < length) {
		ssize_t done = read(fd, (char *)data + got, length - got);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		if (done == 0)
			break;
		got += (size_t)done;
	}
	return (ssize_t)got;
}

int file_read(const char *path, size_t limit, char **data, size_t *length, struct vmm_error **err)
{
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "read %s", path);
	vmm_auto_text struct text text = {0};
	char block[8192];
	for (;;) {
		ssize_t got = fd_read_all(fd, block, sizeof(block));
		if (got < 0)
			return error_errno(err, errno, "read %s", path);
		text_add_bytes(&text, block, (size_t)got);
		if (text.length > limit)
			return error_set(err, VMM_FAILED, "too-large", "%s: larger than %zu bytes", path, limit);
		if ((size_t)got < sizeof(block))
			break;
	}
	if (length)
		*length = text.length;
	*data = text_take(&text);
	return 0;
}

int dir_sync(const char *path, struct vmm_error **err)
{
	vmm_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return error_errno(err, errno, "sync the directory %s", path);
	return 0;
}

static int sync_above(const char *path, struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path);
	return dir_sync(dir, err);
}

/* Path of a helper file beside `path`. It is hidden, so that one that a crash left behind does not show in dir_list. */
static char *hidden(const char *path, const char *what)
{
	vmm_auto_free char *dir = path_dir(path);
	return str_format("%s/.%s.%s", dir, path_base(path), what);
}

static char *reserve_path(const char *path)
{
	return hidden(path, "room");
}

int file_reserve(const char *path, size_t length, struct vmm_error **err)
{
	vmm_auto_free char *reserve = reserve_path(path);
	vmm_auto_close int fd = open(reserve, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_errno(err, errno, "reserve space for %s", path);
	int number = posix_fallocate(fd, 0, (off_t)length);
	if (number == 0)
		return 0;
	unlink(reserve);
	return error_errno(err, number, "reserve space for %s", path);
}

int file_unreserve(const char *path, struct vmm_error **err)
{
	vmm_auto_free char *reserve = reserve_path(path);
	return unlink(reserve) < 0 && errno != ENOENT ? error_errno(err, errno, "remove %s", reserve) : 0;
}

/* Writes the whole content to the helper file and syncs it. The file is truncated after the write and not before it:
 * its blocks are written over, and none has to be allocated on a disk that may be full. */
static int write_beside(int fd, const void *data, size_t length)
{
	return fd_write_all(fd, data, length) < 0 || ftruncate(fd, (off_t)length) < 0 ? -1 : fsync(fd);
}

/* Exchanges the two names: the old file becomes the reserve, with its blocks. If there is no old file, or the
 * filesystem cannot exchange names, the reserve is used up. */
static int replace_by_reserve(const char *reserve, const char *path)
{
	return renameat2(AT_FDCWD, reserve, AT_FDCWD, path, RENAME_EXCHANGE) == 0 ? 0 : rename(reserve, path);
}

int file_write(const char *path, const void *data, size_t length, mode_t mode, struct vmm_error **err)
{
	vmm_auto_free char *reserve = reserve_path(path);
	vmm_auto_close int reserved = open(reserve, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (reserved >= 0) {
		if (write_beside(reserved, data, length) < 0 || replace_by_reserve(reserve, path) < 0)
			return error_errno(err, errno, "write %s", path);
		return sync_above(path, err);
	}
	vmm_auto_free char *own = str_format("new-%d", (int)getpid()), *beside = hidden(path, own);
	vmm_auto_close int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return error_errno(err, errno, "write %s", beside);
	if (write_beside(fd, data, length) < 0 || rename(beside, path) < 0) {
		int number = errno;
		unlink(beside);
		return error_errno(err, number, "write %s", path);
	}
	return sync_above(path, err);
}

int file_rename_new(const char *from, const char *to, struct vmm_error **err)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0) {
		if (errno == EEXIST)
			return error_set(err, VMM_FAILED, "exists", "rename %s: %s is there already", from, to);
		/* Some filesystems (FUSE) do not know RENAME_NOREPLACE. A hard link never replaces a file either. */
		if (errno != EINVAL || link(from, to) < 0)
			return errno == EEXIST ? error_set(err, VMM_FAILED, "exists", "rename %s: %s is there already",
							   from, to)
					       : error_errno(err, errno, "rename %s to %s", from, to);
		if (unlink(from) < 0)
			return error_errno(err, errno, "remove %s", from);
	}
	return sync_above(to, err);
}

int file_remove(const char *path, struct vmm_error **err)
{
	if (unlink(path) < 0)
		return errno == ENOENT ? 0 : error_errno(err, errno, "remove %s", path);
	return sync_above(path, err);
}

int dir_make(const char *path, mode_t mode, struct vmm_error **err)
{
	if (mkdir(path, mode) == 0)
		return sync_above(path, err);
	if (errno == EEXIST)
		return 0;
	if (errno != ENOENT)
		return error_errno(err, errno, "make the directory %s", path);
	vmm_auto_free char *above = path_dir(path);
	if (dir_make(above, mode, err) < 0)
		return -1;
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return error_errno(err, errno, "make the directory %s", path);
	return sync_above(path, err);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
	(void)info, (void)kind, (void)at;
	return remove(path);
}

int dir_remove(const char *path, struct vmm_error **err)
{
	if (!file_there(path))
		return 0;
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
		return error_errno(err, errno, "remove the directory %s", path);
	return sync_above(path, err);
}

int dir_list(const char *path, struct json_object **names, struct vmm_error **err)
{
	*names = json_object_new_array();
	struct dirent **found;
	int count = scandir(path, &found, NULL, alphasort);
	if (count < 0 && errno == ENOENT)
		return 0;
	if (count < 0) {
		error_errno(err, errno, "read the directory %s", path);
		json_object_put(*names);
		*names = NULL;
		return -1;
	}
	for (int i = 0; i < count; i++) {
		if (found[i]->d_name[0] != '.')
			json_object_array_add(*names, json_object_new_string(found[i]->d_name));
		free(found[i]);
	}
	free(found);
	return 0;
}

bool file_there(const char *path)
{
	struct stat info;
	return lstat(path, &info) == 0;
}

int file_lock(const char *path, int wait_ms, struct vmm_error **err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, errno, "open the lock %s", path);
	int64_t end = clock_steady_ms() + wait_ms;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int number = errno;
		if (number == EINTR)
			continue;
		if (number == EWOULDBLOCK && clock_steady_ms() < end) {
			clock_sleep_ms(20);
			continue;
		}
		close(fd);
		return number == EWOULDBLOCK ? error_set(err, VMM_BUSY, "locked", "%s is locked", path)
					     : error_errno(err, number, "lock %s", path);
	}
	return fd;
}
