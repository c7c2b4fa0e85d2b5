/* digest.c: one number for all that makes a tree what it is.
 *
 * A walk goes down by its own working directory, which its thread shares with nobody: names of one part are looked up fastest, and
 * nobody can move a directory under it.
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

#include "tree/internal.h"

enum { BLOCK = 1 << 20, ATTRIBUTES_MOST = 64 << 10, DEPTH_MOST = 512 };

/* A file of many names is the same file under each: which was the first is part of the digest. */
struct known {
	dev_t device;
	ino_t inode;
	uint64_t order;
};

struct tree_reading {
	struct tree_look look;
	int root;
	char *name; /* the root's, for messages */
	pthread_t thread;
	int done;
	struct vmm_error *problem;
	struct tree_digest digest;

	struct tree_sum *sum; /* NULL: only the seal is asked for */
	struct text path;     /* of where the walk is, below the root */
	size_t changed_bytes;
	struct known *known;
	size_t known_count, known_room;
	char *block, *names, *value;
};

static void feed(struct tree_reading *r, const void *data, size_t length)
{
	tree_sum_feed(r->sum, data, length);
}

static void feed_number(struct tree_reading *r, uint64_t number)
{
	feed(r, &number, sizeof(number));
}

/* With its length, so that no two sequences of texts look alike. */
static void feed_bytes(struct tree_reading *r, const void *data, size_t length)
{
	feed_number(r, length);
	feed(r, data, length);
}

static int trouble(struct tree_reading *r, int number, const char *doing, struct vmm_error **err)
{
	return error_errno(err, number, "%s %s%s%s", doing, r->name, r->path.length ? "/" : "",
			   r->path.data ? r->path.data : "");
}

static int look_for_cancel(struct tree_reading *r, struct vmm_error **err)
{
	if (!r->look.cancelled || !r->look.cancelled(r->look.context))
		return 0;
	return error_set(err, VMM_CANCELLED, "cancelled", "cancelled while %s was compared", r->name);
}

/* ---------------------------------------------------------------- the seal */

static uint64_t stir(uint64_t sum, uint64_t number)
{
	sum = (sum ^ number) * 0x9e3779b97f4a7c15u;
	return sum ^ sum >> 29;
}

/* A sum: the order in which a directory is read does not matter. */
static void add_to_seal(struct tree_reading *r, const char *name, const struct stat *info, ino_t directory)
{
	uint64_t sum = directory;
	for (; *name; name++)
		sum = stir(sum, (unsigned char)*name);
	sum = stir(stir(sum, info->st_ino), (uint64_t)info->st_size);
	r->digest.seal += stir(stir(sum, (uint64_t)info->st_ctim.tv_sec), (uint64_t)info->st_ctim.tv_nsec);
}

/* ---------------------------------------------------------------- files of many names */

static struct known *place_of(struct tree_reading *r, dev_t device, ino_t inode)
{
	size_t at = (size_t)(inode * 0x9e3779b97f4a7c15u ^ device) % r->known_room;
	while (r->known[at].order && (r->known[at].inode != inode || r->known[at].device != device))
		at = (at + 1) % r->known_room;
	return &r->known[at];
}

static void make_room(struct tree_reading *r)
{
	if (r->known_count * 2 < r->known_room)
		return;
	struct known *old = r->known;
	size_t count = r->known_room;
	r->known_room = count ? count * 2 : 1024;
	r->known = mem_zero(r->known_room * sizeof(*r->known));
	for (size_t i = 0; i < count; i++)
		if (old[i].order)
			*place_of(r, old[i].device, old[i].inode) = old[i];
	free(old);
}

/* The order of the first name; *first where this is it. */
static uint64_t order_of(struct tree_reading *r, const struct stat *info, bool *first)
{
	*first = true;
	if (S_ISDIR(info->st_mode) || info->st_nlink < 2)
		return 0;
	make_room(r);
	struct known *known = place_of(r, info->st_dev, info->st_ino);
	*first = !known->order;
	if (*first)
		*known = (struct known){info->st_dev, info->st_ino, ++r->known_count};
	return known->order;
}

/* ---------------------------------------------------------------- what is in an entry */

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Those that rsync carries: all but the filesystem's own (ACLs are carried). */
static bool counts(const char *name)
{
	return !str_starts(name, "system.") || str_starts(name, "system.posix_acl_");
}

/* Names are fed in their order, each with its value. Links and what cannot have attributes have none. */
static int feed_attributes(struct tree_reading *r, const char *name, struct vmm_error **err)
{
	size_t count = 0;
	ssize_t length = llistxattr(name, r->names, ATTRIBUTES_MOST);
	if (length < 0 && errno != ENOTSUP && errno != EPERM)
		return trouble(r, errno, "attributes of", err);
	vmm_auto_free char **sorted = length > 0 ? mem_zero((size_t)length * sizeof(*sorted)) : NULL;
	for (char *one = r->names; length > 0 && one < r->names + length; one += strlen(one) + 1)
		if (counts(one))
			sorted[count++] = one;
	if (count > 1)
		qsort(sorted, count, sizeof(*sorted), by_text);
	for (size_t i = 0; i < count; i++) {
		ssize_t got = lgetxattr(name, sorted[i], r->value, ATTRIBUTES_MOST);
		if (got < 0)
			return trouble(r, errno, "attributes of", err);
		feed_bytes(r, sorted[i], strlen(sorted[i]));
		feed_bytes(r, r->value, (size_t)got);
	}
	feed_number(r, count);
	return 0;
}

/* What is in it, and how much that was. Takes the descriptor. */
static int feed_content(struct tree_reading *r, int fd, struct vmm_error **err)
{
	vmm_auto_close int file = fd;
	uint64_t before = r->digest.read_bytes;
	ssize_t got = BLOCK;
	while (got == BLOCK) {
		if (look_for_cancel(r, err) < 0)
			return -1;
		got = file < 0 ? -1 : fd_read_all(file, r->block, BLOCK);
		if (got < 0)
			return trouble(r, errno, "read", err);
		feed(r, r->block, (size_t)got);
		r->digest.read_bytes += (uint64_t)got;
	}
	feed_number(r, r->digest.read_bytes - before);
	return 0;
}

static void feed_info(struct tree_reading *r, const struct stat *info, uint64_t order)
{
	feed_number(r, info->st_mode);
	feed_number(r, info->st_uid);
	feed_number(r, info->st_gid);
	feed_number(r, order);
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
		return trouble(r, errno, "read the link", err);
	feed_bytes(r, r->block, (size_t)length);
	return 0;
}

static void note_change(struct tree_reading *r, const struct stat *info)
{
	if (!r->look.since_ns || !r->look.changed || !*r->look.changed ||
	    (int64_t)info->st_ctim.tv_sec * 1000000000 + info->st_ctim.tv_nsec < r->look.since_ns)
		return;
	r->changed_bytes += r->path.length;
	if (json_count(*r->look.changed, "") < TREE_CHANGED_MOST && r->changed_bytes < TREE_CHANGED_BYTES) {
		json_object_array_add(*r->look.changed, json_object_new_string(r->path.data));
		return;
	}
	json_object_put(*r->look.changed);
	*r->look.changed = NULL;
}

static int feed_entry(struct tree_reading *r, const char *name, const struct stat *info, struct vmm_error **err)
{
	const int how = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC;
	bool first;
	feed_bytes(r, name, strlen(name));
	feed_info(r, info, order_of(r, info, &first));
	if ((first && feed_attributes(r, name, err) < 0) || (S_ISLNK(info->st_mode) && feed_link(r, name, err) < 0))
		return -1;
	if (!S_ISREG(info->st_mode) || !first)
		return 0;
	note_change(r, info);
	return r->look.cover == TREE_ALL ? feed_content(r, open(name, how), err) : 0;
}

/* ---------------------------------------------------------------- the walk */

/* The names in a directory; belongs to the caller, as does each. */
static char **names_in(int fd, size_t *count, struct vmm_error **err)
{
	size_t room = 0;
	char **names = NULL;
	DIR *directory = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	*count = 0;
	if (!directory) {
		error_errno(err, errno, "read a directory");
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

static int descend(struct tree_reading *r, const char *name, ino_t inode, int back, int depth, struct vmm_error **err)
{
	vmm_auto_close int fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	if (fd < 0 || fchdir(fd) < 0)
		return trouble(r, errno, "read the directory", err);
	if (walk_directory(r, fd, inode, depth + 1, err) < 0)
		return -1;
	return fchdir(back) == 0 ? 0 : trouble(r, errno, "leave the directory", err);
}

static int walk_entry(struct tree_reading *r, const char *name, int back, ino_t directory, int depth,
		      struct vmm_error **err)
{
	struct stat info;
	if (lstat(name, &info) < 0)
		return trouble(r, errno, "look at", err);
	r->digest.entries++;
	add_to_seal(r, name, &info, directory);
	if (r->sum && feed_entry(r, name, &info, err) < 0)
		return -1;
	return S_ISDIR(info.st_mode) ? descend(r, name, info.st_ino, back, depth, err) : 0;
}

/* The working directory is `fd`, and is so again afterwards. */
static int walk_directory(struct tree_reading *r, int fd, ino_t inode, int depth, struct vmm_error **err)
{
	size_t count, above = r->path.length;
	if (depth > DEPTH_MOST)
		return error_set(err, VMM_FAILED, "too-deep", "%s: directories within directories, %d deep", r->name,
				 depth);
	if (look_for_cancel(r, err) < 0)
		return -1;
	vmm_auto_free char **names = names_in(fd, &count, err);
	int done = names ? 0 : -1;
	if (r->sum && names) {
		qsort(names, count, sizeof(*names), by_text);
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
		return trouble(r, errno, "look at", err);
	r->digest.entries++;
	add_to_seal(r, "", &info, 0);
	if (r->sum) {
		feed_info(r, &info, 0);
		if (feed_attributes(r, ".", err) < 0)
			return -1;
	}
	return walk_directory(r, r->root, info.st_ino, 0, err);
}

/* Whoever named these files: none of them lies outside of the tree, nor behind a link. */
static int read_files(struct tree_reading *r, struct vmm_error **err)
{
	struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	json_each (file, r->look.files, "") {
		r->path.length = 0;
		text_add(&r->path, "%s", json_text_or(file, "", ""));
		if (feed_content(r, (int)syscall(SYS_openat2, r->root, r->path.data, &how, sizeof(how)), err) < 0)
			return -1;
	}
	return 0;
}

/* ---------------------------------------------------------------- */

static void *read_tree(void *context)
{
	struct tree_reading *r = context;
	if (r->root < 0)
		return NULL; /* `problem` says why */
	if (r->look.cover != TREE_SEAL && tree_sum_begin(r->look.key, &r->sum, &r->problem) < 0)
		r->done = -1;
	else
		r->done = r->look.cover == TREE_FILES ? read_files(r, &r->problem) : walk(r, &r->problem);
	tree_sum_end(r->sum, r->digest.hex);
	return NULL;
}

struct tree_reading *tree_digest_begin(const char *root, const struct tree_look *look)
{
	struct tree_reading *r = mem_zero(sizeof(*r));
	r->look = *look;
	r->name = str_copy(root);
	r->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->block = mem_zero(BLOCK);
	r->names = mem_zero(ATTRIBUTES_MOST);
	r->value = mem_zero(ATTRIBUTES_MOST);
	if (look->changed)
		*look->changed = look->since_ns ? json_object_new_array() : NULL;
	if (r->root < 0)
		r->done = error_errno(&r->problem, errno, "look at the tree %s", root);
	if (pthread_create(&r->thread, NULL, read_tree, r))
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
	free(r->known);
	free(r->block);
	free(r->names);
	free(r->value);
	free(r);
	return done;
}

int tree_digest(const char *root, const struct tree_look *look, struct tree_digest *digest, struct vmm_error **err)
{
	return tree_digest_end(tree_digest_begin(root, look), digest, err);
}
