/* base: errors, JSON by path, names and paths that are refused, programs run by argv, durable files. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/base.h"

static void error_context_is_prepended_and_json_carries_all(void **state)
{
	(void)state;
	vmm_auto_error struct vmm_error *err = NULL, *back = NULL;
	assert_int_equal(error_set(&err, VMM_BLOCKED, "no-space", "need %d", 3), -1);
	error_hint(&err, "free some");
	error_context(&err, "copy vda");
	vmm_auto_json struct json_object *json = error_to_json(err);
	error_from_json(&back, json);
	assert_string_equal(back->message, "copy vda: need 3");
	assert_string_equal(back->hint, "free some");
	assert_string_equal(back->code, "no-space");
	assert_int_equal(back->exit, VMM_BLOCKED);
}

static void an_error_of_a_node_names_it_once(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"the reply is not JSON", "node2: the reply is not JSON"},
		{"node2: the ssh connection is lost", "node2: the ssh connection is lost"},
		{"node node2 has no vmmigrate agent", "node node2 has no vmmigrate agent"},
		{"node2 refuses", "node2 refuses"},
		{"node20: the ssh connection is lost", "node2: node20: the ssh connection is lost"},
		{"node node1 has no vmmigrate agent", "node2: node node1 has no vmmigrate agent"},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_error struct vmm_error *err = NULL;
		error_set(&err, VMM_FAILED, "x", "%s", rows[i][0]);
		assert_int_equal(error_on_node(&err, "node2"), -1);
		assert_int_equal(error_on_node(&err, "node2"), -1);
		assert_string_equal(err->message, rows[i][1]);
	}
	assert_int_equal(error_on_node(NULL, "node2"), -1);
}

static void json_is_built_and_read_by_path(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *o =
		json_make("a:o n:i yes:b none:s", json_make("b:s", "x"), (int64_t)1 << 40, 1, NULL);
	json_append(o, "list", json_make("k:s", "one"));
	json_append(o, "list", json_make("k:s", "two"));
	assert_string_equal(json_text(o, "a.b"), "x");
	assert_string_equal(json_text(o, "list.1.k"), "two");
	assert_null(json_text(o, "list.2.k"));
	assert_null(json_text(o, "none"));
	assert_true(json_true(o, "yes"));
	assert_true(json_number(o, "n") == (int64_t)1 << 40);
	size_t seen = 0;
	json_each (item, o, "list") {
		assert_non_null(json_text(item, "k"));
		seen++;
	}
	assert_int_equal(seen, 2);
	json_each (item, o, "list") {
		seen++;
		if (str_same(json_text(item, "k"), "two"))
			continue;
		break;
	}
	assert_int_equal(seen, 3);
}

static void a_key_with_dots_is_found_as_a_member_and_not_by_path(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *o =
		json_make("a:o none:s list:o", json_make("b:s", "path"), NULL, json_object_new_array());
	json_object_object_add(o, "a.b", json_object_new_string("member"));
	assert_string_equal(json_text(json_member(o, "a.b"), ""), "member");
	assert_string_equal(json_text(o, "a.b"), "path");
	assert_null(json_member(o, "none"));
	assert_null(json_member(o, "absent"));
	assert_null(json_member(o, NULL));
	assert_null(json_member(NULL, "a"));
	assert_null(json_member(json_at(o, "list"), "0"));
}

static void json_that_is_malformed_or_too_deep_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "{", "nul", "{\"a\":}",
					  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"};
	for (size_t i = 0; i < VMM_COUNT(bad); i++) {
		vmm_auto_error struct vmm_error *err = NULL;
		vmm_auto_json struct json_object *o = NULL;
		assert_int_equal(json_parse(bad[i], -1, "request", &o, &err), -1);
		assert_true(error_is(err, "malformed"));
	}
}

static void names_and_paths_that_could_harm_are_refused(void **state)
{
	(void)state;
	static const char *const names[] = {"", ".", "..", "a/b", "-rf", "a\nb", "\x1b[2J"};
	static const char *const paths[] = {"", "a", "/a/../b", "/..", "/a/./b", "/a\nb"};
	for (size_t i = 0; i < VMM_COUNT(names); i++)
		assert_int_equal(name_check(names[i], "guest", NULL), -1);
	for (size_t i = 0; i < VMM_COUNT(paths); i++)
		assert_int_equal(path_check(paths[i], "volume", NULL), -1);
	assert_int_equal(name_check("vm 100 \"ü\" '..x", "guest", NULL), 0);
	assert_int_equal(path_check("/var/lib/a b/..c/ü.raw", "volume", NULL), 0);
}

static void programs_are_run_by_argv_with_input_output_status_and_limit(void **state)
{
	(void)state;
	struct run_result r;
	const char *const cat[] = {"cat", NULL};
	assert_int_equal(run_program(&(struct run){.argv = cat, .input = "hello"}, &r, NULL), 0);
	assert_string_equal(r.out, "hello");
	run_result_free(&r);
	const char *const quoting[] = {"printf", "%s", "$(id); 'x'", NULL};
	assert_int_equal(run_checked(&(struct run){.argv = quoting}, &r, NULL), 0);
	assert_string_equal(r.out, "$(id); 'x'");
	run_result_free(&r);
	const char *const slow[] = {"sleep", "60", NULL};
	vmm_auto_error struct vmm_error *err = NULL;
	int64_t began = clock_steady_ms();
	assert_int_equal(run_checked(&(struct run){.argv = slow, .limit_ms = 100}, &r, &err), -1);
	assert_true(error_is(err, "timed-out"));
	assert_true(clock_steady_ms() - began < 10000);
	error_clear(&err);
	const char *const none[] = {"/does/not/exist", NULL};
	assert_int_equal(run_checked(&(struct run){.argv = none}, &r, &err), -1);
	assert_non_null(strstr(err->message, "No such file"));
}

static int run_script(const char *script, const char *input, int limit_ms, struct run_result *r)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	int64_t began = clock_steady_ms();
	assert_int_equal(run_program(&(struct run){.argv = argv, .input = input, .limit_ms = limit_ms}, r, NULL), 0);
	return (int)(clock_steady_ms() - began);
}

/* FAULTS 81 */
static void a_program_is_ended_at_its_limit_whatever_it_does_with_its_outputs(void **state)
{
	(void)state;
	static const char *const ways[] = {"exec >&- 2>&-; sleep 60", "exec >/dev/null 2>&1; sleep 60",
					   "exec >&- 2>&- <&-; sleep 60 & wait", "exec >/dev/null; sleep 60; true",
					   "trap '' TERM HUP INT; exec >/dev/null 2>&1; sleep 60; sleep 60"};
	for (size_t i = 0; i < VMM_COUNT(ways); i++) {
		struct run_result r;
		vmm_auto_free char *script = str_format("echo $$; %s", ways[i]);
		assert_true(run_script(script, "unread", 300, &r) < 10000);
		assert_true(r.timed_out);
		assert_int_equal(r.status, 128 + SIGKILL);
		/* Its whole process group is gone; it may take a moment until init has reaped the last of it. */
		for (int tries = 0; kill(-atoi(r.out), 0) == 0 && tries < 100; tries++)
			clock_sleep_ms(50);
		assert_int_equal(kill(-atoi(r.out), 0), -1);
		run_result_free(&r);
	}
}

static void a_program_that_has_closed_its_outputs_still_gets_all_its_input(void **state)
{
	(void)state;
	enum { LENGTH = 300000 };
	char path[] = "/tmp/vmm-base-XXXXXX";
	vmm_auto_close int fd = mkstemp(path);
	vmm_auto_free char *input = mem_zero(LENGTH + 1),
			   *script = str_format("exec >&- 2>&-; sleep 0.2; cat >%s", path), *there = NULL;
	struct run_result r;
	memset(input, 'x', LENGTH);
	run_script(script, input, 10000, &r);
	assert_int_equal(r.status, 0);
	assert_false(r.timed_out);
	assert_int_equal(file_read(path, LENGTH + 1, &there, NULL, NULL), 0);
	assert_string_equal(there, input);
	run_result_free(&r);
	unlink(path);
}

static void what_a_program_leaves_in_the_background_is_not_waited_for(void **state)
{
	(void)state;
	struct run_result r;
	/* More than a pipe holds, so that some of it is read after the program's end. */
	assert_true(run_script("sleep 30 & echo $!; seq 20000; exit 3", NULL, 20000, &r) < 10000);
	assert_int_equal(r.status, 3);
	assert_false(r.timed_out);
	assert_true(str_ends(r.out, "\n20000\n"));
	kill(atoi(r.out), SIGKILL);
	run_result_free(&r);
}

static void files_are_written_whole_and_never_renamed_over_another(void **state)
{
	(void)state;
	char dir[] = "/tmp/vmm-base-XXXXXX";
	assert_non_null(mkdtemp(dir));
	vmm_auto_free char *a = str_format("%s/a", dir), *b = str_format("%s/b", dir),
			   *deep = str_format("%s/x/y/z", dir);
	assert_int_equal(file_write(a, "one", 3, 0600, NULL), 0);
	assert_int_equal(file_write(a, "three", 5, 0600, NULL), 0);
	assert_int_equal(file_write(b, "b", 1, 0600, NULL), 0);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(file_rename_new(a, b, &err), -1);
	assert_true(error_is(err, "exists"));
	vmm_auto_free char *data = NULL;
	size_t length;
	assert_int_equal(file_read(a, 100, &data, &length, NULL), 0);
	assert_string_equal(data, "three");
	assert_int_equal(file_read(a, 4, &data, &length, NULL), -1);
	assert_int_equal(dir_make(deep, 0755, NULL), 0);
	assert_int_equal(dir_remove(dir, NULL), 0);
	assert_false(file_there(dir));
}

static ino_t inode(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && st.st_blocks ? st.st_ino : 0;
}

static void assert_holds(const char *path, const char *text)
{
	vmm_auto_free char *data = NULL;
	assert_int_equal(file_read(path, 100, &data, NULL, NULL), 0);
	assert_string_equal(data, text);
}

static void a_file_with_a_reserve_is_written_without_new_blocks(void **state)
{
	(void)state;
	char dir[] = "/tmp/vmm-base-XXXXXX";
	assert_non_null(mkdtemp(dir));
	vmm_auto_free char *path = str_format("%s/a", dir), *reserve = str_format("%s/.a.room", dir);
	/* A new file uses up the reserve. */
	assert_int_equal(file_reserve(path, 4096, NULL), 0);
	ino_t reserved = inode(reserve);
	assert_int_not_equal(reserved, 0);
	assert_int_equal(file_write(path, "a longer one", 12, 0600, NULL), 0);
	assert_true(inode(path) == reserved && !file_there(reserve));
	assert_holds(path, "a longer one");
	/* If the file was there before, its old blocks become the next reserve, each time. */
	assert_int_equal(file_reserve(path, 4096, NULL), 0);
	reserved = inode(reserve);
	assert_int_equal(file_write(path, "one", 3, 0600, NULL), 0);
	assert_true(inode(path) == reserved && inode(reserve) != 0);
	assert_int_equal(file_write(path, "two", 3, 0600, NULL), 0);
	assert_true(inode(reserve) == reserved);
	assert_holds(path, "two");
	assert_int_equal(file_unreserve(path, NULL), 0);
	assert_int_equal(file_unreserve(path, NULL), 0);
	assert_false(file_there(reserve));
	assert_int_equal(file_write(path, "three", 5, 0600, NULL), 0);
	assert_holds(path, "three");
	assert_int_equal(dir_remove(dir, NULL), 0);
}

static void a_lock_is_held_by_one(void **state)
{
	(void)state;
	vmm_auto_close int first = file_lock("/tmp/vmm-base-lock", 0, NULL);
	assert_true(first >= 0);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(file_lock("/tmp/vmm-base-lock", 30, &err), -1);
	assert_true(error_is(err, "locked"));
	unlink("/tmp/vmm-base-lock");
}

static void crc32c_gives_the_value_of_rfc_3720(void **state)
{
	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(error_context_is_prepended_and_json_carries_all),
		cmocka_unit_test(an_error_of_a_node_names_it_once),
		cmocka_unit_test(json_is_built_and_read_by_path),
		cmocka_unit_test(a_key_with_dots_is_found_as_a_member_and_not_by_path),
		cmocka_unit_test(json_that_is_malformed_or_too_deep_is_refused),
		cmocka_unit_test(names_and_paths_that_could_harm_are_refused),
		cmocka_unit_test(programs_are_run_by_argv_with_input_output_status_and_limit),
		cmocka_unit_test(a_program_is_ended_at_its_limit_whatever_it_does_with_its_outputs),
		cmocka_unit_test(a_program_that_has_closed_its_outputs_still_gets_all_its_input),
		cmocka_unit_test(what_a_program_leaves_in_the_background_is_not_waited_for),
		cmocka_unit_test(files_are_written_whole_and_never_renamed_over_another),
		cmocka_unit_test(a_file_with_a_reserve_is_written_without_new_blocks),
		cmocka_unit_test(a_lock_is_held_by_one),
		cmocka_unit_test(crc32c_gives_the_value_of_rfc_3720),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
