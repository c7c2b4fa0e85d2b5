/* two-nodes-tree.c: a guest whose volume is a directory tree. A few lines copy it in this process instead of rsync,
 * since a test that is linked with `wrap: tree_push` has thousands of migrations. What rsync does is test-tree.c's to
 * prove. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tree/tree.h"
#include "two-nodes-internal.h"

#define STAYS "stays"

/* ------------------------------------------------------------------ the guest's volume */

void two_nodes_make_tree(struct two_nodes *w, int node)
{
	vmm_auto_free char *path = str_format("%s/disks/" GUEST ".raw/" STAYS, w->machine[node].root);
	vmm_auto_free char *link = str_format("%s/link", path);
	if (dir_make(path, 0750, NULL) < 0 || (symlink("nowhere", link) < 0 && errno != EEXIST))
		two_nodes_fail(w, "%s: %s", path, strerror(errno));
}

static bool is_tree(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static void name_file(char **volume, unsigned seed)
{
	char *path = str_format("%s/%u", *volume, seed);
	free(*volume);
	*volume = path;
}

void tree_clear(char **volume, unsigned seed)
{
	vmm_auto_json struct json_object *names = NULL;
	if (!is_tree(*volume) || dir_list(*volume, &names, NULL) < 0)
		return;
	json_each (name, names, "") {
		vmm_auto_free char *path = str_format("%s/%s", *volume, json_text(name, ""));
		if (!is_tree(path))
			unlink(path);
	}
	name_file(volume, seed);
}

bool tree_holds(char **volume, unsigned seed)
{
	vmm_auto_json struct json_object *names = NULL;
	vmm_auto_free char *link = str_format("%s/" STAYS "/link", *volume);
	char to[16] = "";
	if (!is_tree(*volume))
		return true;
	bool whole = dir_list(*volume, &names, NULL) == 0 && json_count(names, "") == 2 &&
		     readlink(link, to, sizeof(to) - 1) > 0 && !strcmp(to, "nowhere");
	name_file(volume, seed);
	return whole;
}

/* ------------------------------------------------------------------ instead of rsync */

static int take_file(const char *from, const char *to)
{
	vmm_auto_free char *data = NULL;
	size_t length;
	return file_read(from, 1 << 20, &data, &length, NULL) < 0 ? -1 : file_write(to, data, length, 0600, NULL);
}

static int take_link(const char *from, const char *to)
{
	char target[4096];
	ssize_t length = readlink(from, target, sizeof(target) - 1);
	if (length < 0)
		return -1;
	target[length] = 0;
	return symlink(target, to);
}

static int take_all(const char *from, const char *to);

static int take_directory(const char *from, const char *to)
{
	vmm_auto_json struct json_object *names = NULL;
	if (mkdir(to, 0700) < 0 || dir_list(from, &names, NULL) < 0)
		return -1;
	json_each (name, names, "") {
		vmm_auto_free char *here = str_format("%s/%s", from, json_text(name, ""));
		vmm_auto_free char *there = str_format("%s/%s", to, json_text(name, ""));
		if (take_all(here, there) < 0)
			return -1;
	}
	return 0;
}

static int take_all(const char *from, const char *to)
{
	struct stat info;
	if (lstat(from, &info) < 0)
		return -1;
	int done = S_ISDIR(info.st_mode)   ? take_directory(from, to)
		   : S_ISLNK(info.st_mode) ? take_link(from, to)
					   : take_file(from, to);
	struct timespec times[] = {info.st_atim, info.st_mtim};
	if (done < 0 || (!S_ISLNK(info.st_mode) && chmod(to, info.st_mode & 07777) < 0))
		return -1;
	return utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW);
}

int tree_take(int fd, const char *to, struct vmm_error **err)
{
	char from[4096];
	ssize_t length = read(fd, from, sizeof(from) - 1);
	from[length < 0 ? 0 : length] = 0;
	return dir_remove(to, err) < 0	? -1
	       : take_all(from, to) < 0 ? error_errno(err, errno, "copy %s to %s", from, to)
					: 0;
}

int __wrap_tree_push(const struct tree_job *job, struct tree_progress *result, struct vmm_error **err);

/* The path is resolved here, while DIR/root points to the source. */
int __wrap_tree_push(const struct tree_job *job, struct tree_progress *result, struct vmm_error **err)
{
	vmm_auto_free char *from = realpath(job->from, NULL);
	uint64_t wire = 0;
	int pair[2];
	if (!from || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, errno, "a line for %s", job->from);
	vmm_auto_close int here = pair[0];
	if (fd_write_all(here, from, strlen(from)) < 0) {
		close(pair[1]);
		return error_errno(err, errno, "a line for %s", job->from);
	}
	*result = (struct tree_progress){.done = 1, .total = 1, .files = 1, .files_total = 1};
	if (job->progress && !job->progress(job->context, result)) {
		close(pair[1]);
		return error_set(err, VMM_CANCELLED, "cancelled", "the copy of %s was cancelled", job->from);
	}
	return job->carry(job->carry_context, pair[1], &wire, err);
}
