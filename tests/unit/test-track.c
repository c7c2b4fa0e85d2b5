/* Changes are found by comparing physical addresses of blocks: on maps made by hand, and on real filesystems. Those
 * need root; without it the tests say that they are skipped. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "track/track.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* ------------------------------------------------------------------ maps made by hand, in blocks of 4 KiB */

/* "0-8@100 16-20@300!": blocks 0 to 7 of the file are at block 100 of the disk, and so on; '!': not comparable. */
static void map_of(const char *text, uint64_t blocks, struct track_map *map)
{
	*map = (struct track_map){.size = blocks * 4096};
	for (unsigned long long first, end, at; sscanf(text, "%llu-%llu@%llu", &first, &end, &at) == 3;) {
		size_t length = strcspn(text, " ");
		const struct fiemap_extent extent = {
			.fe_logical = first * 4096,
			.fe_length = (end - first) * 4096,
			.fe_physical = at * 4096,
			.fe_flags = text[length - 1] == '!' ? FIEMAP_EXTENT_UNWRITTEN : FIEMAP_EXTENT_SHARED,
		};
		assert_int_equal(track_map_add(map, &extent, NULL), 0);
		text += length + strspn(text + length, " ");
	}
}

static char *changed_text(const struct track_changes *changes)
{
	vmm_auto_text struct text text = {0};
	for (size_t i = 0; i < changes->count; i++) {
		const struct copy_range *range = &changes->ranges[i];
		text_add(&text, "%s%llu-%llu", i ? " " : "", (unsigned long long)range->offset / 4096,
			 (unsigned long long)(range->offset + range->length) / 4096);
	}
	return text_take(&text);
}

static void comparing_two_maps_reports_all_that_may_differ(void **state)
{
	(void)state;
	static const struct {
		const char *then, *now, *changed;
		uint64_t grown;
	} rows[] = {
		{"", "", "", 0},
		{"0-64@100", "0-64@100", "", 0},
		{"0-64@100", "0-64@101", "0-64", 0},
		/* rewritten: in the middle, at the beginning, at the end */
		{"0-64@100", "0-10@100 10-12@900 12-64@112", "10-12", 0},
		{"0-64@100", "0-1@900 1-64@101", "0-1", 0},
		{"0-64@100", "0-63@100 63-64@900", "63-64", 0},
		/* a hole became data, data became a hole */
		{"0-8@100 16-64@116", "0-64@100", "8-16", 0},
		{"0-64@100", "0-8@100 16-64@116", "8-16", 0},
		{"", "0-4@1", "0-4", 0},
		{"60-64@1", "", "60-64", 0},
		/* two blocks of the file have exchanged their addresses, or one has moved within the file */
		{"0-4@100 4-8@200", "0-4@200 4-8@100", "0-8", 0},
		{"0-8@100", "0-4@104 4-8@100", "0-8", 0},
		/* split differently, but the same */
		{"0-8@100 8-16@108 16-64@300", "0-16@100 16-40@300 40-64@324", "", 0},
		/* not comparable: changed, even if the addresses are the same */
		{"0-8@100!", "0-8@100!", "0-8", 0},
		{"0-8@100", "0-8@100!", "0-8", 0},
		{"0-8@100! 8-9@108", "0-8@100 8-9@108", "0-8", 0},
		/* two adjacent changes become one range */
		{"0-8@100 8-16@200", "0-8@300 8-16@400", "0-16", 0},
		/* it has grown, by data or by a hole */
		{"0-64@100", "0-70@100", "64-70", 6},
		{"0-64@100", "0-64@100", "64-70", 6},
		{"0-64@100", "0-63@100 63-70@900", "63-70", 6},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		struct track_map then, now;
		struct track_changes changes;
		map_of(rows[i].then, 64, &then);
		map_of(rows[i].now, 64 + rows[i].grown, &now);
		track_compare(&then, &now, &changes);
		vmm_auto_free char *text = changed_text(&changes);
		if (!str_same(text, rows[i].changed))
			fail_msg("row %zu: \"%s\", not \"%s\"", i, text, rows[i].changed);
		track_changes_free(&changes);
		track_map_free(&then);
		track_map_free(&now);
	}
}

static void an_inconsistent_map_is_doubt(void **state)
{
	(void)state;
	static const struct fiemap_extent bad[] = {
		{.fe_logical = 0, .fe_length = 4096, .fe_physical = 8192},    /* overlaps the one before */
		{.fe_logical = 8192, .fe_length = 0, .fe_physical = 8192},    /* empty */
		{.fe_logical = 8192, .fe_length = ~0ull, .fe_physical = 0},   /* its end overflows */
		{.fe_logical = 8192, .fe_length = 4096, .fe_physical = ~0ull} /* its physical end overflows */
	};
	for (size_t i = 0; i < VMM_COUNT(bad); i++) {
		struct track_map map;
		vmm_auto_error struct vmm_error *err = NULL;
		map_of("0-2@100", 64, &map);
		assert_int_equal(track_map_add(&map, &bad[i], &err), -1);
		assert_true(error_is(err, "track-doubt"));
		track_map_free(&map);
	}
}

static void a_map_of_too_many_extents_is_doubt(void **state)
{
	(void)state;
	struct track_map map = {0};
	vmm_auto_error struct vmm_error *err = NULL;
	uint64_t i;
	for (i = 0; i < 1 << 20; i++) {
		const struct fiemap_extent extent = {.fe_logical = i * 4096, .fe_length = 4096, .fe_physical = i << 20};
		if (track_map_add(&map, &extent, &err) < 0)
			break;
	}
	assert_true(error_is(err, "track-doubt"));
	assert_in_range(i, 100000, 1000000);
	track_map_free(&map);
}

static void without_a_tracker_the_whole_volume_has_changed(void **state)
{
	(void)state;
	struct rig rig;
	struct track_changes changes;
	struct track_snapshot none = {0};
	rig_begin(&rig, 5 * MIB + 3);
	assert_ptr_equal(track_named("none"), &track_reread);
	assert_ptr_equal(track_named("of another version"), &track_reread);
	assert_int_equal(track_reread.changed(&none, rig.source, &changes, NULL), 0);
	assert_int_equal(changes.count, 1);
	assert_int_equal(changes.ranges[0].offset, 0);
	assert_int_equal(changes.ranges[0].length, 5 * MIB + 3);
	track_changes_free(&changes);
	rig_end(&rig);
}

/* ------------------------------------------------------------------ real filesystems */

static const char *fs_dir; /* the mount point of the filesystem under test */

struct volume {
	char *path, *snapshot_path;
	int fd;
	struct track_snapshot snapshot;
};

static void volume_begin(struct volume *v)
{
	*v = (struct volume){.path = str_format("%s/vol", fs_dir), .snapshot_path = str_format("%s/snap", fs_dir)};
	v->fd = open(v->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(v->fd >= 0);
	assert_int_equal(ftruncate(v->fd, 64 * MIB), 0);
	rig_fill(v->fd, 0, 16 * MIB, 1);
	rig_fill(v->fd, 32 * MIB, MIB, 2);
}

static void make_snapshot(struct volume *v)
{
	struct vmm_error *err = NULL;
	struct stat info;
	if (track_reflink.begin(v->path, v->snapshot_path, 0, &err) < 0)
		fail_msg("%s", err->message);
	assert_int_equal(stat(v->snapshot_path, &info), 0);
	assert_int_equal(info.st_mode & 0777, 0600);
	assert_int_equal(track_open(v->snapshot_path, info.st_dev, info.st_ino, &v->snapshot, NULL), 0);
}

static void volume_end(struct volume *v)
{
	track_close(&v->snapshot);
	close(v->fd);
	unlink(v->snapshot_path);
	unlink(v->path);
	free(v->snapshot_path);
	free(v->path);
}

static void assert_changed(struct volume *v, struct track_changes *changes)
{
	struct vmm_error *err = NULL;
	if (track_reflink.changed(&v->snapshot, v->fd, changes, &err) < 0)
		fail_msg("%s", err->message);
}

/* Every byte that differs from the snapshot is in one of the reported ranges. */
static void assert_covers(struct volume *v, const struct track_changes *changes)
{
	enum { BLOCK = 4096 };
	char then[BLOCK], now[BLOCK];
	size_t range = 0;
	struct stat info;
	assert_int_equal(fstat(v->fd, &info), 0);
	for (uint64_t at = 0; at < (uint64_t)info.st_size; at += BLOCK) {
		memset(then, 0, BLOCK);
		memset(now, 0, BLOCK);
		assert_true(pread(v->snapshot.fd, then, BLOCK, (off_t)at) >= 0);
		assert_true(pread(v->fd, now, BLOCK, (off_t)at) >= 0);
		while (range < changes->count && changes->ranges[range].offset + changes->ranges[range].length <= at)
			range++;
		bool reported = range < changes->count && changes->ranges[range].offset <= at;
		if (!reported && memcmp(then, now, BLOCK))
			fail_msg("the block at %llu has changed, which was not reported", (unsigned long long)at);
	}
}

static void some_writes(struct volume *v)
{
	rig_fill(v->fd, 5 * MIB + 4096, 8192, 10);
	rig_fill(v->fd, 9 * MIB + 100, 1, 11);
	rig_fill(v->fd, 50 * MIB, 4096, 12); /* into a hole */
	assert_int_equal(fallocate(v->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 12 * MIB, MIB), 0);
	int direct = open(v->path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	void *block = NULL;
	assert_true(direct >= 0);
	assert_int_equal(posix_memalign(&block, 4096, 4096), 0);
	memset(block, 'd', 4096);
	assert_int_equal(pwrite(direct, block, 4096, 14 * MIB), 4096);
	free(block);
	close(direct);
}

static void writes_since_the_snapshot_are_reported(void **state)
{
	(void)state;
	struct volume v;
	struct track_changes changes;
	volume_begin(&v);
	make_snapshot(&v);
	assert_changed(&v, &changes);
	assert_int_equal(changes.bytes, 0);
	track_changes_free(&changes);
	some_writes(&v);
	assert_changed(&v, &changes);
	assert_covers(&v, &changes);
	assert_in_range(changes.bytes, MIB + 5 * 4096, 2 * MIB);
	track_changes_free(&changes);
	volume_end(&v);
}

static void a_third_reflink_of_the_volume_hides_no_change(void **state)
{
	(void)state;
	struct volume v;
	struct track_changes changes;
	volume_begin(&v);
	make_snapshot(&v);
	some_writes(&v);
	assert_int_equal(fsync(v.fd), 0);
	/* With this every block of the volume is shared again, the new ones too. */
	vmm_auto_free char *other = str_format("%s/other", fs_dir);
	int fd = open(other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ioctl(fd, FICLONE, v.fd), 0);
	close(fd);
	rig_fill(v.fd, 7 * MIB, 4096, 20);
	assert_changed(&v, &changes);
	assert_covers(&v, &changes);
	assert_in_range(changes.bytes, MIB + 6 * 4096, 2 * MIB);
	track_changes_free(&changes);
	unlink(other);
	volume_end(&v);
}

static void growth_is_reported_and_shrinking_is_doubt(void **state)
{
	(void)state;
	struct volume v;
	struct track_changes changes;
	vmm_auto_error struct vmm_error *err = NULL;
	volume_begin(&v);
	make_snapshot(&v);
	rig_fill(v.fd, 64 * MIB + 5000, 70000, 3);
	assert_changed(&v, &changes);
	assert_covers(&v, &changes);
	assert_int_equal(changes.bytes, 75000);
	track_changes_free(&changes);
	assert_int_equal(ftruncate(v.fd, 63 * MIB), 0);
	assert_int_equal(track_reflink.changed(&v.snapshot, v.fd, &changes, &err), -1);
	assert_true(error_is(err, "track-doubt"));
	volume_end(&v);
}

static void a_replaced_snapshot_is_doubt(void **state)
{
	(void)state;
	struct volume v;
	struct track_changes changes;
	struct track_snapshot stranger;
	vmm_auto_error struct vmm_error *gone = NULL, *other = NULL;
	volume_begin(&v);
	make_snapshot(&v);
	assert_int_equal(unlink(v.snapshot_path), 0);
	assert_int_equal(track_reflink.changed(&v.snapshot, v.fd, &changes, &gone), -1);
	assert_true(error_is(gone, "track-doubt"));
	assert_int_equal(track_reflink.begin(v.path, v.snapshot_path, 0, NULL), 0);
	assert_int_equal(track_open(v.snapshot_path, v.snapshot.device, v.snapshot.inode, &stranger, &other), -1);
	assert_true(error_is(other, "track-doubt"));
	volume_end(&v);
}

static void an_existing_file_is_not_overwritten_by_a_snapshot(void **state)
{
	(void)state;
	struct volume v;
	vmm_auto_error struct vmm_error *err = NULL;
	volume_begin(&v);
	int fd = open(v.snapshot_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "mine", 4), 4);
	assert_int_equal(track_reflink.begin(v.path, v.snapshot_path, 0, &err), -1);
	assert_true(error_is(err, "track-unable"));
	struct stat info;
	assert_int_equal(fstat(fd, &info), 0);
	assert_int_equal(info.st_size, 4);
	assert_int_equal(info.st_nlink, 1);
	close(fd);
	volume_end(&v);
}

/* Rounds as a migration makes them, with random writes in between: at the end the copy is identical to the volume. */
static void rounds_from_snapshots_end_in_an_identical_copy(void **state)
{
	(void)state;
	struct rig rig;
	struct volume v;
	uint64_t seed = (uint64_t)clock_now_us();
	struct copy_leaves leaves = {0};
	print_message("seed %llu\n", (unsigned long long)seed);
	volume_begin(&v);
	rig_begin(&rig, 64 * MIB);
	int volume = rig.source;
	make_snapshot(&v);
	rig.source = v.snapshot.fd;
	rig_push_well(&rig, &leaves);
	for (int round = 0; round < 12; round++) {
		struct track_changes changes;
		for (int i = 0; i < 20; i++)
			rig_fill(v.fd, rig_random(&seed) % (rig.size - 9000), rig_random(&seed) % 9000,
				 rig_random(&seed));
		if (round % 4 == 3) {
			rig.size += rig_random(&seed) % 300000;
			assert_int_equal(ftruncate(v.fd, (off_t)rig.size), 0);
		}
		assert_changed(&v, &changes);
		rig.changed = changes.ranges;
		rig.changed_count = changes.count;
		track_close(&v.snapshot);
		unlink(v.snapshot_path);
		make_snapshot(&v);
		rig.source = v.snapshot.fd;
		rig_push_well(&rig, &leaves);
		assert_true(rig_same(&rig));
		assert_in_range(rig.result.data, 0, 6 * MIB);
		assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
		track_changes_free(&changes);
	}
	assert_int_equal(copy_compare(v.fd, &leaves, NULL), 0);
	rig.source = volume;
	copy_leaves_free(&leaves);
	rig_end(&rig);
	volume_end(&v);
}

static void a_filesystem_without_reflinks_is_an_error_and_leaves_no_file(void **state)
{
	(void)state;
	char dir[] = "/dev/shm/vmm-track-XXXXXX"; /* tmpfs */
	vmm_auto_error struct vmm_error *err = NULL;
	assert_non_null(mkdtemp(dir));
	vmm_auto_free char *path = str_format("%s/vol", dir), *snapshot = str_format("%s/snap", dir);
	assert_int_equal(file_write(path, "data", 4, 0600, NULL), 0);
	assert_int_equal(track_reflink.begin(path, snapshot, 0, &err), -1);
	assert_true(error_is(err, "track-unable"));
	assert_false(file_there(snapshot));
	dir_remove(dir, NULL);
}

/* ------------------------------------------------------------------ a filesystem in a file, in a mount namespace of
 * its own */

static int run(const char *const argv[])
{
	struct run_result result;
	int done = run_checked(&(struct run){.argv = argv, .limit_ms = 30000}, &result, NULL);
	if (done == 0)
		run_result_free(&result);
	return done;
}

/* 0: mounted on fs_dir. The mount ends with this process, and the loop device with the mount. */
static int mount_fs(const char *image, const char *make)
{
	vmm_auto_close int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	const char *const mkfs[] = {make, "-q", image, NULL}, *const loop[] = {"mount", "-o",	"loop",
									       image,	fs_dir, NULL};
	if (fd < 0 || ftruncate(fd, 400 * MIB) < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	return run(mkfs) < 0 || run(loop) < 0 ? -1 : 0;
}

static int tests_on(const char *make)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_since_the_snapshot_are_reported),
		cmocka_unit_test(a_third_reflink_of_the_volume_hides_no_change),
		cmocka_unit_test(growth_is_reported_and_shrinking_is_doubt),
		cmocka_unit_test(a_replaced_snapshot_is_doubt),
		cmocka_unit_test(an_existing_file_is_not_overwritten_by_a_snapshot),
		cmocka_unit_test(rounds_from_snapshots_end_in_an_identical_copy),
	};
	return _cmocka_run_group_tests(make, tests, VMM_COUNT(tests), NULL, NULL);
}

/* Returns non-zero if a test failed. If the filesystem cannot be made or mounted here, says so and returns 0. */
static int try_fs(const char *make)
{
	enum { CANNOT = 77 };
	char dir[] = "/tmp/vmm-track-XXXXXX";
	int status = 0;
	if (!mkdtemp(dir))
		return 1;
	vmm_auto_free char *image = str_format("%s.img", dir);
	pid_t pid = fork();
	if (pid == 0) {
		fs_dir = dir;
		int failed = mount_fs(image, make) < 0 ? CANNOT : tests_on(make);
		umount2(dir, MNT_DETACH);
		_exit(failed);
	}
	waitpid(pid, &status, 0);
	rmdir(dir);
	unlink(image);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
		print_message("skipped: this needs root, %s, and a loop mount\n", make);
		return 0;
	}
	return status != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comparing_two_maps_reports_all_that_may_differ),
		cmocka_unit_test(an_inconsistent_map_is_doubt),
		cmocka_unit_test(a_map_of_too_many_extents_is_doubt),
		cmocka_unit_test(without_a_tracker_the_whole_volume_has_changed),
		cmocka_unit_test(a_filesystem_without_reflinks_is_an_error_and_leaves_no_file),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed + try_fs("mkfs.xfs") + try_fs("mkfs.btrfs");
}
