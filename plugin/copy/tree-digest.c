/* tree-digest.c: one number for all that makes a tree what it is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "copy/tree.h"

enum { BLOCK = 1 << 20, ATTRIBUTES_MOST = 64 << 10, DEPTH_MOST = 512 };

/* A file of many names is the same file under each: which was the first is part of the digest. */
struct known {
	dev_t device;
	ino_t inode;
	uint64_t order;
};

struct walk {
	EVP_MD_CTX *hash;
	int64_t since_ns;
	struct json_object *list;   /* contents to cover, in order; NULL: see `since_ns` */
	size_t next;		    /* in the list */
	struct json_object *chosen; /* what since_ns has chosen */
	bool (*cancelled)(void *);
	void *context;
	struct known *known;
	size_t known_count, known_room;
	struct tree_digest *digest;
	char *block;
};

static void feed(struct walk *w, const void *data, size_t length)
{
	EVP_DigestUpdate(w->hash, data, length);
}

static void feed_number(struct walk *w, uint64_t number)
{
	feed(w, &number, sizeof(number));
}

/* With its length, so that no two sequences of texts look alike. */
static void feed_bytes(struct walk *w, const void *data, size_t length)
{
	feed_number(w, length);
	feed(w, data, length);
}

/* ---------------------------------------------------------------- files of many names */

static struct known *place_of(struct walk *w, dev_t device, ino_t inode)
{
	size_t at = (size_t)(inode * 0x9e3779b97f4a7c15u ^ device) % w->known_room;
	while (w->known[at].order && (w->known[at].inode != inode || w->known[at].device != device))
		at = (at + 1) % w->known_room;
	return &w->known[at];
}

static void make_room(struct walk *w)
{
	if (w->known_count * 2 < w->known_room)
		return;
	struct known *old = w->known;
	size_t count = w->known_room;
	w->known_room = count ? count * 2 : 1024;
	w->known = mem_zero(w->known_room * sizeof(*w->known));
	for (size_t i = 0; i < count; i++)
		if (old[i].order)
			*place_of(w, old[i].device, old[i].inode) = old[i];
	free(old);
}

/* The order of the first name; *first where this is it. */
static uint64_t order_of(struct walk *w, const struct stat *info, bool *first)
{
	*first = true;
	if (S_ISDIR(info->st_mode) || info->st_nlink < 2)
		return 0;
	make_room(w);
	struct known *known = place_of(w, info->st_dev, info->st_ino);
	*first = !known->order;
	if (*first)
		*known = (struct known){info->st_dev, info->st_ino, ++w->known_count};
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
static int feed_attributes(struct walk *w, const char *path, struct vmm_error **err)
{
	vmm_auto_free char *names = mem_zero(ATTRIBUTES_MOST), *value = mem_zero(ATTRIBUTES_MOST);
	ssize_t length = llistxattr(path, names, ATTRIBUTES_MOST);
	if (length < 0 && errno != ENOTSUP && errno != EPERM)
		return error_errno(err, errno, "attributes of %s", path);
	size_t count = 0;
	vmm_auto_free char **sorted = mem_zero(((size_t)(length > 0 ? length : 0) + 1) * sizeof(*sorted));
	for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1)
		if (counts(name))
			sorted[count++] = name;
	qsort(sorted, count, sizeof(*sorted), by_text);
	for (size_t i = 0; i < count; i++) {
		ssize_t got = lgetxattr(path, sorted[i], value, ATTRIBUTES_MOST);
		if (got < 0)
			return error_errno(err, errno, "attribute %s of %s", sorted[i], path);
		feed_bytes(w, sorted[i], strlen(sorted[i]));
		feed_bytes(w, value, (size_t)got);
	}
	feed_number(w, count);
	return 0;
}

static int feed_content(struct walk *w, const char *path, struct vmm_error **err)
{
	vmm_auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, errno, "read %s", path);
	for (;;) {
		ssize_t got = fd_read_all(fd, w->block, BLOCK);
		if (got < 0)
			return error_errno(err, errno, "read %s", path);
		feed(w, w->block, (size_t)got);
		w->digest->read_bytes += (uint64_t)got;
		if (got < BLOCK)
			return 0;
		if (w->cancelled && w->cancelled(w->context))
			return error_set(err, VMM_CANCELLED, "cancelled", "cancelled while %s was compared", path);
	}
}

/* Is the content of this file covered? */
static bool is_covered(struct walk *w, const char *relative, const struct stat *info)
{
	if (w->list) {
		vmm_auto_free char *key = str_format("%zu", w->next);
		bool listed = str_same(json_text(w->list, key), relative);
		w->next += listed;
		return listed;
	}
	if (w->since_ns <= 0)
		return true;
	if ((int64_t)info->st_ctim.tv_sec * 1000000000 + info->st_ctim.tv_nsec < w->since_ns)
		return false;
	json_object_array_add(w->chosen, json_object_new_string(relative));
	return true;
}

static void feed_info(struct walk *w, const struct stat *info, uint64_t order)
{
	feed_number(w, info->st_mode);
	feed_number(w, info->st_uid);
	feed_number(w, info->st_gid);
	feed_number(w, order);
	if (!S_ISDIR(info->st_mode))
		feed_number(w, (uint64_t)info->st_size);
	feed_number(w, (uint64_t)info->st_mtim.tv_sec);
	feed_number(w, (uint64_t)info->st_mtim.tv_nsec);
	if (S_ISCHR(info->st_mode) || S_ISBLK(info->st_mode))
		feed_number(w, makedev(major(info->st_rdev), minor(info->st_rdev)));
}

static int walk_directory(struct walk *w, const char *path, const char *relative, int depth, struct vmm_error **err);

static int walk_entry(struct walk *w, const char *path, const char *relative, int depth, struct vmm_error **err)
{
	struct stat info;
	bool first;
	if (lstat(path, &info) < 0)
		return error_errno(err, errno, "look at %s", path);
	w->digest->entries++;
	feed_bytes(w, relative, strlen(relative));
	feed_info(w, &info, order_of(w, &info, &first));
	if (first && feed_attributes(w, path, err) < 0)
		return -1;
	if (S_ISLNK(info.st_mode)) {
		ssize_t length = readlink(path, w->block, BLOCK);
		if (length < 0)
			return error_errno(err, errno, "read the link %s", path);
		feed_bytes(w, w->block, (size_t)length);
	}
	if (S_ISREG(info.st_mode) && first && is_covered(w, relative, &info) && feed_content(w, path, err) < 0)
		return -1;
	return S_ISDIR(info.st_mode) ? walk_directory(w, path, relative, depth + 1, err) : 0;
}

static int keep_all(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int walk_directory(struct walk *w, const char *path, const char *relative, int depth, struct vmm_error **err)
{
	struct dirent **names;
	if (depth > DEPTH_MOST)
		return error_set(err, VMM_FAILED, "too-deep", "%s: directories within directories, %d deep", path,
				 depth);
	if (w->cancelled && w->cancelled(w->context))
		return error_set(err, VMM_CANCELLED, "cancelled", "cancelled while %s was compared", path);
	int count = scandir(path, &names, keep_all, by_name), done = 0;
	if (count < 0)
		return error_errno(err, errno, "read the directory %s", path);
	feed_number(w, (uint64_t)count);
	for (int i = 0; i < count; i++) {
		vmm_auto_free char *below = str_format("%s/%s", path, names[i]->d_name);
		vmm_auto_free char *name = str_format("%s%s%s", relative, *relative ? "/" : "", names[i]->d_name);
		free(names[i]);
		if (done == 0)
			done = walk_entry(w, below, name, depth, err);
	}
	free(names);
	return done;
}

/* ---------------------------------------------------------------- */

static int digest_once(const char *root, struct walk *w, struct vmm_error **err)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned length = 0;
	w->hash = EVP_MD_CTX_new();
	w->block = mem_zero(BLOCK);
	if (!w->hash || EVP_DigestInit_ex(w->hash, EVP_sha256(), NULL) != 1)
		abort();
	*w->digest = (struct tree_digest){0};
	int done = walk_entry(w, root, "", 0, err);
	EVP_DigestFinal_ex(w->hash, bytes, &length);
	for (unsigned i = 0; i < length; i++)
		snprintf(w->digest->hex + 2 * i, 3, "%02x", bytes[i]);
	EVP_MD_CTX_free(w->hash);
	free(w->block);
	free(w->known);
	return done;
}

int tree_digest(const char *root, int64_t since_ns, struct json_object **list, bool (*cancelled)(void *), void *context,
		struct tree_digest *digest, struct vmm_error **err)
{
	bool choose = since_ns > 0 && list;
	struct walk w = {.since_ns = choose ? since_ns : 0,
			 .list = choose || !list ? NULL : *list,
			 .cancelled = cancelled,
			 .context = context,
			 .digest = digest};
	if (choose)
		w.chosen = json_object_new_array();
	int done = digest_once(root, &w, err);
	if (!choose)
		return done;
	*list = NULL;
	if (done == 0 && json_count(w.chosen, "") <= TREE_LIST_MOST) {
		*list = w.chosen;
		return 0;
	}
	json_object_put(w.chosen);
	return done < 0 ? -1 : tree_digest(root, 0, NULL, cancelled, context, digest, err);
}
