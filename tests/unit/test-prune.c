/* Which ended tasks are forgotten: those that are older than keep_tasks of vmmigrate.conf says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cluster/cluster-internal.h"
#include "engine/engine.h"

static const int64_t hour_us = INT64_C(3600) * 1000000;

static int make_state(void **state)
{
	char dir[] = "/tmp/vmm-prune-XXXXXX";
	*state = mkdtemp(dir) ? str_copy(dir) : NULL;
	return *state ? 0 : -1;
}

static int remove_state(void **state)
{
	int status = dir_remove(*state, NULL);
	free(*state);
	return status;
}

/* The directory of a task that began so long ago and has ended; belongs to the caller. */
static char *ended_task(const char *state, int64_t hours_ago)
{
	char *dir =
		str_format("%s/tasks/node1-1-%llx", state, (unsigned long long)(clock_now_us() - hours_ago * hour_us));
	vmm_auto_free char *request = str_format("%s/request", dir), *result = str_format("%s/result", dir);
	static const char settled[] = "{\"exit\":0,\"settled\":true}";
	assert_int_equal(dir_make(dir, 0700, NULL), 0);
	assert_int_equal(file_write(request, "{}", 2, 0600, NULL), 0);
	assert_int_equal(file_write(result, settled, strlen(settled), 0600, NULL), 0);
	return dir;
}

/* Does a task that began so long ago stay under that configuration? */
static bool is_kept(const char *state, const char *configuration, int64_t hours_ago)
{
	struct node_paths paths = {.state = state};
	vmm_auto_json struct json_object *config = NULL;
	vmm_auto_free char *task = ended_task(state, hours_ago);
	assert_int_equal(config_parse("test.conf", configuration, &config, NULL), 0);
	tasks_prune(&paths, config);
	return file_there(task);
}

static void tasks_are_kept_for_the_time_that_keep_tasks_says(void **state)
{
	static const char days[] = "[migration]\nkeep_tasks = 2d\n", hours[] = "[migration]\nkeep_tasks = 12h\n",
			  nothing[] = "[migration]\nkeep_tasks = 0s\n";
	assert_true(is_kept(*state, days, 24));
	assert_false(is_kept(*state, days, 3 * 24));
	assert_true(is_kept(*state, hours, 11));
	assert_false(is_kept(*state, hours, 13));
	assert_false(is_kept(*state, nothing, 1));
}

static void without_keep_tasks_they_are_kept_for_thirty_days(void **state)
{
	assert_true(is_kept(*state, "", 29 * 24));
	assert_false(is_kept(*state, "", 31 * 24));
}

static void a_task_that_has_not_ended_is_kept_however_old_it_is(void **state)
{
	struct node_paths paths = {.state = *state};
	vmm_auto_free char *task = ended_task(*state, 365 * 24), *result = str_format("%s/result", task);
	assert_int_equal(file_remove(result, NULL), 0);
	tasks_prune(&paths, NULL);
	assert_true(file_there(task));
}

#define WITH_STATE(test) cmocka_unit_test_setup_teardown(test, make_state, remove_state)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STATE(tasks_are_kept_for_the_time_that_keep_tasks_says),
		WITH_STATE(without_keep_tasks_they_are_kept_for_thirty_days),
		WITH_STATE(a_task_that_has_not_ended_is_kept_however_old_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
