/* plain.c: what all kinds have in common whose volumes are plain files. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "storage.h"

static int missing(const char *path, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "volume-missing", "the volume %s is not there", path);
	return error_hint(
		err, "Check that its storage is mounted; else the guest's definition names a file that was removed.");
}

/* A volume whose path is a symbolic link is the file that the link leads to. */
static void add_real_path(struct json_object *volume, const char *path)
{
	struct stat info;
	vmm_auto_free char *real = NULL;
	if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode))
		real = realpath(path, NULL);
	if (real)
		json_put(volume, "real:s", real);
}

int plain_describe(struct json_object *volume, struct vmm_error **err)
{
	const char *path = json_text(volume, "path");
	struct stat info;
	if (stat(path, &info) < 0) {
		bool none = errno == ENOENT || errno == ENOTDIR;
		if (!none || !json_true(volume, "made_at_start"))
			return none ? missing(path, err) : error_errno(err, errno, "examine the volume %s", path);
		json_put(volume, "absent:b", 1);
		return 0;
	}
	add_real_path(volume, path);
	json_put(volume, "uid:i gid:i mode:d", (int64_t)info.st_uid, (int64_t)info.st_gid, (int)(info.st_mode & 0777));
	if (S_ISDIR(info.st_mode)) {
		json_put(volume, "directory:b", 1);
		return 0;
	}
	if (!S_ISREG(info.st_mode))
		return error_set(err, VMM_BLOCKED, "volume-odd", "the volume %s is neither a file nor a directory",
				 path);
	json_put(volume, "size:i allocated:i", (int64_t)info.st_size, (int64_t)info.st_blocks * 512);
	return 0;
}

static int no_space(const char *path, uint64_t need, uint64_t have, struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path), *needed = str_size((int64_t)need), *had = str_size((int64_t)have);
	error_set(err, VMM_BLOCKED, "no-space", "no space in %s (need %s, have %s)", dir, needed, had);
	return error_hint(err, "Free some space there, or choose another storage (--targetstorage) or another node.");
}

int plain_check_space(const char *path, uint64_t need, uint64_t free, struct vmm_error **err)
{
	return need > free ? no_space(path, need, free, err) : 0;
}

int plain_allocate(const char *path, uint64_t size, uint64_t size_needed, uint64_t free, struct vmm_error **err)
{
	if (path_check(path, "volume", err) < 0)
		return -1;
	if (size > INT64_MAX)
		return error_set(err, VMM_USAGE, "malformed", "volume %s: a size of %ju bytes", path, (uintmax_t)size);
	if (plain_check_space(path, size_needed, free, err) < 0)
		return -1;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? error_set(err, VMM_BLOCKED, "volume-taken", "%s is there already", path)
				       : error_errno(err, errno, "make the volume %s", path);
	if (ftruncate(fd, (off_t)size) < 0) {
		int number = errno;
		unlink(path);
		close(fd);
		return error_errno(err, number, "set the size of the volume %s to %ju bytes", path, (uintmax_t)size);
	}
	return fd;
}

/* O_NONBLOCK: opening a FIFO of that name must not wait; it has no effect on a regular file. A link is followed for
 * reading only: a file that we write to is always one that we made. */
int plain_open(const char *path, bool writable, struct vmm_error **err)
{
	if (path_check(path, "volume", err) < 0)
		return -1;
	int fd = open(path, (writable ? O_RDWR | O_NOFOLLOW : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? missing(path, err) : error_errno(err, errno, "open the volume %s", path);
	struct stat info;
	if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode)) {
		close(fd);
		return error_set(err, VMM_BLOCKED, "volume-odd", "the volume %s is not a plain file", path);
	}
	return fd;
}

static int set_owner(int fd, const char *path, const struct storage_owner *owner, struct vmm_error **err)
{
	/* fchown leaves what is -1 as it is. */
	if (fchown(fd, (uid_t)owner->uid, (gid_t)owner->gid) < 0)
		return error_errno(err, errno, "set the owner of %s", path);
	if (owner->mode >= 0 && fchmod(fd, (mode_t)owner->mode & 0777) < 0)
		return error_errno(err, errno, "set the mode of %s", path);
	return 0;
}

int plain_rename(const char *temporary, const char *final, struct vmm_error **err)
{
	struct vmm_error *trouble = NULL;
	if (file_rename_new(temporary, final, &trouble) == 0)
		return 0;
	if (!error_is(trouble, "exists")) {
		error_take(err, trouble);
		return -1;
	}
	error_clear(&trouble);
	error_set(err, VMM_BLOCKED, "volume-taken", "%s is there already", final);
	return error_hint(err, "Move it away, or use --replace to set it aside.");
}

int plain_publish(const char *temporary, const char *final, const struct storage_owner *owner, struct vmm_error **err)
{
	if (path_check(final, "volume", err) < 0)
		return -1;
	vmm_auto_close int fd = plain_open(temporary, true, err);
	if (fd < 0 || (owner && set_owner(fd, temporary, owner, err) < 0))
		return -1;
	if (fsync(fd) < 0)
		return error_errno(err, errno, "sync the volume %s", temporary);
	return plain_rename(temporary, final, err);
}

int plain_remove(const char *path, struct vmm_error **err)
{
	return path_check(path, "volume", err) < 0 ? -1 : file_remove(path, err);
}

/* The mount point "/" gives the name "root", "/srv/vm store" gives "srv-vm store". */
void plain_default_storage(struct json_object *volume, char **name, char **path)
{
	struct storage_fs fs = {0};
	*path = str_copy(storage_fs_look(json_text(volume, "path"), &fs, NULL) == 0 ? fs.mount : "/");
	storage_fs_free(&fs);
	*name = str_copy((*path)[1] ? *path + 1 : "root");
	for (char *at = *name; *at; at++)
		if (*at == '/')
			*at = '-';
}
