/* fs.c: the filesystem that a path is on, and whether other nodes may have mounted the same one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "storage.h"

/* Filesystems that only one node can have mounted at a time. All others may be shared until that is disproved: if a
 * shared directory were taken for a local one, a copy would overwrite its own source. */
static const struct {
	const char *type;
	unsigned long magic; /* of statfs(2) */
} local[] = {
	{"ext4", 0xef53},	  {"ext3", 0xef53},	{"ext2", 0xef53},	  {"xfs", 0x58465342},
	{"btrfs", 0x9123683e},	  {"zfs", 0x2fc12fc1},	{"tmpfs", 0x01021994},	  {"ramfs", 0x858458f6},
	{"overlay", 0x794c7630},  {"f2fs", 0xf2f52010}, {"bcachefs", 0xca451a4e}, {"jfs", 0x3153464a},
	{"reiserfs", 0x52654973}, {"vfat", 0x4d44},	{"exfat", 0x2011bab0},	  {"devtmpfs", 0x01021994},
};

/* Names for messages, for a mount that /proc/self/mountinfo does not list. */
static const struct {
	const char *type;
	unsigned long magic;
} remote[] = {
	{"nfs", 0x6969},       {"cifs", 0xff534d42},   {"cifs", 0xfe534d42}, {"ceph", 0x00c36400}, {"gfs2", 0x01161970},
	{"ocfs2", 0x7461636f}, {"lustre", 0x0bd00bd0}, {"fuse", 0x65735546}, {"9p", 0x01021997},
};

const char *storage_fs_sharing(const char *type)
{
	for (size_t i = 0; i < VMM_COUNT(local); i++)
		if (str_same(local[i].type, type))
			return "local";
	return "maybe";
}

static const char *type_by_magic(unsigned long magic)
{
	for (size_t i = 0; i < VMM_COUNT(local); i++)
		if (local[i].magic == magic)
			return local[i].type;
	for (size_t i = 0; i < VMM_COUNT(remote); i++)
		if (remote[i].magic == magic)
			return remote[i].type;
	return "unknown";
}

/* Decodes the octal escapes of /proc/self/mountinfo within the text itself. */
static void unescape(char *text)
{
	char *to = text;
	for (char *from = text; *from; to++) {
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = 0;
}

/* Reads a line "id parent major:minor root MOUNT options tags... - TYPE source options"; false if it is of another
 * mount. */
static bool read_mount(char *line, uint64_t id, struct storage_fs *fs)
{
	char *rest, *dash = strstr(line, " - "), *field = line;
	if (strtoull(line, &rest, 10) != id || *rest != ' ' || !dash)
		return false;
	for (int i = 0; i < 4; i++) {
		field = strchr(field, ' ');
		if (!field)
			return false;
		field++;
	}
	fs->mount = str_format("%.*s", (int)strcspn(field, " "), field);
	unescape(fs->mount);
	fs->type = str_format("%.*s", (int)strcspn(dash + 3, " "), dash + 3);
	return true;
}

/* Sets type and mount point from the table of mounts. They stay NULL if it does not list the mount, which is so for one
 * outside of our root directory. */
static void look_up_mount(uint64_t id, struct storage_fs *fs)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	vmm_auto_free char *line = NULL;
	size_t room = 0;
	while (mounts && getline(&line, &room, mounts) > 0)
		if (read_mount(line, id, fs))
			break;
	if (mounts)
		fclose(mounts);
}

/* Finds the path itself, or the nearest directory above it that is there; *found belongs to the caller. */
static int find_nearest(const char *path, char **found, struct statx *info, struct vmm_error **err)
{
	*found = str_copy(path);
	while (statx(AT_FDCWD, *found, 0, STATX_MNT_ID, info) < 0) {
		int number = errno;
		if ((number != ENOENT && number != ENOTDIR) || str_same(*found, "/")) {
			free(*found);
			*found = NULL;
			return error_errno(err, number, "look at %s", path);
		}
		char *above = path_dir(*found);
		free(*found);
		*found = above;
	}
	return 0;
}

int storage_fs_look(const char *path, struct storage_fs *fs, struct vmm_error **err)
{
	vmm_auto_free char *there = NULL;
	struct statx info;
	*fs = (struct storage_fs){0};
	if (find_nearest(path, &there, &info, err) < 0)
		return -1;
	fs->mount_id = info.stx_mnt_id;
	look_up_mount(fs->mount_id, fs);
	if (!fs->type) {
		struct statfs info_fs;
		if (statfs(there, &info_fs) < 0)
			return error_errno(err, errno, "get the filesystem of %s", path);
		fs->type = str_copy(type_by_magic((unsigned long)info_fs.f_type));
		fs->mount = str_copy("/");
	}
	fs->sharing = storage_fs_sharing(fs->type);
	return 0;
}

void storage_fs_free(struct storage_fs *fs)
{
	free(fs->type);
	free(fs->mount);
	*fs = (struct storage_fs){0};
}
