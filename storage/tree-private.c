/* tree-private.c: directories that keep trees from other users of the node. A tree that no guest uses - one that is
 * being copied, that is set aside, or a seed - is in a directory of its own that only root may enter. It may hold
 * setuid programs and device nodes of a container, which other users of the node must not reach. For the same reason a
 * tree that --targetstorage sends to a storage is there in a directory of its guest's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "storage.h"

#define WITHIN "vmmigrate-tree"

/* ---------------------------------------------------------------- the directory of a guest's tree */

char *tree_own_directory(const char *storage, const char *id, const char *target)
{
	return str_format("%s/%s-%s", storage, id, target);
}

bool tree_is_own_directory(const char *dir, const char *id, const char *target)
{
	vmm_auto_free char *name = str_format("%s-%s", id, target);
	return !strcmp(path_base(dir), name);
}

/* ---------------------------------------------------------------- private directories */

char *tree_within(const char *private)
{
	return str_format("%s/" WITHIN, private);
}

bool tree_is_within(const char *private)
{
	vmm_auto_free char *tree = tree_within(private);
	struct stat info;
	return lstat(tree, &info) == 0 && S_ISDIR(info.st_mode);
}

int tree_private_make(const char *private, struct vmm_error **err)
{
	if (mkdir(private, 0700) == 0)
		return 0;
	if (errno != EEXIST)
		return error_errno(err, errno, "make the directory %s", private);
	/* An earlier call was interrupted: the directory is ours, and empty. */
	if (rmdir(private) == 0 && mkdir(private, 0700) == 0)
		return 0;
	return error_set(err, VMM_BLOCKED, "volume-taken", "%s is there already", private);
}

/* The flags of the tree's own directory would keep it from being renamed. */
static int move(const char *from, const char *to, struct vmm_error **err)
{
	vmm_auto_close int fd = open(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || inode_unprotect(fd) < 0)
		return error_errno(err, errno, "move the tree %s", from);
	return plain_rename(from, to, err);
}

int tree_hide(const char *tree, const char *private, struct vmm_error **err)
{
	vmm_auto_free char *within = tree_within(private);
	return move(tree, within, err);
}

int tree_show(const char *private, const char *path, struct vmm_error **err)
{
	vmm_auto_free char *within = tree_within(private);
	if (move(within, path, err) < 0)
		return -1;
	return rmdir(private) == 0 ? 0 : error_errno(err, errno, "remove the directory %s", private);
}
