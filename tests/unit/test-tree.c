/* Trees by rsync: a push copies everything, trees that differ have different digests, and each failure is reported with
 * its cause. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/ioprio.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "storage/storage.h"
#include "tree/tree.h"

/* wrap: clock_gettime */

static bool clock_is_ahead;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int done = __real_clock_gettime(clock, now);
	now->tv_sec += clock_is_ahead && clock == CLOCK_REALTIME ? 3600 : 0;
	return done;
}

static char *make_dir(void)
{
	char *path = str_copy("/tmp/vmmigrate-tree-XXXXXX");
	assert_non_null(mkdtemp(path));
	return path;
}

static void remove_dir(char *path)
{
	dir_remove(path, NULL);
	free(path);
}

static void write_file(const char *root, const char *name, const char *text)
{
	vmm_auto_free char *path = str_format("%s/%s", root, name);
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

/* A tree with entries that copy programs easily get wrong. */
static char *make_tree(const char *above, const char *name)
{
	char *root = str_format("%s/%s", above, name);
	mkdir(root, 0751);
	write_file(root, "plain", "one");
	write_file(root, " -n --delete *?'\"\\", "two");
	write_file(root, "new\nline", "three");
	write_file(root, "not\xffutf8", "four");
	vmm_auto_free char *plain = str_format("%s/plain", root), *second = str_format("%s/second", root),
			   *dangling = str_format("%s/dangling", root), *fifo = str_format("%s/fifo", root),
			   *below = str_format("%s/below", root), *sparse = str_format("%s/sparse", root);
	assert_int_equal(link(plain, second), 0);
	assert_int_equal(symlink("nowhere at all", dangling), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mkdir(below, 01777), 0);
	write_file(root, "below/deeper", "five");
	if (geteuid() == 0) {
		vmm_auto_free char *device = str_format("%s/device", root);
		assert_int_equal(mknod(device, S_IFCHR | 0600, makedev(1, 3)), 0);
		assert_int_equal(chmod(device, 0646), 0);
	}
	write_file(root, "sparse", "six");
	assert_int_equal(truncate(sparse, 16 << 20), 0);
	return root;
}

static char *digest_by(const char *root, struct tree_digest_options options, struct tree_digest *digest)
{
	struct vmm_error *err = NULL;
	if (tree_digest(root, &options, digest, &err) < 0)
		fail_msg("%s", err->message);
	return str_copy(digest->hex);
}

static char *digest_of(const char *root)
{
	struct tree_digest digest;
	return digest_by(root, (struct tree_digest_options){.scope = TREE_ALL}, &digest);
}

static uint64_t seal_of(const char *root)
{
	struct tree_digest digest;
	free(digest_by(root, (struct tree_digest_options){.scope = TREE_SEAL}, &digest));
	return digest.seal;
}

/* Runs the receiver as a child of this process. `context` is the destination, or NULL: the connection is lost
 * immediately. */
static int carry(void *context, int fd, uint64_t *wire, struct vmm_error **err)
{
	*wire = 0;
	pid_t pid = context ? fork() : 0;
	if (!context) {
		close(fd);
		return error_set(err, VMM_FAILED, "link-lost", "the link is lost");
	}
	if (pid == 0) {
		dup2(fd, 0);
		dup2(fd, 1);
		close_range(3, ~0U, 0);
		umask(077); /* as the agent has */
		tree_receive(context, false);
		_exit(127);
	}
	close(fd);
	waitpid(pid, NULL, 0);
	return 0;
}

static char *pipe_program(void)
{
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	assert_true(length > 0);
	self[length] = 0;
	vmm_auto_free char *one = path_dir(self), *two = path_dir(one), *three = path_dir(two);
	return str_format("%s/tree-pipe", three);
}

static int push(const char *from, char *to, bool (*progress)(void *, const struct tree_progress *),
		struct vmm_error **err)
{
	vmm_auto_free char *pipe = pipe_program();
	struct tree_job job = {.from = from,
			       .pipe = pipe,
			       .carry = carry,
			       .carry_context = to,
			       .progress = progress,
			       .rate_limit = progress ? 1 << 20 : 0};
	return tree_push(&job, NULL, err);
}

static void a_push_makes_the_trees_equal_and_so_does_the_next(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *to = str_format("%s/to", dir);
	struct vmm_error *err = NULL;
	mkdir(to, 0700);
	write_file(to, "stray", "is to go");
	if (push(from, to, NULL, &err) < 0)
		fail_msg("%s", err->message);
	vmm_auto_free char *here = digest_of(from), *there = digest_of(to);
	assert_string_equal(here, there);
	struct stat info;
	vmm_auto_free char *sparse = str_format("%s/sparse", to);
	assert_int_equal(stat(sparse, &info), 0);
	assert_true(info.st_blocks < 1024);

	write_file(from, "below/deeper", "changed since");
	vmm_auto_free char *now = digest_of(from);
	assert_string_not_equal(now, there);
	assert_int_equal(push(from, to, NULL, &err), 0);
	vmm_auto_free char *then = digest_of(to);
	assert_string_equal(now, then);
	remove_dir(dir);
}

static void each_difference_changes_the_digest(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *root = make_tree(dir, "tree"), *was = digest_of(root);
	vmm_auto_free char *plain = str_format("%s/plain", root), *second = str_format("%s/second", root),
			   *deeper = str_format("%s/below/deeper", root);
	struct stat info;
	assert_int_equal(stat(deeper, &info), 0);

	chmod(deeper, 0600);
	vmm_auto_free char *mode = digest_of(root);
	assert_string_not_equal(was, mode);
	chmod(deeper, info.st_mode & 07777);
	utimensat(AT_FDCWD, deeper, (struct timespec[]){info.st_atim, {info.st_mtim.tv_sec, info.st_mtim.tv_nsec ^ 1}},
		  0);
	vmm_auto_free char *time = digest_of(root);
	assert_string_not_equal(was, time);

	/* The same size and time, but different content. */
	write_file(root, "below/deeper", "FIVE");
	utimensat(AT_FDCWD, deeper, (struct timespec[]){info.st_atim, info.st_mtim}, 0);
	vmm_auto_free char *content = digest_of(root);
	assert_string_not_equal(was, content);
	write_file(root, "below/deeper", "five");
	utimensat(AT_FDCWD, deeper, (struct timespec[]){info.st_atim, info.st_mtim}, 0);
	vmm_auto_free char *again = digest_of(root);
	assert_string_equal(was, again);

	/* Two hard links to one file are not the same as two files with the same content. */
	assert_int_equal(stat(plain, &info), 0);
	vmm_auto_free char *above = str_copy(root);
	struct stat top;
	assert_int_equal(stat(above, &top), 0);
	unlink(second);
	write_file(root, "second", "one");
	utimensat(AT_FDCWD, second, (struct timespec[]){info.st_atim, info.st_mtim}, 0);
	utimensat(AT_FDCWD, above, (struct timespec[]){top.st_atim, top.st_mtim}, 0);
	vmm_auto_free char *apart = digest_of(root);
	assert_string_not_equal(was, apart);
	remove_dir(dir);
}

/* As when a container was copied by `cp -al`. */
static void names_outside_of_the_tree_make_no_difference(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *to = str_format("%s/to", dir),
			   *deeper = str_format("%s/below/deeper", from), *outside = str_format("%s/outside", dir);
	struct vmm_error *err = NULL;
	assert_int_equal(link(deeper, outside), 0);
	mkdir(to, 0700);
	if (push(from, to, NULL, &err) < 0)
		fail_msg("%s", err->message);
	vmm_auto_free char *here = digest_of(from), *there = digest_of(to);
	assert_string_equal(here, there);
	remove_dir(dir);
}

static struct json_object *flags_of(const char *root)
{
	struct json_object *flags = NULL;
	struct tree_digest digest;
	free(digest_by(root, (struct tree_digest_options){.scope = TREE_NAMES, .flags = &flags}, &digest));
	return flags;
}

/* Skips the test if this filesystem, or this user, cannot set the flags. */
static void set_flags(const char *root, const char *name, unsigned flags)
{
	vmm_auto_free char *path = str_format("%s/%s", root, name);
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned missing = flags;
	if (inode_flags_add(fd, flags, &missing) < 0 || missing)
		skip();
}

static void flags_are_found_and_set_on_a_copy(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *to = str_format("%s/to", dir);
	struct vmm_error *err = NULL;
	const char *first;
	int64_t left;
	set_flags(from, "not\xffutf8", FS_IMMUTABLE_FL);
	set_flags(from, "below/deeper", FS_APPEND_FL | FS_NODUMP_FL);
	set_flags(from, "below", FS_IMMUTABLE_FL);
	set_flags(from, "", FS_NOATIME_FL | FS_IMMUTABLE_FL);
	vmm_auto_json struct json_object *flags = flags_of(from);
	assert_int_equal(json_count(flags, ""), 4);
	mkdir(to, 0700);
	if (push(from, to, NULL, &err) < 0 || tree_set_flags(to, flags, &left, &first, &err) < 0)
		fail_msg("%s", err->message);
	assert_int_equal(left, 0);
	vmm_auto_json struct json_object *arrived = flags_of(to);
	assert_string_equal(json_line(flags), json_line(arrived));
	assert_int_equal(tree_unprotect_all(from, NULL) + tree_unprotect_all(to, NULL), 0);
	remove_dir(dir);
}

static void flags_are_set_on_nothing_outside_of_the_tree(void **state)
{
	(void)state;
	static const char *const names[] = {"../secret", "link", "/etc/passwd", "below/../../secret"};
	char *dir = make_dir();
	vmm_auto_free char *root = make_tree(dir, "tree"), *link = str_format("%s/link", root),
			   *secret = str_format("%s/secret", dir);
	write_file(dir, "secret", "secret");
	assert_int_equal(symlink("../secret", link), 0);
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		vmm_auto_json struct json_object *files = json_object_new_array();
		vmm_auto_error struct vmm_error *err = NULL;
		const char *first;
		int64_t left;
		json_object_array_add(files, json_make("path:s flags:i", names[i], (int64_t)FS_NODUMP_FL));
		assert_int_equal(tree_set_flags(root, files, &left, &first, &err), -1);
	}
	vmm_auto_close int fd = open(secret, O_RDONLY | O_CLOEXEC);
	assert_int_equal(inode_flags(fd) & FS_NODUMP_FL, 0);
	remove_dir(dir);
}

static void a_digest_covers_the_scope_that_is_asked_for(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *root = make_tree(dir, "tree"), *deeper = str_format("%s/below/deeper", root);
	struct stat info;
	clock_sleep_ms(50);
	clock_is_ahead = true; /* of the filesystem's, which may be another machine's */
	int64_t stamp = tree_stamp(root);
	clock_is_ahead = false;
	assert_true(stamp > TREE_STAMP_UNKNOWN);
	assert_int_equal(stat(deeper, &info), 0);
	write_file(root, "below/deeper", "FIVE");
	utimensat(AT_FDCWD, deeper, (struct timespec[]){info.st_atim, info.st_mtim}, 0);

	vmm_auto_json struct json_object *list = NULL;
	struct tree_digest digest;
	struct tree_digest_options names = {.scope = TREE_NAMES, .since_ns = stamp, .changed = &list};
	vmm_auto_free char *named = digest_by(root, names, &digest);
	assert_int_equal(digest.read_bytes, 0);
	assert_int_equal(json_count(list, ""), 1);
	assert_string_equal(json_text(list, "0"), "below/deeper");
	struct tree_digest_options files = {.scope = TREE_FILES, .files = list};
	vmm_auto_free char *upper = digest_by(root, files, &digest);
	assert_int_equal(digest.read_bytes, 4);

	/* As if on the other node, which has the old content still: the digest of the names is the same, that of the
	 * files is not, and it depends on the key. */
	write_file(root, "below/deeper", "five");
	utimensat(AT_FDCWD, deeper, (struct timespec[]){info.st_atim, info.st_mtim}, 0);
	struct tree_digest_options keyed = {.scope = TREE_FILES, .files = list};
	vmm_auto_free char *key = random_hex(32),
			   *again = digest_by(root, (struct tree_digest_options){.scope = TREE_NAMES}, &digest),
			   *lower = digest_by(root, files, &digest);
	keyed.key = key;
	vmm_auto_free char *one = digest_by(root, keyed, &digest), *same = digest_by(root, keyed, &digest);
	assert_string_equal(named, again);
	assert_string_not_equal(upper, lower);
	assert_string_not_equal(lower, one);
	assert_string_equal(one, same);
	remove_dir(dir);
}

static void where_no_stamp_can_be_had_every_file_counts_as_changed(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *root = make_tree(dir, "tree"), *none = str_format("%s/none", dir);
	vmm_auto_json struct json_object *list = NULL;
	struct tree_digest digest;
	assert_int_equal(tree_stamp(none), TREE_STAMP_UNKNOWN);
	assert_true(tree_clock_was_set(-1));
	vmm_auto_close int clock = tree_clock_watch();
	assert_false(tree_clock_was_set(clock));
	struct tree_digest_options names = {.scope = TREE_NAMES, .since_ns = tree_stamp(none), .changed = &list};
	free(digest_by(root, names, &digest));
	assert_true(json_count(list, "") >= 6);
	remove_dir(dir);
}

/* Paths come from the other node; none may lead out of the tree. */
static void files_outside_of_the_tree_are_not_read(void **state)
{
	(void)state;
	static const char *const names[] = {"../secret", "/etc/passwd", "out", "out/passwd", "nowhere", ""};
	char *dir = make_dir();
	vmm_auto_free char *root = make_tree(dir, "tree"), *link = str_format("%s/out", root);
	write_file(dir, "secret", "secret");
	assert_int_equal(symlink("/etc", link), 0);
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		vmm_auto_json struct json_object *files = json_object_new_array();
		vmm_auto_error struct vmm_error *err = NULL;
		struct tree_digest digest;
		json_object_array_add(files, json_object_new_string(names[i]));
		struct tree_digest_options options = {.scope = TREE_FILES, .files = files};
		if (tree_digest(root, &options, &digest, &err) == 0)
			fail_msg("%s was read", names[i]);
	}
	remove_dir(dir);
}

/* Also if all times are set back, and if the file is replaced by another one with the same attributes. */
static void each_change_changes_the_seal(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *root = make_tree(dir, "tree"), *deeper = str_format("%s/below/deeper", root),
			   *copy = str_format("%s/below/copy", root), *below = str_format("%s/below", root);
	struct stat file, directory;
	uint64_t was = seal_of(root);
	assert_true(was == seal_of(root));
	assert_int_equal(stat(deeper, &file), 0);
	assert_int_equal(stat(below, &directory), 0);
	write_file(root, "below/deeper", "FIVE");
	utimensat(AT_FDCWD, deeper, (struct timespec[]){file.st_atim, file.st_mtim}, 0);
	uint64_t now = seal_of(root);
	assert_true(was != now);

	write_file(root, "below/copy", "FIVE");
	utimensat(AT_FDCWD, copy, (struct timespec[]){file.st_atim, file.st_mtim}, 0);
	assert_int_equal(rename(copy, deeper), 0);
	utimensat(AT_FDCWD, below, (struct timespec[]){directory.st_atim, directory.st_mtim}, 0);
	assert_true(now != seal_of(root));
	remove_dir(dir);
}

/* An earlier receiver may still be writing, so the next one waits for its lock. */
static void a_second_receiver_waits_for_the_first(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *to = str_format("%s/to", dir);
	struct vmm_error *err = NULL;
	mkdir(to, 0700);
	int fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	int64_t began_ms = clock_steady_ms();
	pid_t pid = fork();
	if (pid == 0) {
		clock_sleep_ms(300);
		_exit(0);
	}
	close(fd);
	if (push(from, to, NULL, &err) < 0)
		fail_msg("%s", err->message);
	assert_true(clock_steady_ms() - began_ms >= 290);
	waitpid(pid, NULL, 0);
	remove_dir(dir);
}

static void a_lost_connection_is_reported_as_the_cause(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from");
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(push(from, NULL, NULL, &err), -1);
	assert_string_equal(err->code, "link-lost");
	remove_dir(dir);
}

static void a_missing_destination_directory_fails(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *to = str_format("%s/no/such/dir", dir);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(push(from, to, NULL, &err), -1);
	assert_string_equal(err->code, "tree-failed");
	remove_dir(dir);
}

/* The receiver fails because its disk is full, and its message comes over the connection. */
static int carry_to_full_disk(void *context, int fd, uint64_t *wire, struct vmm_error **err)
{
	(void)context;
	*wire = 0;
	close(fd);
	return error_set(err, VMM_FAILED, "tree-failed", "rsync: write failed on \"x\": No space left on device (28)");
}

static void a_full_disk_on_the_target_is_reported_as_the_cause(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *pipe = pipe_program();
	vmm_auto_error struct vmm_error *err = NULL;
	struct tree_job job = {.from = from, .pipe = pipe, .carry = carry_to_full_disk};
	assert_int_equal(tree_push(&job, NULL, &err), -1);
	assert_string_equal(err->code, "no-space");
	remove_dir(dir);
}

/* The I/O class of the sending rsync: the child of ours that has that name. It is looked for while rsync waits for the
 * receiver. */
static int io_class;

static int carry_and_look(void *context, int fd, uint64_t *wire, struct vmm_error **err)
{
	pid_t rsync = 0;
	while (!rsync) {
		DIR *all = opendir("/proc");
		for (struct dirent *one; (one = readdir(all));) {
			vmm_auto_free char *path = str_format("/proc/%s/stat", one->d_name), *stat = NULL;
			int parent;
			if (file_read(path, 4096, &stat, NULL, NULL) == 0 && strstr(stat, "(rsync)") &&
			    sscanf(strrchr(stat, ')'), ") %*c %d", &parent) == 1 && parent == getpid())
				rsync = atoi(one->d_name);
		}
		closedir(all);
	}
	io_class = IOPRIO_PRIO_CLASS(syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, rsync));
	return carry(context, fd, wire, err);
}

static int io_class_of_push(bool running)
{
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *to = str_format("%s/to", dir), *pipe = pipe_program();
	struct vmm_error *err = NULL;
	struct tree_job job = {
		.from = from, .pipe = pipe, .running = running, .carry = carry_and_look, .carry_context = to};
	mkdir(to, 0700);
	if (tree_push(&job, NULL, &err) < 0)
		fail_msg("%s", err->message);
	remove_dir(dir);
	return io_class;
}

static void the_tree_of_a_running_guest_is_read_with_idle_io_priority(void **state)
{
	(void)state;
	assert_int_equal(io_class_of_push(true), IOPRIO_CLASS_IDLE);
	assert_int_not_equal(io_class_of_push(false), IOPRIO_CLASS_IDLE);
}

static bool stop_immediately(void *context, const struct tree_progress *progress)
{
	(void)context, (void)progress;
	return false;
}

static void a_push_can_be_cancelled(void **state)
{
	(void)state;
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *to = str_format("%s/to", dir);
	vmm_auto_error struct vmm_error *err = NULL;
	mkdir(to, 0700);
	/* Enough data, at a low enough rate, that the push still runs when the progress function is called. */
	vmm_auto_free char *noise = mem_zero((8 << 20) + 1);
	memset(noise, 'x', 8 << 20);
	write_file(from, "noise", noise);
	assert_int_equal(push(from, to, stop_immediately, &err), -1);
	assert_string_equal(err->code, "cancelled");
	remove_dir(dir);
}

/* ---------------------------------------------------------------- what rsync can reach
 *
 * FAULTS 83: a program in rsync's place that follows all links, as old ones do, and tries to reach what is outside of
 * the tree. It tells what it has reached: as the sender on its stderr, as the receiver in a file in its tree. SECRET
 * stands for a file outside of the tree, PORT for a port that listens. */
static const char greedy_rsync[] =
	"#!/bin/sh\n"
	"[ \"$1\" = --server ] && server=1 || server=\n"
	"for tree; do [ \"$server\" ] || case $tree in /*/) break;; esac; done\n"
	"tree=${tree%/}\n"
	"[ \"$server\" ] && exec 2>\"$tree/found\"\n"
	"reached() { echo \"failed: reached $*\" >&2; }\n"
	"[ -e \"$tree/plain\" ] || [ \"$server\" ] || reached nothing of its own tree\n"
	"[ \"$(readlink \"$tree/link\")\" = 'SECRET' ] || reached 'no link as such'\n"
	"for file in 'SECRET' \"$tree/link\" \"$tree/../secret\" \"$tree/above/secret\" \"$tree/inner\" /etc/passwd "
	"/proc/1/stat; "
	"do\n"
	"	{ read line <\"$file\"; } 2>&- && reached \"$file\"\n"
	"done\n"
	"for i in $(seq 20000); do\n"
	"	{ read line <\"$tree/swapped/secret\"; } 2>&- && [ \"$line\" = 'of the host' ] && reached "
	"swapped\n"
	"done\n"
	"for file in \"$tree/../made\" /made /usr/made; do\n"
	"	touch \"$file\" 2>&- && reached \"$file to write\"\n"
	"done\n"
	"[ \"$server\" ] || ! touch \"$tree/made\" 2>&- || reached 'the source to write'\n"
	"perl() { echo \"$1\" | command perl; }\n"
	"perl 'use IO::Socket::INET; exit !IO::Socket::INET->new(\"127.0.0.1:PORT\")' && reached 'the network'\n"
	"perl 'exit !chroot(\"/usr\")' && reached 'the capability to change its root'\n"
	"echo nothing else >&2\n"
	"exit 99\n";

/* Exchanges a directory and a link to a directory of the host until it is told to stop. */
struct swapping {
	char *one, *other;
	atomic_bool over;
	pthread_t thread;
};

static void *swap(void *context)
{
	struct swapping *swapping = context;
	while (!swapping->over)
		renameat2(AT_FDCWD, swapping->one, AT_FDCWD, swapping->other, RENAME_EXCHANGE);
	return NULL;
}

static void swapping_begin(struct swapping *swapping, const char *root, const char *above)
{
	*swapping = (struct swapping){.one = str_format("%s/swapped", root), .other = str_format("%s/other", root)};
	assert_int_equal(mkdir(swapping->one, 0755), 0);
	write_file(root, "swapped/secret", "of the guest\n");
	assert_int_equal(symlink(above, swapping->other), 0);
	assert_int_equal(pthread_create(&swapping->thread, NULL, swap, swapping), 0);
}

static void swapping_end(struct swapping *swapping)
{
	swapping->over = true;
	pthread_join(swapping->thread, NULL);
	free(swapping->one);
	free(swapping->other);
}

static char *replaced(char *text, const char *word, const char *with)
{
	vmm_auto_free char *held = text;
	struct text made = {0};
	const char *rest = text;
	for (const char *at; (at = strstr(rest, word)); rest = at + strlen(word)) {
		text_add_bytes(&made, rest, (size_t)(at - rest));
		text_add(&made, "%s", with);
	}
	text_add(&made, "%s", rest);
	return text_take(&made);
}

static void tempt(const char *root, const char *dir, const char *secret)
{
	vmm_auto_free char *link = str_format("%s/link", root), *above = str_format("%s/above", root),
			   *inner = str_format("%s/inner", root);
	write_file(root, "lines", "of the guest\n");
	assert_int_equal(symlink("lines", inner), 0);
	assert_int_equal(symlink(secret, link), 0);
	assert_int_equal(symlink(dir, above), 0);
}

static void rsync_reaches_nothing_but_the_tree(void **state)
{
	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	char *dir = make_dir();
	vmm_auto_free char *from = make_tree(dir, "from"), *to = make_tree(dir, "to"),
			   *secret = str_format("%s/secret", dir), *program = str_format("%s/rsync", dir),
			   *found = str_format("%s/found", to), *there = NULL;
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	vmm_auto_close int port = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(port, (struct sockaddr *)&at, size), 0);
	assert_int_equal(listen(port, 8), 0);
	assert_int_equal(getsockname(port, (struct sockaddr *)&at, &size), 0);
	vmm_auto_free char *number = str_format("%d", ntohs(at.sin_port)),
			   *script = replaced(replaced(str_copy(greedy_rsync), "SECRET", secret), "PORT", number);
	write_file(dir, "secret", "of the host\n");
	write_file(dir, "rsync", script);
	assert_int_equal(chmod(program, 0755), 0);
	assert_int_equal(mount(program, "/usr/bin/rsync", NULL, MS_BIND, NULL), 0);
	tempt(from, dir, secret);
	tempt(to, dir, secret);
	struct swapping here, other;
	swapping_begin(&here, from, dir);
	swapping_begin(&other, to, dir);
	vmm_auto_error struct vmm_error *err = NULL;
	int done = push(from, to, NULL, &err);
	swapping_end(&here);
	swapping_end(&other);
	umount("/usr/bin/rsync");
	assert_int_equal(done, -1);
	if (!strstr(err->message, "ended with 99: nothing else"))
		fail_msg("%s", err->message);
	assert_int_equal(file_read(found, 65536, &there, NULL, NULL), 0);
	assert_string_equal(there, "nothing else\n");
	remove_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_push_makes_the_trees_equal_and_so_does_the_next),
		cmocka_unit_test(each_difference_changes_the_digest),
		cmocka_unit_test(names_outside_of_the_tree_make_no_difference),
		cmocka_unit_test(flags_are_found_and_set_on_a_copy),
		cmocka_unit_test(flags_are_set_on_nothing_outside_of_the_tree),
		cmocka_unit_test(a_digest_covers_the_scope_that_is_asked_for),
		cmocka_unit_test(where_no_stamp_can_be_had_every_file_counts_as_changed),
		cmocka_unit_test(files_outside_of_the_tree_are_not_read),
		cmocka_unit_test(each_change_changes_the_seal),
		cmocka_unit_test(a_second_receiver_waits_for_the_first),
		cmocka_unit_test(a_lost_connection_is_reported_as_the_cause),
		cmocka_unit_test(a_full_disk_on_the_target_is_reported_as_the_cause),
		cmocka_unit_test(a_missing_destination_directory_fails),
		cmocka_unit_test(the_tree_of_a_running_guest_is_read_with_idle_io_priority),
		cmocka_unit_test(a_push_can_be_cancelled),
		cmocka_unit_test(rsync_reaches_nothing_but_the_tree),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
