/* inode-flags.c: the flags of a file or directory that chattr(1) sets, such as "immutable". */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "base.h"

/* Those that a user sets. The others, such as "has extents" or "is encrypted", are the filesystem's own. */
enum {
	OF_USERS = FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL |
		   FS_NOATIME_FL | FS_NOCOMP_FL | FS_JOURNAL_DATA_FL | FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_NOCOW_FL,
	PROTECTING = FS_IMMUTABLE_FL | FS_APPEND_FL, /* they keep even root from removing or renaming it */
};

/* Does this errno say that the filesystem does not have these flags, or none at all? */
static bool is_unknown(int number)
{
	return number == ENOTTY || number == EOPNOTSUPP || number == ENOSYS || number == EINVAL;
}

unsigned inode_flags(int fd)
{
	unsigned flags = 0;
	return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? 0 : flags & OF_USERS;
}

/* Adds them to *now. That the filesystem does not know them is no failure. */
static int add(int fd, unsigned flags, unsigned *now)
{
	unsigned wanted = *now | flags;
	if (wanted == *now)
		return 0;
	if (ioctl(fd, FS_IOC_SETFLAGS, &wanted) < 0)
		return is_unknown(errno) ? 0 : -1;
	*now = wanted;
	return 0;
}

/* A filesystem that does not know one of them refuses them all, so that they are set one by one; those that protect the
 * file come last, since they protect its flags as well. */
int inode_flags_add(int fd, unsigned flags, unsigned *missing)
{
	unsigned now = 0;
	flags &= OF_USERS;
	*missing = flags;
	if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
		return is_unknown(errno) ? 0 : -1;
	for (unsigned flag = 1; flag; flag <<= 1)
		if (add(fd, flags & ~(unsigned)PROTECTING & flag, &now) < 0)
			return -1;
	if (add(fd, flags & PROTECTING, &now) < 0)
		return -1;
	*missing &= ~inode_flags(fd);
	return 0;
}

int inode_unprotect(int fd)
{
	unsigned flags = 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & PROTECTING))
		return 0;
	flags &= ~(unsigned)PROTECTING;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}
