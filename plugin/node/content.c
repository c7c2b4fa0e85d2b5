/* content.c: what is in a file or a tree of this node that a guest only reads: CD images, cloud-init seeds, backing
 * files, lower layers. The same path on two nodes does not mean the same content; equal digests do.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "node/local.h"
#include "tree/tree.h"

/* Up to this size all bytes are read, which takes a second or a few. Of a larger file only samples are read, and of a
 * larger tree only names, sizes, times and attributes: so the answer "equal" is no proof then. */
static const int64_t whole_most = INT64_C(1) << 30;

enum { SAMPLES = 256, SAMPLE = 64 << 10 };

/* Of 256 pieces of 64 KiB, evenly spread, the first and the last one among them. */
static char *digest_of_samples(int fd, int64_t size, struct vmm_error **err)
{
	vmm_auto_free char *piece = mem_zero(SAMPLE);
	uint32_t sum = crc32c(0, &size, sizeof(size)), other = ~sum;
	for (int64_t i = 0; i < SAMPLES; i++) {
		off_t at = (off_t)((size - SAMPLE) / (SAMPLES - 1) * i);
		ssize_t got = pread(fd, piece, SAMPLE, at);
		if (got < 0) {
			error_errno(err, errno, "read it");
			return NULL;
		}
		sum = crc32c(sum, piece, (size_t)got);
		other = crc32c(other, piece, (size_t)got);
	}
	return str_format("%08x%08x", sum, other);
}

/* A tree's digest of the contents of the one file of that name in the file's directory. */
static int digest_of_file(const char *real, struct tree_digest *digest, struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(real);
	vmm_auto_json struct json_object *files = json_object_new_array();
	json_object_array_add(files, json_object_new_string(path_base(real)));
	return tree_digest(dir, &(struct tree_digest_options){.scope = TREE_FILES, .files = files}, digest, err);
}

static int content_of_file(const char *real, int64_t size, struct json_object **reply, struct vmm_error **err)
{
	struct tree_digest digest;
	if (size <= whole_most) {
		if (digest_of_file(real, &digest, err) < 0)
			return -1;
		*reply = json_make("size:i digest:s sampled:b", size, digest.hex, 0);
		return 0;
	}
	vmm_auto_close int fd = open(real, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "open it");
	vmm_auto_free char *samples = digest_of_samples(fd, size, err);
	if (!samples)
		return -1;
	*reply = json_make("size:i digest:s sampled:b", size, samples, 1);
	return 0;
}

static int content_of_tree(const char *real, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *tree = json_make("type:s path:s", "tree", real);
	struct tree_digest digest;
	if (storage_tree.describe(tree, err) < 0)
		return -1;
	bool sampled = json_number(tree, "allocated") > whole_most;
	const struct tree_digest_options options = {.scope = sampled ? TREE_NAMES : TREE_ALL};
	if (tree_digest(real, &options, &digest, err) < 0)
		return -1;
	*reply = json_make("size:i digest:s sampled:b", (int64_t)0, digest.hex, (int)sampled);
	return 0;
}

static int content_of(const char *path, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_free char *real = realpath(path, NULL);
	struct stat info;
	if (!real || stat(real, &info) < 0)
		return error_errno(err, errno, "look at it");
	if (S_ISDIR(info.st_mode))
		return content_of_tree(real, reply, err);
	if (S_ISREG(info.st_mode))
		return content_of_file(real, (int64_t)info.st_size, reply, err);
	return error_set(err, VMM_FAILED, "volume-odd", "it is neither a file nor a directory");
}

int local_content(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *path = json_text(args, "path");
	if (content_of(path, reply, err) == 0)
		return 0;
	error_context(err, "%s", path);
	return error_on_node(err, node->base.name);
}
