/* flags.c: sets the flags of files and directories that chattr(1) sets ("immutable", "append only"), which rsync does
 * not copy. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "tree/tree.h"

/* The names come from the other node: openat2 refuses those that lead out of the tree or through a symbolic link. */
static int open_in(int root, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
}

int tree_set_flags(const char *root, struct json_object *files, int64_t *left, const char **first,
		   struct vmm_error **err)
{
	vmm_auto_close int top = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	*left = 0;
	*first = NULL;
	if (top < 0)
		return error_errno(err, errno, "open the tree %s", root);
	json_each (file, files, "") {
		const char *path = json_text_or(file, "path", "");
		unsigned missing;
		vmm_auto_close int fd = open_in(top, path);
		if (fd < 0 || inode_flags_add(fd, (unsigned)json_number(file, "flags"), &missing) < 0)
			return error_errno(err, errno, "set flags of %s%s%s", root, *path ? "/" : "", path);
		if (missing && !(*left)++)
			*first = path;
	}
	return 0;
}
