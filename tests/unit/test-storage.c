/* Storage: each volume is found on one storage, nothing is written over, odd names do no harm, and a token proves
 * whether a directory is the same one. Needs no root. */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "storage/storage.h"

/* ------------------------------------------------------------------ a directory for each test */

static int enter(void **state)
{
	char dir[] = "/tmp/vmm storage-XXXXXX";
	*state = mkdtemp(dir) ? str_copy(dir) : NULL;
	return *state ? 0 : -1;
}

static int leave(void **state)
{
	int status = dir_remove(*state, NULL);
	free(*state);
	return status;
}

static void put(const char *dir, const char *name, const char *text)
{
	vmm_auto_free char *path = str_format("%s/%s", dir, name);
	assert_int_equal(file_write(path, text, strlen(text), 0640, NULL), 0);
}

static struct json_object *file_volume(const char *dir, const char *name, const char *format)
{
	vmm_auto_free char *path = str_format("%s/%s", dir, name);
	return json_make("target:s type:s path:s format:s", "vda", "file", path, format);
}

static void qemu_img(const char *const argv[])
{
	struct run_result result;
	assert_int_equal(run_checked(&(struct run){.argv = argv, .limit_ms = 20000}, &result, NULL), 0);
	run_result_free(&result);
}

/* ------------------------------------------------------------------ which storage */

/* Name of the storage of a path, among the configured [long] and [short], and the pool "pool". */
static char *name_of(struct json_object *storages, const char *path)
{
	vmm_auto_json struct json_object *volume = json_make("target:s type:s path:s", "vda", "file", path);
	struct json_object *storage;
	assert_int_equal(storage_at(volume, storages, &storage, NULL), 0);
	return str_copy(json_text(storage, "name"));
}

static void a_volume_is_on_the_longest_configured_path_else_on_a_pool_else_on_its_mount(void **state)
{
	const char *dir = *state;
	vmm_auto_free char *vm = str_format("%s/vm", dir), *deep = str_format("%s/vm/deep/", dir);
	vmm_auto_free char *pool = str_format("%s/pool", dir);
	static const char *const made[] = {"vm/deep", "vmx", "pool", "other"};
	for (size_t i = 0; i < VMM_COUNT(made); i++) {
		vmm_auto_free char *path = str_format("%s/%s", dir, made[i]);
		assert_int_equal(dir_make(path, 0755, NULL), 0);
	}
	vmm_auto_json struct json_object *configured =
		json_make("short:o long:o", json_make("path:s", vm), json_make("path:s shared:b", deep, 1));
	vmm_auto_json struct json_object *pools = json_object_new_array(), *storages = NULL;
	json_object_array_add(pools, json_make("name:s type:s path:s active:b", "pool", "dir", pool, 1));
	json_object_array_add(pools, json_make("name:s type:s path:s active:b", "short", "dir", dir, 1));
	assert_int_equal(storage_list(configured, pools, &storages, NULL), 0);
	assert_int_equal(json_count(storages, ""), 3); /* the configured "short" wins over the pool of that name */
	static const char *const expected[][2] = {{"vm/a.raw", "short"},
						  {"vm/deep/a.raw", "long"},
						  {"vm/deeper/a.raw", "short"},
						  {"pool/a.raw", "pool"},
						  {"pool/none/a.raw", "pool"}};
	for (size_t i = 0; i < VMM_COUNT(expected); i++) {
		vmm_auto_free char *path = str_format("%s/%s", dir, expected[i][0]), *name = name_of(storages, path);
		assert_string_equal(name, expected[i][1]);
	}
	vmm_auto_free char *beside = str_format("%s/vmx/a", dir), *other = str_format("%s/other/a", dir);
	vmm_auto_free char *one = name_of(storages, beside), *two = name_of(storages, other);
	assert_string_equal(one, two); /* "vmx" is not below "vm": both are on the storage of the mount, */
	assert_int_equal(json_count(storages, ""), 4); /* which was added once */
	assert_string_equal(json_text(storages, "3.source"), "mount");
	assert_true(json_number(storages, "3.free") > 0);
	assert_true(json_true(storages, "1.declared"));
	assert_string_equal(json_text(storages, "1.sharing"), "maybe");
	assert_false(json_true(storages, "0.declared"));
	assert_string_equal(json_text(storages, "0.fs"), json_text(storages, "3.fs"));
}

static void a_volume_is_found_by_the_real_path_behind_a_link(void **state)
{
	vmm_auto_free char *real = str_format("%s/real", (char *)*state), *link = str_format("%s/link", (char *)*state);
	assert_int_equal(dir_make(real, 0755, NULL), 0);
	assert_int_equal(symlink(real, link), 0);
	put(real, "a", "x");
	vmm_auto_json struct json_object *configured = json_make("store:o", json_make("path:s", real)),
					 *storages = NULL;
	assert_int_equal(storage_list(configured, NULL, &storages, NULL), 0);
	vmm_auto_free char *path = str_format("%s/a", link), *name = name_of(storages, path);
	assert_string_equal(name, "store");
}

static void a_mount_inside_of_a_storage_is_another_storage(void **state)
{
	(void)state;
	struct storage_fs root = {0}, shm = {0};
	assert_int_equal(storage_fs_look("/", &root, NULL), 0);
	assert_int_equal(storage_fs_look("/dev/shm", &shm, NULL), 0);
	bool apart = root.mount_id != shm.mount_id;
	vmm_auto_free char *mount = str_copy(shm.mount);
	storage_fs_free(&root);
	storage_fs_free(&shm);
	if (!apart)
		skip();
	vmm_auto_json struct json_object *configured = json_make("all:o", json_make("path:s shared:b", "/", 0));
	vmm_auto_json struct json_object *storages = NULL;
	assert_int_equal(storage_list(configured, NULL, &storages, NULL), 0);
	vmm_auto_free char *inside = name_of(storages, "/dev/shm/disk.raw"), *own = name_of(storages, "/none/disk.raw");
	assert_string_equal(own, "all");
	assert_string_not_equal(inside, "all");
	assert_string_equal(json_text(storages, "1.path"), mount);
}

static void network_disks_are_reachable_from_every_node_and_have_no_size(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *storages = json_object_new_array();
	vmm_auto_json struct json_object *volume =
		json_make("target:s type:s source:s", "vda", "network", "<source protocol='iscsi' name='iqn.x/1'/>");
	assert_int_equal(storage_describe(volume, storages, NULL), 0);
	assert_string_equal(json_text(volume, "sharing"), "network");
	assert_string_equal(json_text(volume, "storage"), "iscsi");
	assert_null(json_at(volume, "size"));
	vmm_auto_json struct json_object *none = json_make("target:s type:s", "vdb", "network");
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(storage_describe(none, storages, &err), -1);
	assert_non_null(strstr(err->message, "vdb"));
}

static void a_block_device_that_is_not_there_or_is_none_is_named(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *storages = json_object_new_array();
	static const char *const path[] = {"/dev/none/disk", "/dev/null"}, *const code[] = {"volume-missing",
											    "volume-odd"};
	for (size_t i = 0; i < VMM_COUNT(path); i++) {
		vmm_auto_json struct json_object *volume = json_make("target:s type:s path:s", "vda", "block", path[i]);
		vmm_auto_error struct vmm_error *err = NULL;
		assert_int_equal(storage_describe(volume, storages, &err), -1);
		assert_true(error_is(err, code[i]));
		assert_non_null(strstr(err->message, path[i]));
	}
	vmm_auto_json struct json_object *as_file = json_make("type:s path:s", "file", "/dev/vg0/disk");
	const struct storage_ops *ops;
	struct json_object *storage;
	assert_int_equal(storage_of(as_file, &ops, NULL), 0);
	assert_ptr_equal(ops, &storage_block);
	assert_int_equal(storage_at(as_file, storages, &storage, NULL), 0);
	assert_string_equal(json_text(storage, "name"), "vg0");
}

static void what_is_no_known_type_or_no_path_is_refused_by_name(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *storages = json_object_new_array();
	vmm_auto_json struct json_object *odd = json_make("target:s type:s", "vdc", "vhostvdpa");
	vmm_auto_json struct json_object *relative = json_make("target:s type:s path:s", "vdd", "file", "../disk");
	vmm_auto_json struct json_object *empty = json_make("target:s type:s", "vde", "file");
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(storage_describe(odd, storages, &err), -1);
	assert_true(error_is(err, "storage-unknown"));
	assert_non_null(strstr(err->message, "vdc"));
	assert_int_equal(storage_describe(relative, storages, NULL), -1);
	assert_int_equal(storage_describe(empty, storages, NULL), -1);
	assert_int_equal(storage_describe(NULL, storages, NULL), -1);
}

static void filesystems_that_others_may_see_are_never_called_local(void **state)
{
	(void)state;
	static const char *const local[] = {"ext4", "xfs", "btrfs", "tmpfs", "zfs", "overlay"};
	static const char *const maybe[] = {"nfs",  "nfs4",   "cifs", "fuse.glusterfs", "ceph",
					    "gfs2", "lustre", "9p",   "fuse.sshfs",	"of next year"};
	for (size_t i = 0; i < VMM_COUNT(local); i++)
		assert_string_equal(storage_fs_sharing(local[i]), "local");
	for (size_t i = 0; i < VMM_COUNT(maybe); i++)
		assert_string_equal(storage_fs_sharing(maybe[i]), "maybe");
}

/* ------------------------------------------------------------------ describing */

static void a_raw_file_is_described_with_its_holes_owner_and_mode(void **state)
{
	vmm_auto_free char *path = str_format("%s/disk: 'ü\".raw", (char *)*state);
	vmm_auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 8 << 20), 0);
	assert_int_equal(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0),
			 8); /* a guest may write this to its raw disk: it is no qcow2 image */
	assert_int_equal(fchmod(fd, 0640), 0);
	vmm_auto_json struct json_object *volume = file_volume(*state, "disk: 'ü\".raw", "raw");
	vmm_auto_json struct json_object *storages = json_object_new_array();
	assert_int_equal(storage_describe(volume, storages, NULL), 0);
	assert_int_equal(json_number(volume, "size"), 8 << 20);
	assert_int_equal(json_number(volume, "virtual_size"), 8 << 20);
	assert_true(json_number(volume, "allocated") < 1 << 20);
	assert_int_equal(json_number(volume, "mode"), 0640);
	assert_true(json_at(volume, "uid") && json_number(volume, "uid") == getuid());
	assert_string_equal(json_text(volume, "kind"), "dir");
	assert_non_null(json_text(volume, "storage"));
	assert_null(json_text(volume, "backing"));
}

static void a_qcow2_image_tells_size_snapshots_and_backing_whatever_its_name(void **state)
{
	const char *dir = *state;
	vmm_auto_free char *base = str_format("%s/base.qcow2", dir),
			   *odd = str_format("%s/nbd:a 'ü\" --json:{}.qcow2", dir);
	qemu_img((const char *const[]){"qemu-img", "create", "-f", "qcow2", base, "64M", NULL});
	qemu_img((const char *const[]){"qemu-img", "create", "-f", "qcow2", "-b", base, "-F", "qcow2", odd, "128M",
				       NULL});
	qemu_img((const char *const[]){"qemu-img", "snapshot", "-c", "first", odd, NULL});
	vmm_auto_json struct json_object *volume = file_volume(dir, path_base(odd), "qcow2");
	vmm_auto_json struct json_object *storages = json_object_new_array();
	assert_int_equal(storage_describe(volume, storages, NULL), 0);
	assert_int_equal(json_number(volume, "virtual_size"), 128 << 20);
	assert_true(json_number(volume, "size") < 4 << 20);
	assert_int_equal(json_number(volume, "snapshots"), 1);
	assert_string_equal(json_text(volume, "backing"), base);
}

/* "PATH as FORMAT[ relative]" of each file of the chain; paths without the directory. */
static char *chain_text(const char *dir, const char *name)
{
	vmm_auto_free char *path = str_format("%s/%s", dir, name);
	vmm_auto_json struct json_object *chain = image_chain(path, "qcow2");
	vmm_auto_text struct text text = {0};
	json_each (file, chain, "") {
		const char *at = json_text(file, "path");
		assert_true(str_starts(at, dir));
		text_add(&text, "%s%s %s %s%s", file_i ? ", " : "", at + strlen(dir) + 1, json_text(file, "as"),
			 json_text(file, "format"), json_true(file, "relative") ? " relative" : "");
	}
	return text_take(&text);
}

static void an_image_names_all_files_below_it_also_by_relative_names(void **state)
{
	const char *dir = *state;
	vmm_auto_free char *one = str_format("%s/chain-1.qcow2", dir), *two = str_format("%s/chain-2.qcow2", dir),
			   *raw = str_format("%s/chain-0.raw", dir),
			   *options = str_format("data_file=%s/chain.data", dir),
			   *split = str_format("%s/split.qcow2", dir);
	qemu_img((const char *const[]){"qemu-img", "create", "-f", "raw", raw, "1M", NULL});
	qemu_img((const char *const[]){"qemu-img", "create", "-f", "qcow2", "-b", raw, "-F", "raw", one, NULL});
	qemu_img((const char *const[]){"qemu-img", "create", "-f", "qcow2", "-b", "chain-1.qcow2", "-F", "qcow2", two,
				       NULL});
	qemu_img((const char *const[]){"qemu-img", "create", "-f", "qcow2", "-o", options, split, "1M", NULL});
	vmm_auto_free char *chain = chain_text(dir, "chain-2.qcow2"), *data = chain_text(dir, "split.qcow2");
	assert_string_equal(chain,
			    "chain-2.qcow2 disk qcow2, chain-1.qcow2 backing qcow2 relative, chain-0.raw backing raw");
	assert_string_equal(data, "split.qcow2 disk qcow2, chain.data data raw");
	/* QEMU finds a relative data file only from its directory; we name it there. */
	qemu_img((const char *const[]){"sh", "-c",
				       "cd \"$0\" && qemu-img create -q -f qcow2 -o data_file=near.data near.qcow2 1M",
				       dir, NULL});
	vmm_auto_free char *near = chain_text(dir, "near.qcow2");
	assert_string_equal(near, "near.qcow2 disk qcow2, near.data data raw relative");
}

static void a_damaged_image_and_a_missing_one_have_their_own_errors(void **state)
{
	put(*state, "bad.qcow2", "this is not an image");
	vmm_auto_json struct json_object *bad = file_volume(*state, "bad.qcow2", "qcow2");
	vmm_auto_json struct json_object *gone = file_volume(*state, "gone.raw", "raw");
	vmm_auto_json struct json_object *storages = json_object_new_array();
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(storage_describe(bad, storages, &err), -1);
	assert_non_null(strstr(err->message, "bad.qcow2"));
	assert_non_null(err->hint);
	error_clear(&err);
	assert_int_equal(storage_describe(gone, storages, &err), -1);
	assert_true(error_is(err, "volume-missing"));
	assert_non_null(strstr(err->message, "gone.raw"));
}

/* The name of any file of the node may be in a header that a guest has written. */
static void an_image_that_names_a_file_as_its_data_is_read_without_that(void **state)
{
	const char *dir = *state;
	vmm_auto_free char *image = str_format("%s/linked.qcow2", dir), *data = str_format("%s/of the host", dir),
			   *option = str_format("data_file=%s", data);
	qemu_img((const char *const[]){"qemu-img", "create", "-f", "qcow2", "-o", option, image, "64M", NULL});
	vmm_auto_json struct json_object *volume = file_volume(dir, "linked.qcow2", "qcow2");
	assert_int_equal(unlink(data), 0);
	assert_int_equal(image_describe(volume, NULL), 0);
	assert_string_equal(json_text(volume, "data_file"), data);
	assert_int_equal(json_number(volume, "virtual_size"), 64 << 20);
}

/* A program in qemu-img's place that tries what a manipulated header could have it do. */
static void qemu_img_reaches_nothing_but_the_image(void **state)
{
	static const char greedy[] = "#!/bin/sh\n"
				     "cat \"${7%/*}/secret\" && exit 5\n"
				     "cat /etc/passwd && exit 5\n"
				     "head -c 1 \"$7\" || exit 6\n"
				     "touch \"$7\" && exit 7\n"
				     "[ \"$(ulimit -v) $(ulimit -t)\" = '1048576 30' ] || exit 8\n"
				     "echo nothing else >&2; exit 99\n";
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	const char *dir = *state;
	vmm_auto_free char *program = str_format("%s/qemu-img", dir);
	vmm_auto_json struct json_object *volume = file_volume(dir, "image.qcow2", "qcow2");
	vmm_auto_error struct vmm_error *err = NULL;
	put(dir, "secret", "of the host");
	put(dir, "image.qcow2", "x");
	put(dir, "qemu-img", greedy);
	assert_int_equal(chmod(program, 0755), 0);
	assert_int_equal(mount(program, "/usr/bin/qemu-img", NULL, MS_BIND, NULL), 0);
	int done = image_describe(volume, &err);
	umount("/usr/bin/qemu-img");
	assert_int_equal(done, -1);
	if (!strstr(err->message, "ended with 99: nothing else"))
		fail_msg("%s", err->message);
}

static void a_directory_is_described_as_one(void **state)
{
	vmm_auto_json struct json_object *volume = json_make("target:s type:s path:s", "tpm", "file", *state);
	vmm_auto_json struct json_object *storages = json_object_new_array();
	assert_int_equal(storage_describe(volume, storages, NULL), 0);
	assert_true(json_true(volume, "directory"));
	assert_null(json_at(volume, "size"));
}

/* ------------------------------------------------------------------ making volumes */

static void a_volume_is_made_sparse_and_never_over_another(void **state)
{
	vmm_auto_free char *path = str_format("%s/new.raw", (char *)*state);
	vmm_auto_close int fd = storage_dir.allocate(path, (uint64_t)1 << 40, 4096, NULL);
	assert_true(fd >= 0);
	struct stat info;
	assert_int_equal(fstat(fd, &info), 0);
	assert_true(info.st_size == (off_t)1 << 40);
	assert_int_equal(info.st_blocks, 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_int_equal(pwrite(fd, "x", 1, 5), 1);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(storage_dir.allocate(path, 4096, 0, &err), -1);
	assert_true(error_is(err, "volume-taken"));
	assert_int_equal(storage_dir.remove(path, NULL), 0);
	assert_int_equal(storage_dir.remove(path, NULL), 0);
	assert_int_equal(storage_dir.allocate("/tmp/../x", 1, 0, NULL), -1);
}

static void lack_of_space_is_an_error_with_need_and_have_and_leaves_nothing(void **state)
{
	const char *dir = *state;
	vmm_auto_free char *path = str_format("%s/big.raw", dir);
	put(dir, ".free", "3221225472\n");
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(storage_null.allocate(path, (uint64_t)8 << 30, (uint64_t)4 << 30, &err), -1);
	assert_true(error_is(err, "no-space"));
	assert_non_null(strstr(err->message, "need 4.0 GiB, have 3.0 GiB"));
	error_clear(&err);
	assert_int_equal(storage_dir.allocate(path, 1 << 20, UINT64_MAX, &err), -1);
	assert_true(error_is(err, "no-space"));
	assert_false(file_there(path));
	vmm_auto_close int fd = storage_null.allocate(path, (uint64_t)8 << 30, (uint64_t)2 << 30, NULL);
	assert_true(fd >= 0);
}

static void publishing_gives_mode_and_name_and_refuses_a_name_that_is_taken(void **state)
{
	const char *dir = *state;
	vmm_auto_free char *final = str_format("%s/disk.raw", dir), *temporary = storage_temporary(final, "task-1");
	const struct storage_owner owner = {.uid = getuid(), .gid = getgid(), .mode = 0644};
	close(storage_dir.allocate(temporary, 4096, 0, NULL));
	assert_int_equal(storage_dir.publish(temporary, final, &owner, NULL), 0);
	struct stat info;
	assert_int_equal(stat(final, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0644);
	assert_false(file_there(temporary));
	put(dir, ".vmmigrate-task-1-disk.raw", "second");
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(storage_dir.publish(temporary, final, &owner, &err), -1);
	assert_true(error_is(err, "volume-taken"));
	assert_int_equal(stat(final, &info), 0);
	assert_int_equal(info.st_size, 4096);
	assert_true(file_there(temporary));
	error_clear(&err);
	unlink(temporary);
	assert_int_equal(storage_dir.publish(temporary, final, NULL, &err), -1);
	assert_true(error_is(err, "volume-missing"));
}

static void only_plain_files_are_opened_and_links_are_not_written_through(void **state)
{
	const char *dir = *state;
	put(dir, "real", "x");
	vmm_auto_free char *real = str_format("%s/real", dir), *link = str_format("%s/link", dir);
	vmm_auto_free char *fifo = str_format("%s/fifo", dir);
	assert_int_equal(symlink(real, link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	vmm_auto_close int fd = storage_dir.open(link, false, NULL);
	assert_true(fd >= 0);
	assert_int_equal(storage_dir.open(link, true, NULL), -1);
	assert_int_equal(storage_dir.open(fifo, false, NULL), -1);
	assert_int_equal(storage_dir.open(dir, false, NULL), -1);
}

static void temporary_names_fit_and_differ_however_long_the_name(void **state)
{
	(void)state;
	vmm_auto_free char *plain = storage_temporary("/srv/vm/disk.raw", "n1-7"),
			   *top = storage_temporary("/disk", "n1-7");
	assert_string_equal(plain, "/srv/vm/.vmmigrate-n1-7-disk.raw");
	assert_string_equal(top, "/.vmmigrate-n1-7-disk");
	vmm_auto_text struct text one = {0}, two = {0};
	text_add(&one, "/srv/");
	text_add(&two, "/srv/");
	for (int i = 0; i < 124; i++) {
		text_add(&one, "ü");
		text_add(&two, "ü");
	}
	text_add(&one, "a");
	text_add(&two, "b");
	vmm_auto_free char *first = storage_temporary(one.data, "n1-7"), *second = storage_temporary(two.data, "n1-7");
	assert_true(strlen(path_base(first)) <= 255);
	assert_string_not_equal(first, second);
	vmm_auto_json struct json_object *text = json_object_new_string(first);
	vmm_auto_json struct json_object *back = NULL;
	assert_int_equal(json_parse(json_line(text), -1, "name", &back, NULL), 0); /* no character was cut in two */
}

/* ------------------------------------------------------------------ tokens and null storage */

static void a_token_is_seen_in_its_directory_only_and_is_removed(void **state)
{
	vmm_auto_free char *one = str_format("%s/one", (char *)*state), *two = str_format("%s/two", (char *)*state);
	assert_int_equal(dir_make(one, 0755, NULL) + dir_make(two, 0755, NULL), 0);
	vmm_auto_free char *token = NULL;
	bool there = false;
	assert_int_equal(storage_token_write(one, &token, NULL), 0);
	assert_int_equal(storage_token_there(one, token, &there, NULL), 0);
	assert_true(there);
	int64_t began = clock_steady_ms();
	assert_int_equal(storage_token_there(two, token, &there, NULL), 0);
	assert_false(there);
	assert_true(clock_steady_ms() - began < 1000); /* on a local filesystem it does not wait */
	assert_int_equal(storage_token_there("/none/at/all", token, &there, NULL), 0);
	assert_false(there);
	assert_int_equal(storage_token_remove(one, token, NULL), 0);
	assert_int_equal(storage_token_there(one, token, &there, NULL), 0);
	assert_false(there);
}

static void a_name_that_is_no_token_is_neither_looked_for_nor_removed(void **state)
{
	const char *dir = *state;
	static const char *const bad[] = {"disk.raw", "", ".vmmigrate-token-",
					  ".vmmigrate-token-../../../../../../../../x",
					  ".vmmigrate-token-0123456789ABCDEF0123456789ABCDEF"};
	put(dir, "disk.raw", "x");
	bool there;
	for (size_t i = 0; i < VMM_COUNT(bad); i++) {
		assert_int_equal(storage_token_there(dir, bad[i], &there, NULL), -1);
		assert_int_equal(storage_token_remove(dir, bad[i], NULL), -1);
	}
	assert_int_equal(storage_token_remove(dir, NULL, NULL), -1);
	vmm_auto_free char *path = str_format("%s/disk.raw", dir);
	assert_true(file_there(path));
	vmm_auto_free char *token = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(storage_token_write("/none/at/all", &token, &err), -1);
	assert_non_null(err);
}

static void null_storage_takes_its_properties_from_two_files(void **state)
{
	vmm_auto_free char *one = str_format("%s/alpha", (char *)*state), *two = str_format("%s/beta", (char *)*state);
	assert_int_equal(dir_make(one, 0755, NULL) + dir_make(two, 0755, NULL), 0);
	put(one, ".shared", "");
	put(two, ".free", "1000");
	put(one, "a", "x");
	put(two, "b", "yy");
	vmm_auto_free char *first = str_format("%s/a", one), *second = str_format("%s/b", two);
	vmm_auto_json struct json_object *a = json_make("target:s type:s path:s", "a", "null", first);
	vmm_auto_json struct json_object *b = json_make("target:s type:s path:s", "b", "null", second);
	vmm_auto_json struct json_object *storages = json_object_new_array();
	assert_int_equal(storage_describe(a, storages, NULL) + storage_describe(b, storages, NULL), 0);
	assert_string_equal(json_text(a, "storage"), "alpha");
	assert_string_equal(json_text(a, "sharing"), "maybe");
	assert_string_equal(json_text(b, "sharing"), "local");
	assert_int_equal(json_number(b, "size"), 2);
	assert_int_equal(json_number(storages, "1.free"), 1000);
}

static void a_storage_that_cannot_be_examined_does_not_hide_the_others(void **state)
{
	const char *dir = *state;
	vmm_auto_json struct json_object *configured =
		json_make("gone:o pool:o", json_make("path:s", "/none/at/all"), json_make("shared:b", 1));
	vmm_auto_json struct json_object *pools = json_object_new_array(), *storages = NULL;
	json_object_array_add(pools, json_make("name:s type:s path:s active:b", "pool", "dir", dir, 1));
	json_object_array_add(pools, json_make("name:s type:s path:s active:b", "down", "netfs", dir, 0));
	json_object_array_add(pools, json_make("name:s type:s path:s active:b", "odd", "dir", "../x", 1));
	json_object_array_add(pools, json_make("name:s type:s active:b", "ceph", "rbd", 1));
	json_object_array_add(pools, json_make("name:s type:s active:b", "next year's", "vstorage", 1));
	assert_int_equal(storage_list(configured, pools, &storages, NULL), 0);
	assert_int_equal(json_count(storages, ""), 5);
	assert_false(json_true(storages, "0.active"));
	assert_string_equal(json_text(storages, "1.source"),
			    "config"); /* what it does not set is taken from the pool */
	assert_string_equal(json_text(storages, "1.path"), dir);
	assert_true(json_true(storages, "1.active") && json_true(storages, "1.declared"));
	assert_false(json_true(storages, "2.active"));
	assert_null(json_text(storages, "3.path"));
	assert_string_equal(json_text(storages, "4.sharing"), "network");
}

#define test(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_volume_is_on_the_longest_configured_path_else_on_a_pool_else_on_its_mount),
		test(a_storage_that_cannot_be_examined_does_not_hide_the_others),
		test(a_volume_is_found_by_the_real_path_behind_a_link),
		test(a_mount_inside_of_a_storage_is_another_storage),
		test(network_disks_are_reachable_from_every_node_and_have_no_size),
		test(a_block_device_that_is_not_there_or_is_none_is_named),
		test(what_is_no_known_type_or_no_path_is_refused_by_name),
		test(filesystems_that_others_may_see_are_never_called_local),
		test(a_raw_file_is_described_with_its_holes_owner_and_mode),
		test(a_qcow2_image_tells_size_snapshots_and_backing_whatever_its_name),
		test(an_image_names_all_files_below_it_also_by_relative_names),
		test(an_image_that_names_a_file_as_its_data_is_read_without_that),
		test(qemu_img_reaches_nothing_but_the_image),
		test(a_damaged_image_and_a_missing_one_have_their_own_errors),
		test(a_directory_is_described_as_one),
		test(a_volume_is_made_sparse_and_never_over_another),
		test(lack_of_space_is_an_error_with_need_and_have_and_leaves_nothing),
		test(publishing_gives_mode_and_name_and_refuses_a_name_that_is_taken),
		test(only_plain_files_are_opened_and_links_are_not_written_through),
		test(temporary_names_fit_and_differ_however_long_the_name),
		test(a_token_is_seen_in_its_directory_only_and_is_removed),
		test(a_name_that_is_no_token_is_neither_looked_for_nor_removed),
		test(null_storage_takes_its_properties_from_two_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
