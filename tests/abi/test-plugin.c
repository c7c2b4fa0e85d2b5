/* The plug-in as a panel uses it: loaded with dlopen, with an engine that misbehaves in every way.
 * VMMIGRATE_PLUGIN is the plug-in, VMMIGRATE_ENGINE the fake engine. */
#include "vmmigrate-plugin.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static vmmigrate_plugin_fn *get;
static const struct vmmigrate_plugin *plugin;

static int load(void **state)
{
	void *so = dlopen(getenv("VMMIGRATE_PLUGIN"), RTLD_NOW | RTLD_LOCAL);

	(void)state;
	if (!so) {
		fprintf(stderr, "%s\n", dlerror());
		return -1;
	}
	get = (vmmigrate_plugin_fn *)dlsym(so, VMMIGRATE_PLUGIN_SYMBOL);
	plugin = get ? get(VMMIGRATE_API_VERSION) : NULL;
	return plugin ? 0 : -1;
}

/* Calls the verb, and expects that status and that piece in the reply. */
static void expect(const char *verb, const char *request, int status, const char *piece)
{
	char *reply = NULL;

	assert_int_equal(plugin->call(verb, request, &reply), status);
	assert_non_null(reply);
	if (!strstr(reply, piece))
		fail_msg("%s: %s is not in %s", verb, piece, reply);
	plugin->free(reply);
}

static int count_descriptors(bool without_cloexec_only)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(dir))
			continue;
		count += !without_cloexec_only || !(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	closedir(dir);
	return count;
}

static void table_says_size_and_version(void **state)
{
	(void)state;
	assert_int_equal(plugin->size, sizeof(struct vmmigrate_plugin));
	assert_int_equal(plugin->version, 1);
	assert_non_null(plugin->release);
	assert_ptr_equal(get(1), plugin);
	assert_null(get(VMMIGRATE_API_VERSION + 1));
	assert_null(get(0));
}

static void request_reaches_the_engine_and_its_reply_comes_back(void **state)
{
	(void)state;
	expect("echo", "{\"api\":1,\"a\":\"\\u00e4\"}", 0, "\"got\":{\"api\":1,\"a\":\"\\u00e4\"}");
	expect("echo", NULL, 0, "\"got\":{\"api\":1}");
	expect("refuses", NULL, 6, "\"code\":\"busy\"");
	expect("no-such-verb", NULL, 1, "not-supported");
}

static void bad_verbs_are_usage_errors_and_run_nothing(void **state)
{
	static const char *const bad[] = {"", "-x", "../echo", "echo;ls", "ECHO", "echo echo", NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect(bad[i], NULL, 2, "\"code\":\"usage\"");
}

static void engine_that_misbehaves_gives_an_error_reply(void **state)
{
	(void)state;
	expect("garbage", NULL, 1, "\"code\":\"engine-failed\"");
	expect("says-nothing", NULL, 1, "without a reply");
	expect("hangs-up", NULL, 1, "ended with status 5");
	expect("floods", NULL, 1, "more than 16 MiB");
	expect("dies", NULL, 1, "ended by signal 9 without a reply: last  [31m line");
	expect("contradicts", NULL, 6, "\"code\":\"busy\"");
}

static void missing_engine_is_named(void **state)
{
	char engine[4096];

	(void)state;
	snprintf(engine, sizeof(engine), "%s", getenv("VMMIGRATE_ENGINE"));
	setenv("VMMIGRATE_ENGINE", "/nowhere/engine", 1);
	expect("echo", NULL, 1, "\"code\":\"engine-missing\"");
	errno = 0;
	assert_null(plugin->follow("task", 0));
	assert_int_equal(errno, ENOENT);
	setenv("VMMIGRATE_ENGINE", "relative/engine", 1);
	expect("echo", NULL, 1, "\"code\":\"engine-missing\"");
	setenv("VMMIGRATE_ENGINE", "/etc/passwd", 1);
	expect("echo", NULL, 1, "\"code\":\"engine-missing\"");
	setenv("VMMIGRATE_ENGINE", engine, 1);
}

static void engine_that_does_not_read_neither_blocks_nor_raises_sigpipe(void **state)
{
	size_t length = 1 << 20;
	char *request = malloc(length + 1);

	(void)state;
	memset(request, ' ', length);
	request[length] = '\0';
	memcpy(request, "{}", 2);
	expect("deaf", request, 0, "\"api\":1");
	expect("echo", request, 0, "\"got\":{}");
	free(request);
}

static void process_left_behind_does_not_hold_the_call(void **state)
{
	time_t begin = time(NULL);

	(void)state;
	expect("lingers", NULL, 0, "\"lingers\":true");
	assert_true(time(NULL) - begin < 5);
}

static void engine_gets_nothing_of_the_host(void **state)
{
	sigset_t usr, old;
	int leak = open("/dev/null", O_RDONLY);

	(void)state;
	assert_true(leak >= 0);
	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr, &old);
	signal(SIGPIPE, SIG_IGN);
	setenv("LD_BIND_NOW", "1", 1);
	expect("surroundings", NULL, 0,
	       "\"descriptors\":0,\"variables\":2,\"directory\":\"/\",\"leader\":true,"
	       "\"SigBlk\":0,\"SigIgn\":0");
	unsetenv("LD_BIND_NOW");
	signal(SIGPIPE, SIG_DFL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(leak);
}

static void host_is_left_as_it_was(void **state)
{
	char before[4096], after[4096], *reply;
	struct sigaction was[32], is;
	sigset_t mask_was, mask_is;
	int descriptors = count_descriptors(false);
	struct vmmigrate_follow *follow;

	(void)state;
	setlocale(LC_ALL, "C");
	umask(0123);
	assert_non_null(getcwd(before, sizeof(before)));
	for (int i = 1; i < 32; i++)
		sigaction(i, NULL, &was[i]);
	pthread_sigmask(SIG_SETMASK, NULL, &mask_was);

	plugin->call("echo", NULL, &reply);
	plugin->free(reply);
	plugin->call("dies", NULL, &reply);
	plugin->free(reply);
	follow = plugin->follow("endless", 0);
	assert_non_null(follow);
	plugin->end_follow(follow);

	assert_int_equal(count_descriptors(false), descriptors);
	assert_int_equal(umask(0022), 0123);
	assert_non_null(getcwd(after, sizeof(after)));
	assert_string_equal(before, after);
	assert_string_equal(setlocale(LC_ALL, NULL), "C");
	pthread_sigmask(SIG_SETMASK, NULL, &mask_is);
	assert_memory_equal(&mask_was, &mask_is, sizeof(unsigned long));
	for (int i = 1; i < 32; i++) {
		sigaction(i, NULL, &is);
		assert_ptr_equal(is.sa_handler, was[i].sa_handler);
		assert_int_equal(is.sa_flags, was[i].sa_flags);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void nothing_is_printed(void **state)
{
	char path[] = "/tmp/vmmigrate-abi-XXXXXX", *reply;
	int file = mkstemp(path), out = dup(1), err = dup(2);
	struct stat st;

	(void)state;
	unlink(path);
	fflush(NULL);
	dup2(file, 1);
	dup2(file, 2);
	plugin->call("dies", NULL, &reply);
	plugin->free(reply);
	plugin->call("echo", NULL, &reply);
	plugin->free(reply);
	fflush(NULL);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	fstat(file, &st);
	close(file);
	assert_int_equal(st.st_size, 0);
}

static void host_may_have_closed_its_standard_descriptors(void **state)
{
	int saved[3], status;
	char *reply;

	(void)state;
	fflush(NULL);
	for (int fd = 0; fd < 3; fd++) {
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
		close(fd);
	}
	status = plugin->call("echo", "{\"closed\":1}", &reply);
	for (int fd = 0; fd < 3; fd++) {
		dup2(saved[fd], fd);
		close(saved[fd]);
	}
	assert_int_equal(status, 0);
	assert_non_null(strstr(reply, "{\"closed\":1}"));
	plugin->free(reply);
}

static void reap_all(int number)
{
	(void)number;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void status_is_right_even_where_the_host_reaps_all_children(void **state)
{
	(void)state;
	signal(SIGCHLD, SIG_IGN);
	expect("refuses", NULL, 6, "busy");
	expect("echo", NULL, 0, "got");
	expect("says-nothing", NULL, 1, "engine-failed");
	signal(SIGCHLD, reap_all);
	expect("refuses", NULL, 6, "busy");
	expect("echo", NULL, 0, "got");
	signal(SIGCHLD, SIG_DFL);
}

static void *call_many(void *argument)
{
	int number = *(int *)argument;
	bool *right = calloc(1, sizeof(*right));

	*right = true;
	for (int i = 0; i < 10; i++) {
		char request[64], *reply;

		snprintf(request, sizeof(request), "{\"thread\":%d,\"call\":%d}", number, i);
		if (plugin->call("echo", request, &reply) != 0 || !strstr(reply, request))
			*right = false;
		plugin->free(reply);
	}
	return right;
}

static void eight_threads_get_each_its_own_reply(void **state)
{
	pthread_t threads[8];
	int numbers[8], descriptors = count_descriptors(false);

	(void)state;
	for (int i = 0; i < 8; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, call_many, &numbers[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		bool *right;

		pthread_join(threads[i], (void **)&right);
		assert_true(*right);
		free(right);
	}
	assert_int_equal(count_descriptors(false), descriptors);
}

static bool readable(struct vmmigrate_follow *follow, int limit_ms)
{
	struct pollfd fd = {.fd = plugin->follow_fd(follow), .events = POLLIN};

	return poll(&fd, 1, limit_ms) == 1;
}

/* Each event makes the descriptor readable once: none is kept in a buffer that poll does not see. */
static void expect_event(struct vmmigrate_follow *follow, const char *piece)
{
	char *event;
	int rc;

	do {
		assert_true(readable(follow, 5000));
		rc = plugin->next_event(follow, &event);
	} while (rc == 0);
	assert_int_equal(rc, 1);
	if (!strstr(event, piece))
		fail_msg("%s is not in %s", piece, event);
	plugin->free(event);
}

static void events_come_whole_and_in_order_and_then_end(void **state)
{
	struct vmmigrate_follow *follow = plugin->follow("node1:42", 7);
	char *event;

	(void)state;
	assert_non_null(follow);
	expect_event(follow, "{\"seq\":1,\"request\":{\"api\":1,\"task\":\"node1:42\",\"from\":7}}");
	expect_event(follow, "{\"seq\":2}");
	assert_int_equal(plugin->next_event(follow, &event), 0); /* half a line is no event */
	assert_false(readable(follow, 0));
	expect_event(follow, "{\"seq\":3}");
	expect_event(follow, "{\"seq\":4}");
	assert_true(readable(follow, 5000));
	assert_int_equal(plugin->next_event(follow, &event), -1);
	assert_int_equal(plugin->next_event(follow, &event), -1);
	plugin->end_follow(follow);
}

static void descriptors_of_a_follow_are_close_on_exec(void **state)
{
	int inherited = count_descriptors(true);
	struct vmmigrate_follow *follow = plugin->follow("endless", 0);

	(void)state;
	assert_non_null(follow);
	assert_int_equal(count_descriptors(true), inherited);
	plugin->end_follow(follow);
	plugin->end_follow(NULL);
}

static void end_of_follow_leaves_no_process(void **state)
{
	struct vmmigrate_follow *follow = plugin->follow("endless", 0);

	(void)state;
	assert_non_null(follow);
	expect_event(follow, "{\"seq\":1,");
	plugin->end_follow(follow);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void task_names_that_would_break_json_are_refused(void **state)
{
	(void)state;
	errno = 0;
	assert_null(plugin->follow("a\",\"b", 0));
	assert_int_equal(errno, EINVAL);
	assert_null(plugin->follow("", 0));
	assert_null(plugin->follow(NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_says_size_and_version),
		cmocka_unit_test(request_reaches_the_engine_and_its_reply_comes_back),
		cmocka_unit_test(bad_verbs_are_usage_errors_and_run_nothing),
		cmocka_unit_test(engine_that_misbehaves_gives_an_error_reply),
		cmocka_unit_test(missing_engine_is_named),
		cmocka_unit_test(engine_that_does_not_read_neither_blocks_nor_raises_sigpipe),
		cmocka_unit_test(process_left_behind_does_not_hold_the_call),
		cmocka_unit_test(engine_gets_nothing_of_the_host),
		cmocka_unit_test(host_is_left_as_it_was),
		cmocka_unit_test(nothing_is_printed),
		cmocka_unit_test(host_may_have_closed_its_standard_descriptors),
		cmocka_unit_test(status_is_right_even_where_the_host_reaps_all_children),
		cmocka_unit_test(eight_threads_get_each_its_own_reply),
		cmocka_unit_test(events_come_whole_and_in_order_and_then_end),
		cmocka_unit_test(descriptors_of_a_follow_are_close_on_exec),
		cmocka_unit_test(end_of_follow_leaves_no_process),
		cmocka_unit_test(task_names_that_would_break_json_are_refused),
	};

	return cmocka_run_group_tests_name("plugin", tests, load, NULL);
}
