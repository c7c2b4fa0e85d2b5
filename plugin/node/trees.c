/* trees.c: directory trees that a task has made on this node: receiving them, syncing them, their digests. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "node/local.h"

static bool is_tree(struct json_object *record)
{
	const struct storage_ops *ops = storage_kind(json_text(record, "kind"));
	return str_same(json_text(record, "made"), "volume") && ops && ops->tree;
}

int local_tree_path(const struct node_paths *paths, const char *task, const char *name, char **path,
		    struct vmm_error **err)
{
	*path = NULL;
	if (name_check(task, "task", err) < 0)
		return -1;
	vmm_auto_free char *journal = str_format("%s/tasks/%s/made", paths->state, task);
	struct journal *made;
	if (journal_open(journal, false, &made, err) < 0)
		return -1;
	json_each (record, journal_records(made), "")
		if (!*path && is_tree(record) && str_same(json_text(record, "path"), name))
			*path = tree_within(json_text_or(record, "real", name));
	journal_close(made);
	return *path ? 0 : error_set(err, VMM_FAILED, "not-ours", "volume %s was not made for task %s", name, task);
}

/* For two nodes in one process, as tests have them: the receiver is a child process that reads from `fd`. */
int local_tree(struct vmm_node *node, const char *task, const char *name, bool checksum, int fd, uint64_t *wire,
	       struct vmm_error **err)
{
	(void)wire;
	vmm_auto_close int stream = fd;
	vmm_auto_free char *path = NULL;
	if (local_tree_path(((struct local_node *)node)->paths, task, name, &path, err) < 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0)
		return error_errno(err, errno, "run rsync");
	if (pid == 0) {
		dup2(stream, 0);
		dup2(stream, 1);
		close_range(3, ~0U, 0);
		tree_receive(path, checksum);
		_exit(127);
	}
	vmm_cleanup_close(&stream);
	int status;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return 0;
}

/* The real path of the tree that the operation is about. */
static int tree_asked(struct local_node *node, struct json_object *args, char **path, struct vmm_error **err)
{
	return local_tree_path(node->paths, json_text(args, "task"), json_text(args, "volume"), path, err);
}

/* Syncs the whole filesystem that the tree is on. */
int local_sync(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	vmm_auto_free char *path = NULL;
	if (tree_asked(node, args, &path, err) < 0)
		return -1;
	vmm_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || syncfs(fd) < 0 ? error_errno(err, errno, "sync the tree %s", path) : 0;
}

int local_digest(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_free char *path = NULL;
	struct tree_digest digest;
	struct tree_digest_options options = {.key = json_text(args, "key"), .files = json_at(args, "files")};
	options.scope = options.files ? TREE_FILES : json_true(args, "contents") ? TREE_ALL : TREE_NAMES;
	if (tree_asked(node, args, &path, err) < 0 || tree_digest(path, &options, &digest, err) < 0)
		return -1;
	*reply = json_make("digest:s", digest.hex);
	return 0;
}

/* Is the tree at that path one that the task has published? */
static int published(struct local_node *node, const char *task, const char *path, struct vmm_error **err)
{
	struct journal *made;
	bool ours = false;
	if (local_made_open(node, task, &made, err) < 0)
		return -1;
	json_each (record, journal_records(made), "")
		ours |= str_same(json_text(record, "made"), "final") && str_same(json_text(record, "path"), path) &&
			local_same_file(record);
	journal_close(made);
	return ours ? 0 : error_set(err, VMM_FAILED, "not-ours", "volume %s was not made by task %s", path, task);
}

int local_flags(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *path = json_text(args, "volume"), *first;
	int64_t left;
	if (published(node, json_text(args, "task"), path, err) < 0 ||
	    tree_set_flags(path, json_at(args, "files"), &left, &first, err) < 0)
		return -1;
	vmm_auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || syncfs(fd) < 0)
		return error_errno(err, errno, "sync the tree %s", path);
	*reply = json_make("left:i first:s", left, first);
	return 0;
}
