/* Rounds that are copied from snapshots, on a source whose storage runs out of room meanwhile (FAULTS 80): the
 * snapshots are given up before any guest there could be paused, and the migration goes on without them. Needs root,
 * for a filesystem in a file; without it the tests say that they are skipped.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "two-nodes.h"

enum { MIB = 1 << 20, IMAGE = 8 * MIB, FILESYSTEM = 400 * MIB };

/* About a second for a round, in which progress is reported some times. */
#define OPTIONS "{\"restart\":true,\"track\":\"reflink\",\"bwlimit\":8192}"

static const struct variant *const restart = &variants[2];

/* ------------------------------------------------------------------ two nodes with a large volume */

static void write_image(struct two_nodes *w)
{
	vmm_auto_free char *path = str_format("%s/disks/" GUEST ".raw", w->machine[NODE1].root);
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	vmm_auto_free char *bytes = mem_zero(IMAGE);
	uint64_t seed = 7;
	for (size_t i = 0; i < IMAGE; i += sizeof(seed)) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		memcpy(bytes + i, &seed, sizeof(seed));
	}
	if (fd < 0 || fd_write_all(fd, bytes, IMAGE) < 0)
		two_nodes_fail(w, "%s cannot be written", path);
}

/* Fills the filesystem until so many bytes are free. */
static void fill_up(struct two_nodes *w, uint64_t left)
{
	vmm_auto_free char *path = str_format("%s/filler", w->dir);
	struct statvfs fs;
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || statvfs(w->dir, &fs) < 0 ||
	    posix_fallocate(fd, 0, (off_t)((uint64_t)fs.f_bavail * fs.f_frsize - left)) != 0)
		two_nodes_fail(w, "the filesystem cannot be filled");
}

struct filling {
	struct two_nodes *w;
	const char *at; /* it is filled when node2 is asked this, or before: NULL */
	int frozen, sessions;
	bool had_snapshot, has_snapshot; /* when the guest was asked to stop; while it was filled */
};

static bool snapshot_is_there(struct two_nodes *w)
{
	vmm_auto_free char *command = str_format("ls -A %s/disks | grep -q '^.vmmigrate-snap'", w->machine[NODE1].root);
	const char *const argv[] = {"sh", "-c", command, NULL};
	struct run_result result;
	if (run_program(&(struct run){.argv = argv, .limit_ms = 30000}, &result, NULL) < 0)
		two_nodes_fail(w, "ls");
	bool there = result.status == 0;
	run_result_free(&result);
	return there;
}

static void fill_at(void *context, int node, const char *what, struct json_object *args)
{
	struct filling *f = context;
	(void)args;
	if (node == NODE1 && !strcmp(what, "freeze"))
		f->frozen++;
	if (node == NODE1 && !strcmp(what, "stop"))
		f->has_snapshot = snapshot_is_there(f->w);
	if (node == NODE2 && str_same(what, f->at) && f->sessions++ == 0) {
		f->had_snapshot = snapshot_is_there(f->w);
		fill_up(f->w, 18 * MIB); /* the floor of this filesystem is 20 MiB */
	}
}

static char *log_of(struct two_nodes *w, const char *task)
{
	vmm_auto_free char *path = str_format("%s/tasks/%s/log", w->machine[NODE1].state, task);
	char *text = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0)
		two_nodes_fail(w, "%s cannot be read", path);
	return text;
}

static void migrates(struct filling *f, uint64_t left, char **log)
{
	struct two_nodes *w = two_nodes_make();
	struct outcome outcome;
	f->w = w;
	w->watch = fill_at;
	w->watch_context = f;
	two_nodes_guest(w, NODE1, restart, NULL);
	write_image(w);
	if (left)
		fill_up(w, left);
	two_nodes_migrate(w, NODE1, OPTIONS, &outcome);
	if (outcome.exit != VMM_DONE)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	assert_int_equal(guest_node(w), NODE2);
	*log = log_of(w, outcome.task);
	if (snapshot_is_there(w))
		two_nodes_fail(w, "a snapshot was left behind");
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void with_room_there_is_a_snapshot_until_the_guest_is_off(void **state)
{
	(void)state;
	struct filling f = {0};
	vmm_auto_free char *log = NULL;
	migrates(&f, 0, &log);
	assert_true(f.frozen > 0);
	assert_true(f.has_snapshot);
	assert_null(strstr(log, "given up"));
}

static void snapshots_are_given_up_when_room_runs_out(void **state)
{
	(void)state;
	struct filling f = {.at = "session"};
	vmm_auto_free char *log = NULL;
	migrates(&f, 0, &log);
	assert_true(f.had_snapshot);
	assert_false(f.has_snapshot);
	assert_non_null(strstr(log, "snapshots are given up"));
}

/* 8 MiB of data: 2 MiB may be written while there is a snapshot, and 20 MiB are the floor. */
static void no_snapshot_is_made_without_room_for_all_of_them(void **state)
{
	(void)state;
	struct filling f = {0};
	vmm_auto_free char *log = NULL;
	migrates(&f, 21 * MIB, &log);
	assert_int_equal(f.frozen, 1);
	assert_false(f.has_snapshot);
	assert_non_null(strstr(log, "too little free space"));
}

/* ------------------------------------------------------------------ a filesystem in a file, in a mount namespace of
 * its own */

static bool run(const char *const argv[])
{
	struct run_result result;
	if (run_checked(&(struct run){.argv = argv, .limit_ms = 30000}, &result, NULL) < 0)
		return false;
	run_result_free(&result);
	return true;
}

static bool mount_on(const char *dir, const char *image)
{
	vmm_auto_close int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	const char *const mkfs[] = {"mkfs.xfs", "-q", image, NULL}, *const loop[] = {"mount", "-o", "loop",
										     image,   dir,  NULL};
	return fd >= 0 && ftruncate(fd, FILESYSTEM) == 0 && unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && run(mkfs) && run(loop);
}

static int tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_room_there_is_a_snapshot_until_the_guest_is_off),
		cmocka_unit_test(snapshots_are_given_up_when_room_runs_out),
		cmocka_unit_test(no_snapshot_is_made_without_room_for_all_of_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	enum { CANNOT = 77 };
	char dir[] = "/tmp/vmm-room-XXXXXX";
	int status = 0;
	if (!mkdtemp(dir))
		return 1;
	vmm_auto_free char *image = str_format("%s.img", dir);
	pid_t pid = fork();
	if (pid == 0) {
		int failed = CANNOT;
		if (mount_on(dir, image) && setenv("TMPDIR", dir, 1) == 0)
			failed = tests();
		umount2(dir, MNT_DETACH);
		_exit(failed);
	}
	waitpid(pid, &status, 0);
	rmdir(dir);
	unlink(image);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
		printf("skipped: this needs root, mkfs.xfs, and a loop mount\n");
		return 0;
	}
	return status != 0;
}
