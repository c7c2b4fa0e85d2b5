/* push: copies one volume to the peer "node2" with the calls that a migration makes: the agent over ssh, the volume
 * allocated there for the task, sessions, copy_push. There is no plan, no journal and no commit.
 *
 *   push prepare SOURCE TARGET		  allocates; prints the temporary path, where the caller may put a stale copy
 *   push copy SOURCE TARGET	  copies; prints "wire=BYTES read=BYTES present=BYTES"
 *   push verify SOURCE TARGET	  copies, then has the target read all of it back from its storage
 *
 * With DATA=tls in the environment the sessions go over TLS. */
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "copy/copy.h"
#include "node/node.h"
#include "storage/storage.h"

static const char task[] = "bench";

static void check(int done, struct vmm_error *error)
{
	if (done < 0)
		errx(1, "%s%s%s", error->message, error->hint ? "; " : "", error->hint ? error->hint : "");
}

static void allocate(struct vmm_node *node, const char *temporary, const char *to, const struct stat *info)
{
	struct vmm_error *error = NULL;
	vmm_auto_json struct json_object *
		reply = NULL,
	       *volume = json_make(
		       "target:s action:s from:s to:s to_kind:s temporary:s track:s kind:s format:s size:i allocated:i",
		       "vda", "copy", to, to, "dir", temporary, "none", "dir", "raw", (int64_t)info->st_size,
		       (int64_t)info->st_blocks * 512);
	vmm_auto_json struct json_object *arguments =
		json_make("task:s guest:s volume:O replace:b", task, "qemu-100", volume, 0);
	check(node_call(node, NODE_ALLOCATE, arguments, &reply, &error), error);
}

static int open_session(void *node, struct stream **session)
{
	struct vmm_error *error = NULL;
	check(((struct vmm_node *)node)->ops->session(node, task, str_same(getenv("DATA"), "tls"), session, &error),
	      error);
	return 0;
}

static void copy(struct vmm_node *node, const struct copy_job *job, bool verify)
{
	struct vmm_error *error = NULL;
	struct copy_sessions sessions = {.count = 1, .open = open_session, .context = node};
	struct copy_leaves leaves = {0};
	struct copy_progress result;
	uint64_t wire = 0;
	open_session(node, &sessions.stream[0]);
	check(copy_push(job, &sessions, &leaves, &result, &error), error);
	if (verify)
		check(copy_verify(job, sessions.stream[0], &leaves, NULL, &error), error);
	for (size_t i = 0; i < sessions.count; i++) {
		wire += sessions.stream[i]->sent + sessions.stream[i]->received;
		stream_close(sessions.stream[i]);
	}
	copy_leaves_free(&leaves);
	printf("wire=%llu read=%llu present=%llu\n", (unsigned long long)wire, (unsigned long long)result.data,
	       (unsigned long long)result.present);
}

int main(int argc, char **argv)
{
	struct vmm_error *error = NULL;
	struct vmm_node *node = NULL;
	struct stat info;
	if (argc != 4)
		errx(2, "usage: push prepare|copy|verify SOURCE TARGET");
	signal(SIGPIPE, SIG_IGN);
	vmm_auto_close int fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) < 0)
		err(1, "%s", argv[2]);
	vmm_auto_free char *temporary = storage_temporary(argv[3], task);
	check(node_open_remote(&node_paths_installed, "node2", task, &node, &error), error);
	allocate(node, temporary, argv[3], &info);
	const struct copy_job job = {.fd = fd, .size = (uint64_t)info.st_size, .volume = temporary};
	if (!strcmp(argv[1], "prepare"))
		puts(temporary);
	else
		copy(node, &job, !strcmp(argv[1], "verify"));
	node_close(node);
	return 0;
}
