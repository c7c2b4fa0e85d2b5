/* device.c: block devices - size, identity across nodes, whether they were written to, whether this system uses
 * them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "storage.h"

enum { PROBE_WAIT_MS = 1000, PROBE_PAUSE_MS = 20 };

int device_open(const char *path, int flags, struct vmm_error **err)
{
	struct stat info;
	vmm_auto_close int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENXIO)) {
		error_set(err, VMM_BLOCKED, "volume-missing", "the block device %s is not there", path);
		return error_hint(err, "Is the volume group active, or the LUN attached?");
	}
	if (fd < 0 || fstat(fd, &info) < 0)
		return error_errno(err, errno, "open the block device %s", path);
	if (!S_ISBLK(info.st_mode))
		return error_set(err, VMM_BLOCKED, "volume-odd", "%s is not a block device", path);
	int opened = fd;
	fd = -1;
	return opened;
}

int device_size(int fd, const char *path, uint64_t *size, struct vmm_error **err)
{
	return ioctl(fd, BLKGETSIZE64, size) < 0 ? error_errno(err, errno, "get the size of %s", path) : 0;
}

/* ------------------------------------------------------------------ identity, writes */

/* The path in /sys of a file of the device. */
static char *sysfs_path(dev_t device, const char *name)
{
	return str_format("/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
}

/* The first line of such a file, or NULL. */
static char *attribute(dev_t device, const char *name)
{
	char line[256];
	vmm_auto_free char *path = sysfs_path(device, name);
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : fd_read_all(fd, line, sizeof(line) - 1);
	if (got <= 0)
		return NULL;
	line[got] = 0;
	line[strcspn(line, "\n")] = 0;
	return *line ? str_copy(line) : NULL;
}

/* Device-mapper's UUID (LVM: the UUIDs of group and volume; multipath: the WWID), else the disk's WWID with the number
 * of the partition. Names that each node assigns by itself (sdb, loop0) identify nothing. */
char *device_identity(int fd)
{
	struct stat info;
	if (fstat(fd, &info) < 0)
		return NULL;
	dev_t device = info.st_rdev;
	vmm_auto_free char *mapped = attribute(device, "dm/uuid"), *part = attribute(device, "partition");
	if (mapped && (str_starts(mapped, "LVM-") || str_starts(mapped, "mpath-")))
		return str_copy(mapped);
	static const char *const of_disk[] = {"wwid", "device/wwid"}, *const of_part[] = {"../wwid", "../device/wwid"};
	for (size_t i = 0; i < VMM_COUNT(of_disk); i++) {
		vmm_auto_free char *wwid = attribute(device, part ? of_part[i] : of_disk[i]);
		if (wwid)
			return part ? str_format("%s-part%s", wwid, part) : str_copy(wwid);
	}
	return NULL;
}

/* The kernel counts the sectors that were written and discarded. The modification time of the device node does not
 * change with its content, and the number of write requests also grows with each flush. */
char *device_written(int fd)
{
	struct stat info;
	unsigned long long written = 0, discarded = 0;
	if (fdatasync(fd) < 0 || fstat(fd, &info) < 0)
		return str_copy("");
	vmm_auto_free char *line = attribute(info.st_rdev, "stat");
	if (!line ||
	    sscanf(line, "%*u %*u %*u %*u %*u %*u %llu %*u %*u %*u %*u %*u %*u %llu", &written, &discarded) < 1)
		return str_copy("");
	return str_format("%llu sectors written, %llu discarded", written, discarded);
}

/* ------------------------------------------------------------------ whether it is in use */

/* Its mount point in our mount namespace, or NULL. */
static char *mount_point(dev_t device)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	vmm_auto_free char *line = NULL;
	size_t room = 0;
	char *found = NULL;
	while (mounts && !found && getline(&line, &room, mounts) > 0) {
		unsigned of_major, of_minor;
		char point[4096];
		if (sscanf(line, "%*d %*d %u:%u %*s %4095s", &of_major, &of_minor, point) == 3 &&
		    makedev(of_major, of_minor) == device)
			found = str_copy(point);
	}
	if (mounts)
		fclose(mounts);
	return found;
}

/* A sentence that says what uses the device, as far as it is known; belongs to the caller. */
static char *describe_use(const char *path)
{
	struct stat info;
	if (stat(path, &info) < 0)
		return str_copy("this system uses it");
	vmm_auto_free char *point = mount_point(info.st_rdev), *dir = sysfs_path(info.st_rdev, "holders");
	vmm_auto_json struct json_object *holders = NULL;
	if (point)
		return str_format("it is mounted at %s", point);
	if (dir_list(dir, &holders, NULL) == 0 && json_count(holders, ""))
		return str_format("it is a part of %s", json_text(holders, "0"));
	return str_copy("it, or a part of it, is mounted, swapped to or in use otherwise");
}

/* O_EXCL on a block device fails with EBUSY if the system uses it (mount, swap, device-mapper, RAID). Another program
 * that opens it with O_EXCL for such a test closes it at once: so it is tried again for a moment. */
int device_unused(const char *path, struct vmm_error **err)
{
	int64_t end = clock_steady_ms() + PROBE_WAIT_MS;
	for (;;) {
		vmm_auto_close int fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			return 0;
		if (errno != EBUSY)
			return error_errno(err, errno, "open the block device %s", path);
		if (clock_steady_ms() >= end)
			break;
		clock_sleep_ms(PROBE_PAUSE_MS);
	}
	vmm_auto_free char *use = describe_use(path);
	error_set(err, VMM_BLOCKED, "volume-taken", "the block device %s is in use: %s", path, use);
	return error_hint(err, "See what uses it (lsblk %s), or use another device.", path);
}
