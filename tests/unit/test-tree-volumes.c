/* Directory trees as volumes: what cannot be copied as it is is found beforehand, and every tree can be removed,
 * without touching what is outside of it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "storage/storage.h"

static int enter(void **state)
{
	char dir[] = "/tmp/vmmigrate-trees-XXXXXX";
	*state = mkdtemp(dir) ? str_copy(dir) : NULL;
	return *state ? 0 : -1;
}

static int leave(void **state)
{
	struct vmm_error *err = NULL;
	int status = tree_remove_all(*state, &err);
	if (status < 0)
		print_error("%s\n", err->message);
	error_clear(&err);
	free(*state);
	return status;
}

static void put(const char *dir, const char *name)
{
	vmm_auto_free char *path = str_format("%s/%s", dir, name);
	assert_int_equal(file_write(path, "x", 1, 0640, NULL), 0);
}

/* Makes directories in one another, all with that name, and a file in the last one. */
static void nest(const char *dir, const char *name, int levels)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < levels; i++) {
		assert_true(mkdirat(fd, name, 0700) == 0 || errno == EEXIST);
		int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	vmm_auto_close int file = openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(file >= 0);
	close(fd);
}

static char *make_root(const char *dir)
{
	char *root = str_format("%s/root", dir);
	assert_int_equal(mkdir(root, 0755), 0);
	put(root, "file");
	return root;
}

static struct json_object *described(const char *root)
{
	struct json_object *volume = json_make("target:s type:s path:s", "rootfs", "tree", root);
	struct vmm_error *err = NULL;
	if (storage_tree.describe(volume, &err) < 0)
		fail_msg("%s", err->message);
	return volume;
}

static void is_removed(const char *root)
{
	struct vmm_error *err = NULL;
	if (storage_tree.remove(root, &err) < 0)
		fail_msg("%s", err->message);
	assert_false(file_there(root));
}

#define LONG_NAME                                                                                                      \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" \
	"nnnn"                                                                                                         \
	"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"

static void a_plain_tree_has_nothing_odd(void **state)
{
	vmm_auto_free char *root = make_root(*state);
	nest(root, "d", 500);
	nest(root, LONG_NAME, 3900 / (int)strlen(LONG_NAME));
	vmm_auto_json struct json_object *volume = described(root);
	assert_null(json_text(volume, "deep"));
	assert_null(json_text(volume, "subvolume"));
	assert_null(json_text(volume, "mounted"));
}

static void a_path_longer_than_path_max_is_found_and_removed(void **state)
{
	vmm_auto_free char *root = make_root(*state);
	nest(root, LONG_NAME, 300);
	vmm_auto_json struct json_object *volume = described(root);
	assert_non_null(json_text(volume, "deep"));
	assert_true(strlen(json_text(volume, "deep")) < 200);
	is_removed(root);
}

static void ten_thousand_levels_are_found_and_removed(void **state)
{
	vmm_auto_free char *root = make_root(*state);
	nest(root, "d", 10000);
	vmm_auto_json struct json_object *volume = described(root);
	assert_non_null(json_text(volume, "deep"));
	is_removed(root);
}

/* The directories that are moved up get a name that is free. */
static void names_like_our_own_are_no_obstacle(void **state)
{
	vmm_auto_free char *root = make_root(*state);
	put(root, ".vmmigrate-deep-0");
	nest(root, ".vmmigrate-deep-1", 600);
	is_removed(root);
}

static void links_are_removed_and_not_followed(void **state)
{
	const char *dir = *state;
	vmm_auto_free char *root = make_root(dir), *link = str_format("%s/link", root);
	put(dir, "outside");
	assert_int_equal(symlink(dir, link), 0);
	is_removed(root);
	vmm_auto_free char *outside = str_format("%s/outside", dir), *top = str_format("%s/top", dir);
	assert_true(file_there(outside));
	assert_int_equal(symlink(outside, top), 0);
	is_removed(top);
	assert_true(file_there(outside));
}

/* Skips the test if this filesystem, or this user, cannot set the flags. */
static void protect(const char *path, unsigned flags)
{
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned missing = flags;
	if (inode_flags_add(fd, flags, &missing) < 0 || missing)
		skip();
	assert_int_equal(inode_flags(fd) & flags, flags);
}

static void what_is_protected_is_removed(void **state)
{
	vmm_auto_free char *root = make_root(*state), *file = str_format("%s/file", root),
			   *other = str_format("%s/other", root), *deep = str_format("%s/d/d/file", root),
			   *directory = str_format("%s/d/d", root), *above = str_format("%s/d", root);
	put(root, "other");
	nest(root, "d", 200);
	put(directory, "file");
	protect(file, FS_IMMUTABLE_FL);
	protect(other, FS_APPEND_FL);
	protect(deep, FS_IMMUTABLE_FL);
	protect(directory, FS_IMMUTABLE_FL);
	protect(above, FS_APPEND_FL);
	protect(root, FS_IMMUTABLE_FL);
	is_removed(root);
}

static void protection_is_taken_off_for_writing(void **state)
{
	vmm_auto_free char *root = make_root(*state), *file = str_format("%s/file", root),
			   *directory = str_format("%s/d", root), *deep = str_format("%s/d/file", root);
	nest(root, "d", 1);
	protect(file, FS_IMMUTABLE_FL | FS_NODUMP_FL);
	protect(deep, FS_APPEND_FL);
	protect(directory, FS_IMMUTABLE_FL);
	assert_int_equal(tree_unprotect_all(root, NULL), 0);
	assert_int_equal(truncate(file, 0), 0);
	assert_int_equal(truncate(deep, 0), 0);
	assert_int_equal(unlink(deep), 0);
	vmm_auto_close int fd = open(file, O_RDONLY | O_CLOEXEC);
	assert_int_equal(inode_flags(fd), FS_NODUMP_FL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_plain_tree_has_nothing_odd),
		test(a_path_longer_than_path_max_is_found_and_removed),
		test(ten_thousand_levels_are_found_and_removed),
		test(names_like_our_own_are_no_obstacle),
		test(links_are_removed_and_not_followed),
		test(what_is_protected_is_removed),
		test(protection_is_taken_off_for_writing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
