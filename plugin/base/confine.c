/* confine.c: shuts the calling process away from all but the file or directory that its program is to work on.
 *
 * The programs that we run on what a guest has written (rsync on its directories, qemu-img on its images) run as root,
 * and the guest may change its files under their hands: a directory that becomes a symbolic link at the right moment
 * must lead nowhere. So they get a root of their own with /usr in it, read-only, and what they work on, where no
 * symbolic link is followed; a /proc that has hardly more than themselves; no network; few of root's capabilities.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base.h"

/* ---------------------------------------------------------------- a root of its own */

/* A copy of the mount at `path`, with all mounts below it, that is attached nowhere yet. */
static int take(const char *path, uint64_t flags)
{
	struct mount_attr attributes = {.attr_set = flags, .propagation = MS_PRIVATE};
	int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof(attributes)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Attaches it below the working directory at the same absolute path, whose directories are made. */
static int place(int fd, const char *path)
{
	char below[4096];
	struct stat info;
	if (fd < 0 || fstat(fd, &info) < 0 || *path != '/' || strlen(path) >= sizeof(below)) {
		errno = fd < 0 ? errno : EINVAL;
		return -1;
	}
	strcpy(below, path + 1);
	/* Those that are there already are in /usr. */
	for (char *slash = below; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		mkdir(below, 0755);
	}
	if (S_ISDIR(info.st_mode))
		mkdir(below, 0755);
	else
		mknod(below, S_IFREG | 0600, 0);
	return move_mount(fd, "", AT_FDCWD, below, MOVE_MOUNT_F_EMPTY_PATH);
}

/* As Debian has them. */
static int link_libraries(void)
{
	return symlink("usr/bin", "bin") < 0 || symlink("usr/lib", "lib") < 0 || symlink("usr/lib32", "lib32") < 0 ||
			       symlink("usr/lib64", "lib64") < 0
		       ? -1
		       : 0;
}

/* rsync 3.5 sets modes by way of /proc/self/fd. Other processes are in it only if we could trace them: those that have
 * no more capabilities than we. */
static int mount_proc(void)
{
	return mkdir("proc", 0755) < 0 ? -1
				       : mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
					       "hidepid=ptraceable,subset=pid");
}

static int place_devices(void)
{
	const uint64_t device = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	int null = take("/dev/null", device), random = take("/dev/urandom", device);
	return place(null, "/dev/null") < 0 || place(random, "/dev/urandom") < 0 ? -1 : 0;
}

/* The working directory becomes the root. The old one is detached: as long as it was there, no filesystem of the node
 * could be unmounted for good. On a node whose root cannot be moved (an initial RAM disk) it stays, out of reach. */
static int change_root(void)
{
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -1 : 0;
	return chroot(".") < 0 || chdir("/") < 0 ? -1 : 0;
}

static int change_mounts(const struct confinement *c)
{
	const uint64_t program = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	struct stat info;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || stat(c->path, &info) < 0)
		return -1;
	uint64_t flags = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSYMFOLLOW;
	flags |= S_ISBLK(info.st_mode) ? 0 : MOUNT_ATTR_NODEV;
	flags |= c->writable ? 0 : MOUNT_ATTR_RDONLY;
	int usr = take("/usr", program), work = take(c->path, flags),
	    more = c->program ? take(c->program, program) : -1;
	/* The new root is attached over any directory that is there: nobody else sees that. */
	if (usr < 0 || work < 0 || mount("vmmigrate", "/usr", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m") < 0 ||
	    chdir("/usr") < 0 || place(usr, "/usr") < 0 || link_libraries() < 0 || mount_proc() < 0 ||
	    place_devices() < 0 || (c->program && place(more, c->program) < 0) || place(work, c->path) < 0 ||
	    change_root() < 0)
		return -1;
	return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
}

/* ---------------------------------------------------------------- capabilities, limits */

/* Leaves those capabilities of `keep` that the process has, and has a program that it executes get no others. */
static int drop_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};
	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	for (unsigned i = 0; i < 64; i++)
		if (!(keep >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EINVAL)
			return -1;
	for (unsigned i = 0; i < VMM_COUNT(data); i++) {
		data[i].permitted &= (uint32_t)(keep >> 32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return (int)syscall(SYS_capset, &header, data);
}

static int set_limit(int what, rlim_t most)
{
	struct rlimit limit = {most, most};
	return most ? setrlimit(what, &limit) : 0;
}

int confine(const struct confinement *c)
{
	/* Who is not root has no more rights than its user has, and none to change mounts. */
	if (geteuid() == 0 && (change_mounts(c) < 0 || drop_capabilities(c->capabilities) < 0))
		return -1;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || set_limit(RLIMIT_AS, c->memory) < 0 ||
			       set_limit(RLIMIT_CPU, c->cpu_s) < 0
		       ? -1
		       : 0;
}
