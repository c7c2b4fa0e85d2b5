/* Seeds, which stay on a node so that the next copy sends less, and --targetstorage. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "storage/storage.h"
#include "two-nodes.h"

enum { BIG = 17 << 20 };

/* A target that gets the calls of a copy. */
struct target {
	struct two_nodes *w;
	struct vmm_node *node;
	char *to, *temporary, *seed, *sidecar;
	struct json_object *args;
};

static void begin_task(struct target *t, const char *task)
{
	free(t->temporary);
	json_object_put(t->args);
	t->temporary = storage_temporary(t->to, task);
	struct json_object *volume = json_make(
		"kind:s target:s action:s from:s to:s to_kind:s temporary:s track:s size:i allocated:i", "null", "vda",
		"copy", t->to, t->to, "null", t->temporary, "none", (int64_t)BIG, (int64_t)BIG);
	t->args = json_make("task:s guest:s volume:o replace:b", task, "null-" GUEST_UUID, volume, 0);
}

static struct target target_make(void)
{
	struct target t = {.w = two_nodes_make()};
	struct vmm_error *err = NULL;
	if (node_open_local(&t.w->machine[NODE2].paths, &t.node, &err) < 0)
		two_nodes_fail(t.w, "%s", err->message);
	t.to = str_format("%s/disks/" GUEST ".raw", t.w->machine[NODE2].root);
	t.seed = str_format("%s/disks/.vmmigrate-seed-" GUEST ".raw", t.w->machine[NODE2].root);
	t.sidecar = str_format("%s.json", t.seed);
	begin_task(&t, "node1-1-1");
	return t;
}

static void target_free(struct target *t)
{
	json_object_put(t->args);
	free(t->to);
	free(t->temporary);
	free(t->seed);
	free(t->sidecar);
	node_close(t->node);
	two_nodes_free(t->w);
}

static struct json_object *ask(struct target *t, enum node_op op, struct json_object *args)
{
	struct vmm_error *err = NULL;
	struct json_object *reply = NULL;
	if (node_receive(t->node, op, args, &reply, &err) < 0)
		two_nodes_fail(t->w, "%s: %s", node_operations[op].name, err->message);
	return reply;
}

static int64_t allocate(struct target *t)
{
	vmm_auto_json struct json_object *reply = ask(t, NODE_ALLOCATE, t->args);
	return json_number(reply, "seed");
}

static void fill(const char *path, size_t length, char with)
{
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	vmm_auto_free char *bytes = mem_zero(length);
	memset(bytes, with, length);
	if (fd < 0 || fd_write_all(fd, bytes, length) < 0)
		fail_msg("%s cannot be written", path);
}

static char first_of(const char *path)
{
	char first = 0;
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_all(fd, &first, 1) != 1)
		fail_msg("%s cannot be read", path);
	return first;
}

static struct json_object *seeds(struct target *t, const char *prune)
{
	vmm_auto_json struct json_object *args = json_make("prune:s", prune);
	return ask(t, NODE_SEEDS, args);
}

static void state_is(struct target *t, const char *state)
{
	vmm_auto_json struct json_object *found = seeds(t, NULL);
	assert_string_equal(json_text_or(found, "seeds.0.state", "none"), state);
}

static void abort_task(struct target *t)
{
	json_object_put(ask(t, NODE_ABORT, t->args));
}

static void an_interrupted_copy_is_resumed(void **state)
{
	(void)state;
	struct target t = target_make();
	assert_int_equal(allocate(&t), 0);
	fill(t.temporary, BIG, 'a');
	vmm_auto_json struct json_object *kept = ask(&t, NODE_ABORT, t.args);
	assert_true(json_number(kept, "kept.0.allocated") >= BIG);
	assert_false(file_there(t.temporary));
	state_is(&t, "partial");
	begin_task(&t, "node1-1-2");
	assert_true(allocate(&t) >= BIG);
	assert_int_equal(first_of(t.temporary), 'a');
	json_object_put(ask(&t, NODE_PUBLISH, t.args));
	assert_int_equal(first_of(t.to), 'a');
	assert_false(file_there(t.seed));
	assert_false(file_there(t.sidecar));
	target_free(&t);
}

static void a_copy_with_little_in_it_is_removed(void **state)
{
	(void)state;
	struct target t = target_make();
	allocate(&t);
	fill(t.temporary, 1 << 20, 'a');
	abort_task(&t);
	assert_false(file_there(t.temporary));
	assert_false(file_there(t.seed));
	assert_false(file_there(t.sidecar));
	target_free(&t);
}

static void a_published_copy_that_is_undone_is_kept_as_a_seed(void **state)
{
	(void)state;
	struct target t = target_make();
	allocate(&t);
	fill(t.temporary, BIG, 'a');
	json_object_put(ask(&t, NODE_PUBLISH, t.args));
	abort_task(&t);
	assert_false(file_there(t.to));
	state_is(&t, "partial");
	target_free(&t);
}

/* The source repeats ABORT if the reply was lost. */
static void aborting_twice_keeps_the_seed(void **state)
{
	(void)state;
	struct target t = target_make();
	allocate(&t);
	fill(t.temporary, BIG, 'a');
	abort_task(&t);
	abort_task(&t);
	state_is(&t, "partial");
	target_free(&t);
}

static void a_seed_that_was_not_written_to_is_put_back(void **state)
{
	(void)state;
	struct target t = target_make();
	allocate(&t);
	fill(t.temporary, BIG, 'a');
	abort_task(&t);
	begin_task(&t, "node1-1-2");
	allocate(&t);
	assert_false(file_there(t.seed));
	vmm_auto_json struct json_object *kept = ask(&t, NODE_ABORT, t.args);
	assert_int_equal(json_count(kept, "kept"), 0); /* it is the seed of another task */
	state_is(&t, "partial");
	assert_int_equal(first_of(t.seed), 'a');
	target_free(&t);
}

/* The sidecar of a seed that was moved away does not make another file of that name ours. */
static void a_foreign_file_is_copied_from_but_never_removed(void **state)
{
	(void)state;
	struct target t = target_make();
	allocate(&t);
	fill(t.temporary, BIG, 'a');
	abort_task(&t);
	vmm_auto_free char *away = str_format("%s/away", t.w->dir);
	assert_int_equal(rename(t.seed, away), 0);
	fill(t.seed, BIG, 'b');
	json_object_put(seeds(&t, "all"));
	state_is(&t, "foreign");
	begin_task(&t, "node1-1-2");
	assert_true(allocate(&t) >= BIG);
	abort_task(&t);
	state_is(&t, "foreign");
	assert_int_equal(first_of(t.seed), 'b');
	target_free(&t);
}

static void a_file_with_two_links_is_not_used_as_a_seed(void **state)
{
	(void)state;
	struct target t = target_make();
	vmm_auto_free char *other = str_format("%s/disks/other.raw", t.w->machine[NODE2].root);
	fill(other, BIG, 'b');
	assert_int_equal(link(other, t.seed), 0);
	assert_int_equal(allocate(&t), 0);
	fill(t.temporary, BIG, 'a');
	abort_task(&t);
	assert_int_equal(first_of(other), 'b');
	assert_int_equal(first_of(t.seed), 'b');
	assert_false(file_there(t.temporary));
	target_free(&t);
}

static void pruning_removes_what_is_old_or_all(void **state)
{
	(void)state;
	struct target t = target_make();
	allocate(&t);
	fill(t.temporary, BIG, 'a');
	abort_task(&t);
	vmm_auto_json struct json_object *young = seeds(&t, "old");
	assert_int_equal(json_count(young, "seeds"), 1);
	assert_true(json_number(young, "seeds.0.until_us") > clock_now_us());
	vmm_auto_free char *text = NULL;
	vmm_auto_json struct json_object *sidecar = NULL;
	assert_int_equal(file_read(t.sidecar, 1 << 16, &text, NULL, NULL), 0);
	assert_int_equal(json_parse(text, -1, "sidecar", &sidecar, NULL), 0);
	json_put(sidecar, "kept_us:i", clock_now_us() - INT64_C(8) * 86400 * 1000000);
	assert_int_equal(file_write(t.sidecar, json_line(sidecar), strlen(json_line(sidecar)), 0600, NULL), 0);
	vmm_auto_json struct json_object *old = seeds(&t, "old");
	assert_int_equal(json_count(old, "pruned"), 1);
	assert_false(file_there(t.seed));
	assert_false(file_there(t.sidecar));
	begin_task(&t, "node1-1-2");
	allocate(&t);
	fill(t.temporary, BIG, 'a');
	abort_task(&t);
	vmm_auto_json struct json_object *all = seeds(&t, "all");
	assert_int_equal(json_count(all, "pruned"), 1);
	assert_false(file_there(t.seed));
	target_free(&t);
}

static void the_sidecar_is_private_and_names_guest_task_and_destination(void **state)
{
	(void)state;
	struct target t = target_make();
	struct stat info;
	allocate(&t);
	fill(t.temporary, BIG, 'a');
	abort_task(&t);
	assert_int_equal(stat(t.sidecar, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0600);
	vmm_auto_json struct json_object *found = seeds(&t, NULL);
	assert_string_equal(json_text(found, "seeds.0.guest"), "null-" GUEST_UUID);
	assert_string_equal(json_text(found, "seeds.0.task"), "node1-1-1");
	assert_string_equal(json_text(found, "seeds.0.place"), t.to);
	target_free(&t);
}

/* ------------------------------------------------------------------ whole migrations */

static void configure(struct two_nodes *w, int node, const char *section)
{
	vmm_auto_free char *path = str_format("%s/vmmigrate.conf", w->machine[node].etc), *text = NULL;
	struct vmm_error *err = NULL;
	if (file_read(path, 1 << 16, &text, NULL, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
	vmm_auto_free char *more = str_format("%s\n%s", text, section);
	if (file_write(path, more, strlen(more), 0600, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

static void moves(struct two_nodes *w, int from, const char *options)
{
	struct outcome outcome;
	two_nodes_migrate(w, from, options, &outcome);
	if (outcome.exit != VMM_DONE || guest_node(w) == from)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	outcome_free(&outcome);
}

static char *seed_of(struct two_nodes *w, int node)
{
	return str_format("%s/disks/.vmmigrate-seed-" GUEST ".raw", w->machine[node].root);
}

static void a_kept_seed_is_used_on_the_way_back(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_make();
	vmm_auto_free char *seed = seed_of(w, NODE1);
	two_nodes_guest(w, NODE1, variant_named("offline, local volume"), NULL);
	guest_writes(w, NODE1, false, 1);
	moves(w, NODE1, "{\"keep_seed\":true}");
	assert_true(file_there(seed));
	guest_writes(w, NODE2, false, 2);
	moves(w, NODE2, "{}");
	two_nodes_check(w, variant_named("offline, local volume"), false, 2); /* no seed is left */
	two_nodes_free(w);
}

static void a_storage_keeps_seeds_if_its_section_says_so(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		bool kept;
	} rows[] = {{"yes", true}, {"30", true}, {"no", false}};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		struct two_nodes *w = two_nodes_make();
		vmm_auto_free char *seed = seed_of(w, NODE1);
		vmm_auto_free char *section = str_format(
			"[storage disks]\nkind = null\npath = %s/root/disks\nkeep_seed = %s\n", w->dir, rows[i].value);
		configure(w, NODE1, section);
		configure(w, NODE2, section);
		two_nodes_guest(w, NODE1, variant_named("offline, local volume"), NULL);
		guest_writes(w, NODE1, false, 1);
		moves(w, NODE1, "{}");
		if (file_there(seed) != rows[i].kept)
			fail_msg("keep_seed = %s: a seed is %s", rows[i].value, rows[i].kept ? "missing" : "there");
		two_nodes_free(w);
	}
}

static void volumes_go_to_the_storage_that_targetstorage_names(void **state)
{
	(void)state;
	static const char *const options[] = {"{\"targetstorage\":\"other\"}", "{\"targetstorage\":\"disks:other\"}"};
	for (size_t i = 0; i < VMM_COUNT(options); i++) {
		struct two_nodes *w = two_nodes_make();
		vmm_auto_free char *sections = str_format("[storage disks]\nkind = null\npath = %s/root/disks\n"
							  "[storage other]\nkind = null\npath = %s/root/other\n",
							  w->dir, w->dir);
		vmm_auto_free char *there = str_format("%s/other/" GUEST ".raw", w->machine[NODE2].root);
		vmm_auto_free char *usual = str_format("%s/disks/" GUEST ".raw", w->machine[NODE2].root);
		for (int node = 0; node < NODES; node++) {
			vmm_auto_free char *dir = str_format("%s/other", w->machine[node].root);
			configure(w, node, sections);
			assert_int_equal(mkdir(dir, 0700), 0);
		}
		two_nodes_guest(w, NODE1, variant_named("offline, local volume"), NULL);
		guest_writes(w, NODE1, false, 3);
		moves(w, NODE1, options[i]);
		assert_true(file_there(there));
		assert_false(file_there(usual));
		moves(w, NODE2, "{\"targetstorage\":\"other:disks\"}");
		assert_false(file_there(there));
		two_nodes_check(w, variant_named("offline, local volume"), false, 3);
		two_nodes_free(w);
	}
}

static void an_unknown_storage_is_refused_with_a_similar_name(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_make();
	struct outcome outcome;
	vmm_auto_free char *section = str_format("[storage disks]\nkind = null\npath = %s/root/disks\n", w->dir);
	for (int node = 0; node < NODES; node++)
		configure(w, node, section);
	two_nodes_guest(w, NODE1, variant_named("offline, local volume"), NULL);
	guest_writes(w, NODE1, false, 3);
	static const char *const options[] = {"{\"targetstorage\":\"disk\"}", "{\"targetstorage\":\"disk:disks\"}"};
	for (size_t i = 0; i < VMM_COUNT(options); i++) {
		two_nodes_migrate(w, NODE1, options[i], &outcome);
		assert_int_equal(outcome.exit, VMM_BLOCKED);
		assert_string_equal(outcome.code, "storage-missing");
		assert_non_null(strstr(outcome.message, "did you mean disks?"));
		outcome_free(&outcome);
	}
	two_nodes_check(w, variant_named("offline, local volume"), false, 3);
	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupted_copy_is_resumed),
		cmocka_unit_test(a_copy_with_little_in_it_is_removed),
		cmocka_unit_test(a_published_copy_that_is_undone_is_kept_as_a_seed),
		cmocka_unit_test(aborting_twice_keeps_the_seed),
		cmocka_unit_test(a_seed_that_was_not_written_to_is_put_back),
		cmocka_unit_test(a_foreign_file_is_copied_from_but_never_removed),
		cmocka_unit_test(a_file_with_two_links_is_not_used_as_a_seed),
		cmocka_unit_test(pruning_removes_what_is_old_or_all),
		cmocka_unit_test(the_sidecar_is_private_and_names_guest_task_and_destination),
		cmocka_unit_test(a_kept_seed_is_used_on_the_way_back),
		cmocka_unit_test(a_storage_keeps_seeds_if_its_section_says_so),
		cmocka_unit_test(volumes_go_to_the_storage_that_targetstorage_names),
		cmocka_unit_test(an_unknown_storage_is_refused_with_a_similar_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
