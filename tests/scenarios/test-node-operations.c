/* What a node does when an operation comes twice, or is about something that does not belong to its task. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "storage/storage.h"
#include "two-nodes.h"

#define TASK "node1-1-1"

struct request {
	struct two_nodes *w;
	struct vmm_node *node;
	char *to, *temporary;
	struct json_object *args;
};

static struct request request_to_node2(void)
{
	struct request a = {.w = two_nodes_make()};
	struct vmm_error *err = NULL;
	if (node_open_local(&a.w->machine[NODE2].paths, &a.node, &err) < 0)
		two_nodes_fail(a.w, "%s", err->message);
	a.to = str_format("%s/disks/" GUEST ".raw", a.w->machine[NODE2].root);
	a.temporary = storage_temporary(a.to, TASK);
	struct json_object *volume = json_make(
		"kind:s target:s action:s from:s to:s to_kind:s temporary:s track:s size:i allocated:i", "null", "vda",
		"copy", a.to, a.to, "null", a.temporary, "none", (int64_t)GUEST_BYTES, (int64_t)GUEST_BYTES);
	a.args = json_make("task:s guest:s volume:o replace:b", TASK, "null-" GUEST_UUID, volume, 0);
	return a;
}

/* Adds the arguments of LOCK. */
static void add_lock_arguments(struct request *a, const char *role)
{
	json_put(a->args, "role:s peer:s kind:s id:s name:s uuid:s generation:i runs:b autostart:b", role, "node1",
		 "null", GUEST, "web", "u", (int64_t)0, 1, 0);
}

static void request_free(struct request *a)
{
	json_object_put(a->args);
	free(a->to);
	free(a->temporary);
	node_close(a->node);
	two_nodes_free(a->w);
}

static void succeeds(struct request *a, enum node_op op)
{
	struct vmm_error *err = NULL;
	if (node_receive(a->node, op, a->args, NULL, &err) < 0)
		two_nodes_fail(a->w, "%s: %s", node_operations[op].name, err->message);
}

static void refuses(struct request *a, enum node_op op, const char *code)
{
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(node_receive(a->node, op, a->args, NULL, &err), -1);
	assert_string_equal(err->code, code);
}

static int open_files(void)
{
	DIR *files = opendir("/proc/self/fd");
	int count = 0;
	while (readdir(files))
		count++;
	closedir(files);
	return count;
}

static void write_file(const char *path, const char *text)
{
	struct vmm_error *err = NULL;
	if (file_write(path, text, strlen(text), 0600, &err) < 0)
		fail_msg("%s", err->message);
}

static void allocate_twice_makes_one_volume_and_leaves_no_file_open(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	int before = open_files();
	succeeds(&a, NODE_ALLOCATE);
	succeeds(&a, NODE_ALLOCATE);
	assert_int_equal(open_files(), before);
	assert_true(file_there(a.temporary));
	request_free(&a);
}

static void publish_twice_does_it_once(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	succeeds(&a, NODE_ALLOCATE);
	succeeds(&a, NODE_PUBLISH);
	succeeds(&a, NODE_PUBLISH);
	assert_true(file_there(a.to));
	assert_false(file_there(a.temporary));
	request_free(&a);
}

static void publish_does_not_take_another_file_for_the_missing_copy(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	succeeds(&a, NODE_ALLOCATE);
	unlink(a.temporary);
	write_file(a.to, "another's");
	refuses(&a, NODE_PUBLISH, "volume-missing");
	request_free(&a);
}

static void abort_keeps_a_file_that_the_task_has_not_made(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	succeeds(&a, NODE_ALLOCATE);
	succeeds(&a, NODE_PUBLISH);
	unlink(a.to);
	write_file(a.to, "another's");
	succeeds(&a, NODE_ABORT);
	assert_true(file_there(a.to));
	request_free(&a);
}

static void allocate_refuses_a_path_that_is_not_the_tasks(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	json_put(json_at(a.args, "volume"), "temporary:s", "/dev/shm/elsewhere");
	refuses(&a, NODE_ALLOCATE, "bad-path");
	request_free(&a);
}

static void release_is_refused_if_another_node_owns_the_guest(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	add_lock_arguments(&a, "target");
	two_nodes_guest(a.w, NODE2, &variants[4], NULL);
	succeeds(&a, NODE_LOCK);
	json_put(a.args, "held:b to:s", 1, "handover");
	refuses(&a, NODE_START, "wrong-state");
	succeeds(&a, NODE_ADVANCE);
	succeeds(&a, NODE_START);
	refuses(&a, NODE_RELEASE, "wrong-state");
	request_free(&a);
}

static void start_is_refused_if_it_does_not_say_whether_it_is_held(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	add_lock_arguments(&a, "target");
	two_nodes_guest(a.w, NODE2, &variants[4], NULL);
	succeeds(&a, NODE_LOCK);
	refuses(&a, NODE_START, "bad-operation");
	vmm_auto_free char *now = guest_state(a.w, NODE2);
	assert_string_equal(now, "shutoff");
	request_free(&a);
}

static void a_commit_is_refused_if_it_does_not_name_the_owner(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	vmm_auto_record struct guest_record record = {0};
	add_lock_arguments(&a, "target");
	succeeds(&a, NODE_LOCK);
	json_put(a.args, "to:s", "committed");
	refuses(&a, NODE_ADVANCE, "bad-operation");
	assert_int_equal(record_read(a.w->machine[NODE2].paths.state, "null-" GUEST_UUID, &record, NULL), 0);
	assert_int_equal(record.state, RECORD_TARGET);
	request_free(&a);
}

static void a_commit_after_abandoned_is_refused(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	add_lock_arguments(&a, "target");
	succeeds(&a, NODE_LOCK);
	json_put(a.args, "to:s", "abandoned");
	succeeds(&a, NODE_ADVANCE);
	json_put(a.args, "to:s owner:s generation:i", "committed", "node2", (int64_t)1);
	refuses(&a, NODE_ADVANCE, "abandoned");
	request_free(&a);
}

static void an_abort_after_committed_is_refused(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	add_lock_arguments(&a, "target");
	succeeds(&a, NODE_LOCK);
	succeeds(&a, NODE_ALLOCATE);
	succeeds(&a, NODE_PUBLISH);
	json_put(a.args, "to:s owner:s generation:i", "committed", "node2", (int64_t)1);
	succeeds(&a, NODE_ADVANCE);
	refuses(&a, NODE_ABORT, "committed");
	assert_true(file_there(a.to));
	request_free(&a);
}

static void give_up_is_refused_unless_another_node_owns_the_guest(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	add_lock_arguments(&a, "source");
	json_put(a.args, "keep_seed:b", 0);
	json_append(a.args, "volumes", json_object_get(json_at(a.args, "volume")));
	two_nodes_guest(a.w, NODE2, &variants[4], NULL);
	write_file(a.to, "the guest's");
	refuses(&a, NODE_GIVE_UP, "wrong-state");
	succeeds(&a, NODE_LOCK);
	refuses(&a, NODE_GIVE_UP, "wrong-state");
	json_put(a.args, "to:s owner:s generation:i", "committed", "node2", (int64_t)1);
	succeeds(&a, NODE_ADVANCE);
	refuses(&a, NODE_GIVE_UP, "wrong-state");
	assert_true(file_there(a.to));
	request_free(&a);
}

static void allocate_refuses_a_volume_that_lacks_a_field(void **state)
{
	(void)state;
	static const char *const needed[] = {"target", "action", "kind", "from", "to", "to_kind", "temporary", "track"};
	struct request a = request_to_node2();
	vmm_auto_json struct json_object *whole = json_copy(json_at(a.args, "volume"));
	for (size_t i = 0; i < VMM_COUNT(needed); i++) {
		json_put(a.args, "volume:o", json_copy(whole));
		json_object_object_del(json_at(a.args, "volume"), needed[i]);
		refuses(&a, NODE_ALLOCATE, "bad-plan");
		assert_false(file_there(a.temporary));
	}
	json_put(json_at(a.args, "volume"), "action:s", "keep");
	refuses(&a, NODE_ALLOCATE, "bad-plan");
	assert_false(file_there(a.temporary));
	request_free(&a);
}

/* The first volume of the list has all fields; it is not removed either. */
static void give_up_removes_nothing_if_one_volume_lacks_a_field(void **state)
{
	(void)state;
	struct request a = request_to_node2();
	add_lock_arguments(&a, "source");
	json_put(a.args, "keep_seed:b", 0);
	two_nodes_guest(a.w, NODE2, &variants[4], NULL);
	write_file(a.to, "the guest's");
	succeeds(&a, NODE_LOCK);
	json_put(a.args, "to:s owner:s generation:i", "committed", "node1", (int64_t)1);
	succeeds(&a, NODE_ADVANCE);
	struct json_object *other = json_copy(json_at(a.args, "volume"));
	json_object_object_del(other, "from");
	json_append(a.args, "volumes", json_object_get(json_at(a.args, "volume")));
	json_append(a.args, "volumes", other);
	refuses(&a, NODE_GIVE_UP, "bad-plan");
	assert_true(file_there(a.to));
	vmm_auto_free char *now = guest_state(a.w, NODE2);
	assert_string_equal(now, "shutoff");
	json_put(other, "from:s", a.to);
	succeeds(&a, NODE_GIVE_UP);
	assert_false(file_there(a.to));
	request_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocate_twice_makes_one_volume_and_leaves_no_file_open),
		cmocka_unit_test(publish_twice_does_it_once),
		cmocka_unit_test(publish_does_not_take_another_file_for_the_missing_copy),
		cmocka_unit_test(abort_keeps_a_file_that_the_task_has_not_made),
		cmocka_unit_test(allocate_refuses_a_path_that_is_not_the_tasks),
		cmocka_unit_test(release_is_refused_if_another_node_owns_the_guest),
		cmocka_unit_test(start_is_refused_if_it_does_not_say_whether_it_is_held),
		cmocka_unit_test(a_commit_is_refused_if_it_does_not_name_the_owner),
		cmocka_unit_test(a_commit_after_abandoned_is_refused),
		cmocka_unit_test(an_abort_after_committed_is_refused),
		cmocka_unit_test(give_up_is_refused_unless_another_node_owns_the_guest),
		cmocka_unit_test(allocate_refuses_a_volume_that_lacks_a_field),
		cmocka_unit_test(give_up_removes_nothing_if_one_volume_lacks_a_field),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
