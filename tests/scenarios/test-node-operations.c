/* What a node does when it is asked twice, or asked for what is not its own to do. */
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

struct asked {
	struct two_nodes *w;
	struct vmm_node *node;
	char *to, *temporary;
	struct json_object *args;
};

static struct asked ask_node2(void)
{
	struct asked a = {.w = two_nodes_make()};
	struct vmm_error *err = NULL;
	if (node_open_local(&a.w->machine[NODE2].paths, &a.node, &err) < 0)
		two_nodes_fail(a.w, "%s", err->message);
	a.to = str_format("%s/disks/" GUEST ".raw", a.w->machine[NODE2].root);
	a.temporary = storage_temporary(a.to, TASK);
	struct json_object *volume = json_make(
		"kind:s target:s action:s from:s to:s to_kind:s temporary:s track:s size:i allocated:i", "null", "vda",
		"copy", a.to, a.to, "null", a.temporary, "none", (int64_t)GUEST_BYTES, (int64_t)GUEST_BYTES);
	a.args = json_make("task:s guest:s volume:o replace:b", TASK, "null-" GUEST, volume, 0);
	return a;
}

/* LOCK's arguments as well. */
static void asked_to_lock(struct asked *a, const char *role)
{
	json_put(a->args, "role:s peer:s kind:s id:s name:s uuid:s generation:i runs:b autostart:b", role, "node1",
		 "null", GUEST, "web", "u", (int64_t)0, 1, 0);
}

static void asked_free(struct asked *a)
{
	json_object_put(a->args);
	free(a->to);
	free(a->temporary);
	node_close(a->node);
	two_nodes_free(a->w);
}

static void must(struct asked *a, enum node_op op)
{
	struct vmm_error *err = NULL;
	if (node_receive(a->node, op, a->args, NULL, &err) < 0)
		two_nodes_fail(a->w, "%s: %s", node_operations[op].name, err->message);
}

static void refuses(struct asked *a, enum node_op op, const char *code)
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

static void write_file(const char *path, const char *words)
{
	struct vmm_error *err = NULL;
	if (file_write(path, words, strlen(words), 0600, &err) < 0)
		fail_msg("%s", err->message);
}

static void making_a_volume_twice_makes_one_and_leaves_nothing_open(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	int before = open_files();
	must(&a, NODE_ALLOCATE);
	must(&a, NODE_ALLOCATE);
	assert_int_equal(open_files(), before);
	assert_true(file_there(a.temporary));
	asked_free(&a);
}

static void publishing_twice_is_publishing_once(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	must(&a, NODE_ALLOCATE);
	must(&a, NODE_PUBLISH);
	must(&a, NODE_PUBLISH);
	assert_true(file_there(a.to));
	assert_false(file_there(a.temporary));
	asked_free(&a);
}

static void a_strangers_file_is_not_taken_for_the_copy_that_is_gone(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	must(&a, NODE_ALLOCATE);
	unlink(a.temporary);
	write_file(a.to, "a stranger's");
	refuses(&a, NODE_PUBLISH, "volume-missing");
	asked_free(&a);
}

static void a_strangers_file_outlives_the_abort(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	must(&a, NODE_ALLOCATE);
	must(&a, NODE_PUBLISH);
	unlink(a.to);
	write_file(a.to, "a stranger's");
	must(&a, NODE_ABORT);
	assert_true(file_there(a.to));
	asked_free(&a);
}

static void a_volume_is_made_only_where_its_task_says(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	json_put(json_at(a.args, "volume"), "temporary:s", "/dev/shm/elsewhere");
	refuses(&a, NODE_ALLOCATE, "bad-path");
	asked_free(&a);
}

static void a_guest_that_another_owns_is_not_let_go(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	asked_to_lock(&a, "target");
	two_nodes_guest(a.w, NODE2, &variants[4], NULL);
	must(&a, NODE_LOCK);
	json_put(a.args, "held:b", 1);
	must(&a, NODE_START);
	refuses(&a, NODE_RELEASE, "wrong-state");
	asked_free(&a);
}

static void a_start_that_does_not_say_whether_it_is_held_is_refused(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	asked_to_lock(&a, "target");
	two_nodes_guest(a.w, NODE2, &variants[4], NULL);
	must(&a, NODE_LOCK);
	refuses(&a, NODE_START, "bad-operation");
	vmm_auto_free char *now = guest_state(a.w, NODE2);
	assert_string_equal(now, "shutoff");
	asked_free(&a);
}

static void a_commit_that_does_not_name_the_owner_is_refused(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	vmm_auto_record struct guest_record record = {0};
	asked_to_lock(&a, "target");
	must(&a, NODE_LOCK);
	json_put(a.args, "to:s", "committed");
	refuses(&a, NODE_ADVANCE, "bad-operation");
	assert_int_equal(record_read(a.w->machine[NODE2].paths.state, "null-" GUEST, &record, NULL), 0);
	assert_int_equal(record.state, RECORD_TARGET);
	asked_free(&a);
}

static void abandoned_outranks_a_commit_that_comes_late(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	asked_to_lock(&a, "target");
	must(&a, NODE_LOCK);
	json_put(a.args, "to:s", "abandoned");
	must(&a, NODE_ADVANCE);
	json_put(a.args, "to:s owner:s generation:i", "committed", "node2", (int64_t)1);
	refuses(&a, NODE_ADVANCE, "abandoned");
	asked_free(&a);
}

static void committed_outranks_an_abort_that_comes_late(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	asked_to_lock(&a, "target");
	must(&a, NODE_LOCK);
	must(&a, NODE_ALLOCATE);
	must(&a, NODE_PUBLISH);
	json_put(a.args, "to:s owner:s generation:i", "committed", "node2", (int64_t)1);
	must(&a, NODE_ADVANCE);
	refuses(&a, NODE_ABORT, "committed");
	assert_true(file_there(a.to));
	asked_free(&a);
}

static void nothing_is_given_up_that_is_not_another_nodes(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	asked_to_lock(&a, "source");
	json_put(a.args, "keep_seed:b", 0);
	json_append(a.args, "volumes", json_object_get(json_at(a.args, "volume")));
	two_nodes_guest(a.w, NODE2, &variants[4], NULL);
	write_file(a.to, "the guest's");
	refuses(&a, NODE_GIVE_UP, "wrong-state");
	must(&a, NODE_LOCK);
	refuses(&a, NODE_GIVE_UP, "wrong-state");
	json_put(a.args, "to:s owner:s generation:i", "committed", "node2", (int64_t)1);
	must(&a, NODE_ADVANCE);
	refuses(&a, NODE_GIVE_UP, "wrong-state");
	assert_true(file_there(a.to));
	asked_free(&a);
}

static void a_volume_that_lacks_a_field_is_not_made(void **state)
{
	(void)state;
	static const char *const needed[] = {"target", "action", "kind", "from", "to", "to_kind", "temporary", "track"};
	struct asked a = ask_node2();
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
	asked_free(&a);
}

/* The first volume of the list is whole: it is not removed either. */
static void nothing_is_given_up_where_one_volume_lacks_a_field(void **state)
{
	(void)state;
	struct asked a = ask_node2();
	asked_to_lock(&a, "source");
	json_put(a.args, "keep_seed:b", 0);
	two_nodes_guest(a.w, NODE2, &variants[4], NULL);
	write_file(a.to, "the guest's");
	must(&a, NODE_LOCK);
	json_put(a.args, "to:s owner:s generation:i", "committed", "node1", (int64_t)1);
	must(&a, NODE_ADVANCE);
	struct json_object *other = json_copy(json_at(a.args, "volume"));
	json_object_object_del(other, "from");
	json_append(a.args, "volumes", json_object_get(json_at(a.args, "volume")));
	json_append(a.args, "volumes", other);
	refuses(&a, NODE_GIVE_UP, "bad-plan");
	assert_true(file_there(a.to));
	vmm_auto_free char *now = guest_state(a.w, NODE2);
	assert_string_equal(now, "shutoff");
	json_put(other, "from:s", a.to);
	must(&a, NODE_GIVE_UP);
	assert_false(file_there(a.to));
	asked_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(making_a_volume_twice_makes_one_and_leaves_nothing_open),
		cmocka_unit_test(publishing_twice_is_publishing_once),
		cmocka_unit_test(a_strangers_file_is_not_taken_for_the_copy_that_is_gone),
		cmocka_unit_test(a_strangers_file_outlives_the_abort),
		cmocka_unit_test(a_volume_is_made_only_where_its_task_says),
		cmocka_unit_test(a_guest_that_another_owns_is_not_let_go),
		cmocka_unit_test(a_start_that_does_not_say_whether_it_is_held_is_refused),
		cmocka_unit_test(a_commit_that_does_not_name_the_owner_is_refused),
		cmocka_unit_test(abandoned_outranks_a_commit_that_comes_late),
		cmocka_unit_test(committed_outranks_an_abort_that_comes_late),
		cmocka_unit_test(nothing_is_given_up_that_is_not_another_nodes),
		cmocka_unit_test(a_volume_that_lacks_a_field_is_not_made),
		cmocka_unit_test(nothing_is_given_up_where_one_volume_lacks_a_field),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
