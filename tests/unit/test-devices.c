/* Block devices as volumes: they are filled at their own path, never made, never removed, and refused if anything else
 * uses them. Tests that need root and loop devices are skipped without. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "loop-device.h"
#include "node/local.h"
#include "storage/storage.h"

enum { MIB = 1 << 20, SIZE = 16 * MIB };

/* A directory with a link "vm100" that leads to a loop device; device is -1 if there can be none. */
struct pool {
	char *dir, *link, *name;
	int device;
};

static int enter(void **state)
{
	char dir[] = "/tmp/vmm-devices-XXXXXX";
	struct pool *pool = mem_zero(sizeof(*pool));
	if (!mkdtemp(dir))
		return -1;
	pool->dir = str_copy(dir);
	pool->link = str_format("%s/vm100", dir);
	vmm_auto_free char *backing = str_format("%s/backing", dir);
	pool->device = loop_device(backing, SIZE, &pool->name);
	*state = pool;
	return pool->device >= 0 && symlink(pool->name, pool->link) < 0 ? -1 : 0;
}

static int leave(void **state)
{
	struct pool *pool = *state;
	if (pool->device >= 0)
		close(pool->device);
	int done = dir_remove(pool->dir, NULL);
	free(pool->dir);
	free(pool->link);
	free(pool->name);
	free(pool);
	return done;
}

static struct pool *device_of(void **state)
{
	struct pool *pool = *state;
	if (pool->device < 0)
		skip();
	return pool;
}

/* ------------------------------------------------------------------ storage/block.c */

static void a_device_is_filled_in_place_and_kept_by_remove(void **state)
{
	struct pool *pool = device_of(state);
	vmm_auto_free char *working = storage_working_path("block", pool->link, "n1-7");
	assert_string_equal(working, pool->link);
	vmm_auto_close int fd = storage_block.allocate(working, SIZE, SIZE, NULL);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "content", 7, 0), 7);
	assert_int_equal(storage_block.publish(working, pool->link, NULL, NULL), 0);
	assert_int_equal(storage_block.remove(pool->link, NULL), 0);
	char held[7];
	vmm_auto_close int again = storage_block.open(pool->link, false, NULL);
	assert_int_equal(pread(again, held, sizeof(held), 0), sizeof(held));
	assert_memory_equal(held, "content", sizeof(held));
}

static void a_device_that_is_smaller_by_a_byte_is_refused_with_both_sizes(void **state)
{
	struct pool *pool = device_of(state);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(storage_block.allocate(pool->link, SIZE + 1, 0, &err), -1);
	assert_true(error_is(err, "no-space"));
	assert_non_null(strstr(err->message, "have 16.0 MiB"));
	assert_non_null(err->hint);
}

static void a_path_that_is_no_device_is_neither_read_nor_filled(void **state)
{
	struct pool *pool = *state;
	vmm_auto_free char *file = str_format("%s/file", pool->dir), *none = str_format("%s/none", pool->dir);
	assert_int_equal(file_write(file, "x", 1, 0600, NULL), 0);
	const char *const path[] = {file, none, "/dev/null"}, *const code[] = {"volume-odd", "volume-missing",
									       "volume-odd"};
	for (size_t i = 0; i < VMM_COUNT(path); i++) {
		vmm_auto_error struct vmm_error *read = NULL, *write = NULL;
		assert_int_equal(storage_block.open(path[i], false, &read), -1);
		assert_true(error_is(read, code[i]));
		assert_int_equal(storage_block.allocate(path[i], 1, 1, &write), -1);
		assert_non_null(write);
	}
	assert_int_equal(storage_block.allocate("../vm100", 1, 1, NULL), -1);
}

static void a_mounted_device_is_not_filled_and_the_mount_point_is_named(void **state)
{
	struct pool *pool = device_of(state);
	vmm_auto_free char *point = str_format("%s/mounted", pool->dir);
	const char *const argv[] = {"mkfs.ext4", "-q", pool->name, NULL};
	struct run_result result;
	vmm_auto_error struct vmm_error *err = NULL;
	if (run_checked(&(struct run){.argv = argv, .limit_ms = 20000}, &result, NULL) < 0)
		skip();
	run_result_free(&result);
	assert_int_equal(dir_make(point, 0700, NULL), 0);
	if (mount(pool->name, point, "ext4", 0, NULL) < 0)
		skip();
	int refused = storage_block.allocate(pool->link, SIZE, SIZE, &err);
	int opened = storage_block.open(pool->link, true, NULL);
	umount2(point, MNT_DETACH);
	assert_int_equal(refused, -1);
	assert_int_equal(opened, -1);
	assert_true(error_is(err, "volume-taken"));
	assert_non_null(strstr(err->message, point));
}

/* Several sessions of one copy write to the device at the same time. */
static void a_device_that_we_fill_ourselves_is_not_in_use(void **state)
{
	struct pool *pool = device_of(state);
	int fd[3];
	for (size_t i = 0; i < VMM_COUNT(fd); i++)
		assert_true((fd[i] = storage_block.open(pool->link, true, NULL)) >= 0);
	for (size_t i = 0; i < VMM_COUNT(fd); i++)
		close(fd[i]);
}

static void writes_to_a_device_are_distinguished_from_reads_and_flushes(void **state)
{
	struct pool *pool = device_of(state);
	char data[4096] = "x";
	assert_int_equal(pwrite(pool->device, data, sizeof(data), 0), sizeof(data));
	vmm_auto_free char *before = device_written(pool->device), *same = NULL, *after = NULL;
	assert_int_equal(pread(pool->device, data, sizeof(data), 8 * MIB), sizeof(data));
	assert_int_equal(fsync(pool->device), 0);
	same = device_written(pool->device);
	assert_string_equal(before, same);
	assert_int_equal(pwrite(pool->device, data, sizeof(data), 8 * MIB), sizeof(data));
	after = device_written(pool->device);
	assert_string_not_equal(before, after);
}

static void links_to_devices_belong_to_the_storage_of_their_directory(void **state)
{
	struct pool *pool = device_of(state);
	vmm_auto_json struct json_object *configured =
		json_make("disks:o files:o", json_make("kind:s path:s shared:b", "block", pool->dir, 0),
			  json_make("path:s", pool->dir));
	vmm_auto_json struct json_object *storages = NULL;
	vmm_auto_json struct json_object *device = json_make("target:s type:s path:s", "vda", "block", pool->link);
	vmm_auto_json struct json_object *file = json_make("target:s type:s path:s", "vdb", "file", pool->dir);
	struct json_object *storage;
	assert_int_equal(storage_list(configured, NULL, &storages, NULL), 0);
	assert_int_equal(storage_describe(device, storages, NULL), 0);
	assert_string_equal(json_text(device, "storage"), "disks");
	assert_string_equal(json_text(device, "sharing"), "local");
	assert_int_equal(json_number(device, "size"), SIZE);
	assert_int_equal(storage_at(file, storages, &storage, NULL), 0);
	assert_string_equal(json_text(storage, "name"), "files");
}

/* ------------------------------------------------------------------ node/destination.c */

static struct json_object *look_at(struct pool *pool, const char *guests, const char *own)
{
	vmm_auto_json struct json_object *all = NULL, *volume = json_make("path:s", "/dev/vg0/other");
	vmm_auto_free char *text = str_format(guests, pool->name);
	assert_int_equal(json_parse(text, -1, "guests", &all, NULL), 0);
	struct json_object *destination = json_object_new_object();
	device_look(destination, volume, pool->link, all, own);
	return destination;
}

static void a_free_device_is_described_by_its_size_and_a_missing_one_not_at_all(void **state)
{
	struct pool *pool = device_of(state);
	vmm_auto_json struct json_object *destination = look_at(pool, "[]%.0s", "qemu-100"),
					 *none = json_object_new_object();
	assert_int_equal(json_number(destination, "device.size"), SIZE);
	assert_null(json_text(destination, "device.busy"));
	assert_false(json_true(destination, "device.same"));
	assert_false(json_true(destination, "device.other"));
	device_look(none, destination, "/dev/vg0/none", NULL, "qemu-100");
	assert_null(json_at(none, "device"));
}

static void a_disk_of_another_guest_is_found_under_any_name(void **state)
{
	struct pool *pool = device_of(state);
	static const char other[] =
		"[{\"kind\":\"qemu\",\"id\":\"7\",\"state\":\"shutoff\",\"volumes\":[\"/srv/a\",\"%s\"]}]";
	static const char running[] = "[{\"kind\":\"qemu\",\"id\":\"100\",\"state\":\"running\",\"volumes\":[\"%s\"]}]";
	static const char leftover[] =
		"[{\"kind\":\"qemu\",\"id\":\"100\",\"state\":\"shutoff\",\"volumes\":[\"%s\"]}]";
	vmm_auto_json struct json_object *theirs = look_at(pool, other, "qemu-100"),
					 *runs = look_at(pool, running, "qemu-100"),
					 *ours = look_at(pool, leftover, "qemu-100");
	assert_non_null(strstr(json_text(theirs, "device.busy"), "guest 7"));
	assert_non_null(strstr(json_text(runs, "device.busy"), "guest 100"));
	assert_null(json_text(ours, "device.busy"));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, enter, leave)
	const struct CMUnitTest tests[] = {
		test(a_device_is_filled_in_place_and_kept_by_remove),
		test(a_device_that_is_smaller_by_a_byte_is_refused_with_both_sizes),
		test(a_path_that_is_no_device_is_neither_read_nor_filled),
		test(a_mounted_device_is_not_filled_and_the_mount_point_is_named),
		test(a_device_that_we_fill_ourselves_is_not_in_use),
		test(writes_to_a_device_are_distinguished_from_reads_and_flushes),
		test(links_to_devices_belong_to_the_storage_of_their_directory),
		test(a_free_device_is_described_by_its_size_and_a_missing_one_not_at_all),
		test(a_disk_of_another_guest_is_found_under_any_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
