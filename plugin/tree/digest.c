/* digest.c: one digest over everything that a copy of a tree must have.
 *
 * The walk changes its thread's own working directory (see unshare) to each directory in turn and uses names relative
 * to that. Such names are resolved fastest, and it does not matter if a directory is renamed during the walk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "tree/tree-internal.h"

enum { BLOCK = 1 << 20, ATTRIBUTES_MOST = 64 << 10, DEPTH_MOST = 512 };

/* A file with several hard links, and which entry of the walk, counted from 1, its first name in the tree is. The
 * entries of its further names have that number in the digest, so that two links to one file differ from two files with
 * the same content. Names outside of the tree make no difference: the copy has none. Number 0: a free slot. */
struct hard_link {
	dev_t device;
	ino_t inode;
	uint64_t number;
};

struct tree_reading {
	struct tree_digest_options options;
	int root;
	char *name; /* the root's path, for messages */
	pthread_t thread;
	int done;
	struct vmm_error *problem;
	struct tree_digest digest;

	struct tree_hash *hash; /* NULL: only the seal is asked for */
	struct text path;	/* of the current entry, relative to the root */
	size_t changed_bytes;
	struct hard_link *hard_links; /* a hash table with open addressing */
	size_t hard_link_count, slot_count;
	char *block, *attribute_names, *attribute_value;
};

static void feed(struct tree_reading *r, const void *data, size_t length)
{
	tree_hash_update(r->hash, data, length);
}

static void feed_number(struct tree_reading *r, uint64_t number)
{
	feed(r, &number, sizeof(number));
}

/* The length comes first, so that "ab" "c" and "a" "bc" give different digests. */
static void feed_bytes(struct tree_reading *r, const void *data, size_t length)
{
	feed_number(r, length);
	feed(r, data, length);
}

/* Sets the error "`doing` <path of the current entry>: <text of errno `number`>" and returns -1. */
static int fail_errno(struct tree_reading *r, int number, const char *doing, struct vmm_error **err)
{
	return error_errno(err, number, "%s %s%s%s", doing, r->name, r->path.length ? "/" : "",
			   r->path.data ? r->path.data : "");
}

static int check_cancelled(struct tree_reading *r, struct vmm_error **err)
{
	if (!r->options.cancelled || !r->options.cancelled(r->options.context))
		return 0;
	return error_set(err, VMM_CANCELLED, "cancelled", "cancelled while %s was compared", r->name);
}

/* ---------------------------------------------------------------- the seal */

static uint64_t mix(uint64_t sum, uint64_t number)
{
	sum = (sum ^ number) * 0x9e3779b97f4a7c15u;
	return sum ^ sum >> 29;
}

/* The seal is a sum over all entries, so it does not depend on the order in which readdir returns them. */
static void add_to_seal(struct tree_reading *r, const char *name, const struct stat *info, ino_t directory)
{
	uint64_t sum = directory;
	for (; *name; name++)
		sum = mix(sum, (unsigned char)*name);
	sum = mix(mix(sum, info->st_ino), (uint64_t)info->st_size);
	r->digest.seal += mix(mix(sum, (uint64_t)info->st_ctim.tv_sec), (uint64_t)info->st_ctim.tv_nsec);
}

/* ---------------------------------------------------------------- hard links */

static struct hard_link *find_hard_link(struct tree_reading *r, dev_t device, ino_t inode)
{
	size_t at = (size_t)(inode * 0x9e3779b97f4a7c15u ^ device) % r->slot_count;
	while (r->hard_links[at].number && (r->hard_links[at].inode != inode || r->hard_links[at].device != device))
		at = (at + 1) % r->slot_count;
	return &r->hard_links[at];
}

/* Doubles the table once it is half full. */
static void grow_hard_links(struct tree_reading *r)
{
	if (r->hard_link_count * 2 < r->slot_count)
		return;
	struct hard_link *old = r->hard_links;
	size_t count = r->slot_count;
	r->slot_count = count ? count * 2 : 1024;
	r->hard_links = mem_zero(r->slot_count * sizeof(*r->hard_links));
	for (size_t i = 0; i < count; i++)
		if (old[i].number)
			*find_hard_link(r, old[i].device, old[i].inode) = old[i];
	free(old);
}

/* The number of the file's first name; 0 if this is it. */
static uint64_t hard_link_number(struct tree_reading *r, const struct stat *info)
{
	if (S_ISDIR(info->st_mode) || info->st_nlink < 2)
		return 0;
	grow_hard_links(r);
	struct hard_link *link = find_hard_link(r, info->st_dev, info->st_ino);
	if (link->number)
		return link->number;
	*link = (struct hard_link){info->st_dev, info->st_ino, r->digest.entries};
	r->hard_link_count++;
	return 0;
}

/* ---------------------------------------------------------------- the digest of an entry */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Does rsync copy this attribute? It copies all but the filesystem's own ones; ACLs are copied. */
static bool is_copied(const char *name)
{
	return !str_starts(name, "system.") || str_starts(name, "system.posix_acl_");
}

/* In the order of the names, each with its value. Symbolic links, and files on a filesystem without attributes, have
 * none. */
static int feed_attributes(struct tree_reading *r, const char *name, struct vmm_error **err)
{
	size_t count = 0;
	ssize_t length = llistxattr(name, r->attribute_names, ATTRIBUTES_MOST);
	if (length < 0 && errno != ENOTSUP && errno != EPERM)
		return fail_errno(r, errno, "read the attributes of", err);
	vmm_auto_free char **names = length > 0 ? mem_zero((size_t)length * sizeof(*names)) : NULL;
	for (char *one = r->attribute_names; length > 0 && one < r->attribute_names + length; one += strlen(one) + 1)
		if (is_copied(one))
			names[count++] = one;
	if (count > 1)
		qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		ssize_t got = lgetxattr(name, names[i], r->attribute_value, ATTRIBUTES_MOST);
		if (got < 0)
			return fail_errno(r, errno, "read the attributes of", err);
		feed_bytes(r, names[i], strlen(names[i]));
		feed_bytes(r, r->attribute_value, (size_t)got);
	}
	feed_number(r, count);
	return 0;
}

/* A file's content and its length. */
static int feed_content(struct tree_reading *r, int file, struct vmm_error **err)
{
	uint64_t before = r->digest.read_bytes;
	ssize_t got = BLOCK;
	while (got == BLOCK) {
		if (check_cancelled(r, err) < 0)
			return -1;
		got = fd_read_all(file, r->block, BLOCK);
		if (got < 0)
			return fail_errno(r, errno, "read", err);
		feed(r, r->block, (size_t)got);
		r->digest.read_bytes += (uint64_t)got;
	}
	feed_number(r, r->digest.read_bytes - before);
	return 0;
}

static void feed_info(struct tree_reading *r, const struct stat *info, uint64_t number)
{
	feed_number(r, info->st_mode);
	feed_number(r, info->st_uid);
	feed_number(r, info->st_gid);
	feed_number(r, number);
	if (!S_ISDIR(info->st_mode))
		feed_number(r, (uint64_t)info->st_size);
	feed_number(r, (uint64_t)info->st_mtim.tv_sec);
	feed_number(r, (uint64_t)info->st_mtim.tv_nsec);
	if (S_ISCHR(info->st_mode) || S_ISBLK(info->st_mode))
		feed_number(r, makedev(major(info->st_rdev), minor(info->st_rdev)));
}

static int feed_link(struct tree_reading *r, const char *name, struct vmm_error **err)
{
	ssize_t length = readlink(name, r->block, BLOCK);
	if (length < 0)
		return fail_errno(r, errno, "read the link", err);
	feed_bytes(r, r->block, (size_t)length);
	return 0;
}

/* Adds the current file to the list of changed ones if its ctime says so; gives the list up once it is too long. */
static void add_changed(struct tree_reading *r, const struct stat *info)
{
	if (!r->options.since_ns || !r->options.changed || !*r->options.changed ||
	    (int64_t)info->st_ctim.tv_sec * 1000000000 + info->st_ctim.tv_nsec < r->options.since_ns)
		return;
	r->changed_bytes += r->path.length;
	if (json_count(*r->options.changed, "") < TREE_CHANGED_MOST && r->changed_bytes < TREE_CHANGED_BYTES) {
		json_object_array_add(*r->options.changed, json_object_new_string(r->path.data));
		return;
	}
	json_object_put(*r->options.changed);
	*r->options.changed = NULL;
}

/* Adds the current file or directory to the list of those with flags, if it has any. */
static void add_flags(struct tree_reading *r, int fd)
{
	unsigned flags = r->options.flags ? inode_flags(fd) : 0;
	if (flags)
		json_object_array_add(*r->options.flags,
				      json_make("path:s flags:i", r->path.length ? r->path.data : "", (int64_t)flags));
}

/* A file's flags and content, as far as they are asked for. */
static int feed_file(struct tree_reading *r, const char *name, struct vmm_error **err)
{
	bool contents = r->options.scope == TREE_ALL;
	if (!contents && !r->options.flags)
		return 0;
	vmm_auto_close int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(r, errno, "read", err);
	add_flags(r, fd);
	return contents ? feed_content(r, fd, err) : 0;
}

static int feed_entry(struct tree_reading *r, const char *name, const struct stat *info, struct vmm_error **err)
{
	uint64_t number = hard_link_number(r, info);
	feed_bytes(r, name, strlen(name));
	feed_info(r, info, number);
	if ((!number && feed_attributes(r, name, err) < 0) || (S_ISLNK(info->st_mode) && feed_link(r, name, err) < 0))
		return -1;
	if (!S_ISREG(info->st_mode) || number)
		return 0;
	add_changed(r, info);
	return feed_file(r, name, err);
}

/* ---------------------------------------------------------------- the walk */

/* The names in a directory, unsorted. The caller frees each, and the array. NULL on error. */
static char **read_names(int fd, size_t *count, struct vmm_error **err)
{
	size_t room = 0;
	char **names = NULL;
	DIR *directory = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	*count = 0;
	if (!directory) {
		error_errno(err, errno, "open a directory");
		return NULL;
	}
	for (struct dirent *entry; (entry = readdir(directory));) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (*count == room) {
			room = room ? room * 2 : 64;
			names = realloc(names, room * sizeof(*names));
			if (!names)
				abort();
		}
		names[(*count)++] = str_copy(entry->d_name);
	}
	closedir(directory);
	return names ? names : mem_zero(sizeof(*names));
}

static int walk_directory(struct tree_reading *r, int fd, ino_t inode, int depth, struct vmm_error **err);

static int descend(struct tree_reading *r, const char *name, ino_t inode, int parent_fd, int depth,
		   struct vmm_error **err)
{
	vmm_auto_close int fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	if (fd < 0 || fchdir(fd) < 0)
		return fail_errno(r, errno, "read the directory", err);
	add_flags(r, fd);
	if (walk_directory(r, fd, inode, depth + 1, err) < 0)
		return -1;
	return fchdir(parent_fd) == 0 ? 0 : fail_errno(r, errno, "leave the directory", err);
}

static int walk_entry(struct tree_reading *r, const char *name, int parent_fd, ino_t directory, int depth,
		      struct vmm_error **err)
{
	struct stat info;
	if (lstat(name, &info) < 0)
		return fail_errno(r, errno, "stat", err);
	r->digest.entries++;
	add_to_seal(r, name, &info, directory);
	if (r->hash && feed_entry(r, name, &info, err) < 0)
		return -1;
	return S_ISDIR(info.st_mode) ? descend(r, name, info.st_ino, parent_fd, depth, err) : 0;
}

/* `fd` is the working directory, and is again when this returns 0. */
static int walk_directory(struct tree_reading *r, int fd, ino_t inode, int depth, struct vmm_error **err)
{
	size_t count, above = r->path.length;
	if (depth > DEPTH_MOST)
		return error_set(err, VMM_FAILED, "too-deep", "%s: directories are nested more than %d deep", r->name,
				 DEPTH_MOST);
	if (check_cancelled(r, err) < 0)
		return -1;
	vmm_auto_free char **names = read_names(fd, &count, err);
	int done = names ? 0 : -1;
	if (r->hash && names) {
		qsort(names, count, sizeof(*names), compare_names);
		feed_number(r, count);
	}
	for (size_t i = 0; i < count; i++) {
		if (done == 0) {
			text_add(&r->path, "%s%s", above ? "/" : "", names[i]);
			done = walk_entry(r, names[i], fd, inode, depth, err);
			r->path.length = above;
			r->path.data[above] = 0;
		}
		free(names[i]);
	}
	return done;
}

static int walk(struct tree_reading *r, struct vmm_error **err)
{
	struct stat info;
	if (unshare(CLONE_FS) < 0 || fchdir(r->root) < 0 || fstat(r->root, &info) < 0)
		return fail_errno(r, errno, "stat", err);
	r->digest.entries++;
	add_to_seal(r, "", &info, 0);
	if (r->hash) {
		feed_info(r, &info, 0);
		add_flags(r, r->root);
		if (feed_attributes(r, ".", err) < 0)
			return -1;
	}
	return walk_directory(r, r->root, info.st_ino, 0, err);
}

/* The names may come from the other node: openat2 refuses those that lead out of the tree or through a symbolic link.
 */
static int read_files(struct tree_reading *r, struct vmm_error **err)
{
	struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	json_each (file, r->options.files, "") {
		r->path.length = 0;
		text_add(&r->path, "%s", json_text_or(file, "", ""));
		vmm_auto_close int fd = (int)syscall(SYS_openat2, r->root, r->path.data, &how, sizeof(how));
		if (fd < 0)
			return fail_errno(r, errno, "read", err);
		if (feed_content(r, fd, err) < 0)
			return -1;
	}
	return 0;
}

/* ---------------------------------------------------------------- the thread */

static void *digest_thread(void *context)
{
	struct tree_reading *r = context;
	if (r->root < 0)
		return NULL; /* `problem` says why */
	if (r->options.scope != TREE_SEAL && tree_hash_begin(r->options.key, &r->hash, &r->problem) < 0)
		r->done = -1;
	else
		r->done = r->options.scope == TREE_FILES ? read_files(r, &r->problem) : walk(r, &r->problem);
	tree_hash_end(r->hash, r->digest.hex);
	return NULL;
}

struct tree_reading *tree_digest_begin(const char *root, const struct tree_digest_options *options)
{
	struct tree_reading *r = mem_zero(sizeof(*r));
	r->options = *options;
	r->name = str_copy(root);
	r->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->block = mem_zero(BLOCK);
	r->attribute_names = mem_zero(ATTRIBUTES_MOST);
	r->attribute_value = mem_zero(ATTRIBUTES_MOST);
	if (options->changed)
		*options->changed = options->since_ns ? json_object_new_array() : NULL;
	if (options->flags)
		*options->flags = json_object_new_array();
	if (r->root < 0)
		r->done = error_errno(&r->problem, errno, "open the tree %s", root);
	if (pthread_create(&r->thread, NULL, digest_thread, r))
		abort();
	return r;
}

int tree_digest_end(struct tree_reading *r, struct tree_digest *digest, struct vmm_error **err)
{
	pthread_join(r->thread, NULL);
	int done = r->done;
	*digest = r->digest;
	if (done < 0)
		error_take(err, r->problem);
	vmm_cleanup_close(&r->root);
	text_free(&r->path);
	free(r->name);
	free(r->hard_links);
	free(r->block);
	free(r->attribute_names);
	free(r->attribute_value);
	free(r);
	return done;
}

int tree_digest(const char *root, const struct tree_digest_options *options, struct tree_digest *digest,
		struct vmm_error **err)
{
	return tree_digest_end(tree_digest_begin(root, options), digest, err);
}
