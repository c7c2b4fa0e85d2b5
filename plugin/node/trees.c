/* trees.c: directory trees that a task has made on this node - received, and compared. */
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

int local_tree_place(const struct node_paths *paths, const char *task, const char *name, char **place,
		     struct vmm_error **err)
{
	*place = NULL;
	if (name_check(task, "task", err) < 0)
		return -1;
	vmm_auto_free char *path = str_format("%s/tasks/%s/made", paths->state, task);
	struct journal *made;
	if (journal_open(path, false, &made, err) < 0)
		return -1;
	json_each (record, journal_records(made), "")
		if (!*place && is_tree(record) && str_same(json_text(record, "path"), name))
			*place = str_copy(json_text_or(record, "real", name));
	journal_close(made);
	return *place ? 0 : error_set(err, VMM_FAILED, "not-ours", "volume %s was not made for task %s", name, task);
}

/* Within one process (two nodes of a test): the receiver is a child of ours, on the very descriptor. */
int local_tree(struct vmm_node *node, const char *task, const char *name, bool checksum, int fd, uint64_t *wire,
	       struct vmm_error **err)
{
	(void)wire;
	vmm_auto_close int line = fd;
	vmm_auto_free char *place = NULL;
	if (local_tree_place(((struct local_node *)node)->paths, task, name, &place, err) < 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0)
		return error_errno(err, errno, "run rsync");
	if (pid == 0) {
		dup2(line, 0);
		dup2(line, 1);
		close_range(3, ~0U, 0);
		tree_receive(place, checksum);
		_exit(127);
	}
	vmm_cleanup_close(&line);
	int status;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return 0;
}

static int place_of(struct local_node *node, struct json_object *args, char **place, struct vmm_error **err)
{
	const char *task = local_task(args, err), *name;
	return task && json_need(args, "volume", "call", &name, err) == 0
		       ? local_tree_place(node->paths, task, name, place, err)
		       : -1;
}

/* What has arrived is on the disk afterwards. */
int local_sync(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	vmm_auto_free char *place = NULL;
	if (place_of(node, args, &place, err) < 0)
		return -1;
	vmm_auto_close int fd = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || syncfs(fd) < 0 ? error_errno(err, errno, "sync the tree %s", place) : 0;
}

int local_digest(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_free char *place = NULL;
	struct tree_digest digest;
	struct tree_look look = {.key = json_text(args, "key"), .files = json_at(args, "files")};
	look.cover = look.files ? TREE_FILES : json_true(args, "contents") ? TREE_ALL : TREE_NAMES;
	if (place_of(node, args, &place, err) < 0 || tree_digest(place, &look, &digest, err) < 0)
		return -1;
	*reply = json_make("digest:s", digest.hex);
	return 0;
}
