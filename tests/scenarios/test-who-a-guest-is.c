/* FAULTS 79. A guest is its UUID: its record follows it through renames, a new guest under an old name is a new guest,
 * and a record gives way if the owner that it names has no such guest (asked, not assumed). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes-internal.h"

enum { SEED = 41 };
#define NEW_UUID "7e40f1a2-0202-4c3e-9b61-bbbbbbbbbbbb"

static const struct variant *const kinds[] = {&variants[0], &variants[2], &variants[4]};

static char *definition_path(struct two_nodes *w, int node, const char *id)
{
	return str_format("%s/guests/%s.json", w->machine[node].root, id);
}

/* Changes a text in the guest's definition, and the guest's id. */
static void redefine(struct two_nodes *w, int node, const char *id, const char *now, const char *from, const char *to)
{
	vmm_auto_free char *path = definition_path(w, node, id), *there = definition_path(w, node, now), *text = NULL;
	assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
	char *at = strstr(text, from);
	assert_non_null(at);
	vmm_auto_free char *changed = str_format("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	assert_int_equal(file_write(path, changed, strlen(changed), 0600, NULL), 0);
	if (strcmp(path, there))
		assert_int_equal(rename(path, there), 0);
}

static struct two_nodes *moved_once(const struct variant *variant)
{
	struct two_nodes *w = two_nodes_make();
	struct outcome outcome;
	two_nodes_describe(w, "%s", variant->name);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	if (outcome.exit != VMM_DONE)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	outcome_free(&outcome);
	return w;
}

/* The guards of libvirt and of null guests obey every record that has the guest's UUID. */
static void every_record_admits(struct two_nodes *w, int node, const char *uuid, bool admits)
{
	vmm_auto_free char *dir = str_format("%s/guests", w->machine[node].state);
	vmm_auto_json struct json_object *names = NULL;
	int found = 0;
	assert_int_equal(dir_list(dir, &names, NULL), 0);
	json_each (name, names, "") {
		vmm_auto_free char *path = str_format("%s/%s", dir, json_text(name, "")), *text = NULL;
		if (file_read(path, 1 << 16, &text, NULL, NULL) < 0 || !strstr(text, uuid))
			continue;
		found++;
		if (!!strstr(text, "guard=allow") != admits)
			two_nodes_fail(w, "%s says\n%s", path, text);
	}
	assert_int_equal(found, 1);
}

static void a_guest_that_was_renamed_on_the_target_comes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		struct outcome outcome;
		struct two_nodes *w = moved_once(kinds[i]);
		redefine(w, NODE2, GUEST, "102", "\\\"id\\\":\\\"" GUEST "\\\"", "\\\"id\\\":\\\"102\\\"");
		w->called = "102";
		two_nodes_migrate(w, NODE2, kinds[i]->options, &outcome);
		if (outcome.exit != VMM_DONE)
			two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
		every_record_admits(w, NODE1, GUEST_UUID, true);
		every_record_admits(w, NODE2, GUEST_UUID, false);
		assert_true(volume_holds(w, NODE1, kinds[i]->shared, SEED));
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

static void a_new_guest_under_an_old_name_moves(void **state)
{
	(void)state;
	struct outcome outcome;
	static const struct variant *const offline = &variants[4];
	struct two_nodes *w = moved_once(offline);
	/* The first one lives on, under another name. */
	redefine(w, NODE2, GUEST, "102", "\\\"id\\\":\\\"" GUEST "\\\",\\\"name\\\":\\\"web\\\"",
		 "\\\"id\\\":\\\"102\\\",\\\"name\\\":\\\"old\\\"");
	redefine(w, NODE2, "102", "102", "disks/" GUEST ".raw", "disks/102.raw");
	two_nodes_guest(w, NODE1, offline, NULL);
	redefine(w, NODE1, GUEST, GUEST, GUEST_UUID, NEW_UUID);
	guest_writes(w, NODE1, false, SEED + 1);
	vmm_auto_free char *first = str_format("%s/disks/" GUEST ".raw", w->machine[NODE2].root),
			   *renamed = str_format("%s/disks/102.raw", w->machine[NODE2].root);
	assert_int_equal(rename(first, renamed), 0);
	two_nodes_migrate(w, NODE1, offline->options, &outcome);
	if (outcome.exit != VMM_DONE)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	every_record_admits(w, NODE2, GUEST_UUID, true);
	every_record_admits(w, NODE2, NEW_UUID, true);
	every_record_admits(w, NODE1, NEW_UUID, false);
	outcome_free(&outcome);
	two_nodes_free(w);
}

/* Removed on the owner, defined again here from a copy of its definition: the record still says that it is there. */
static struct two_nodes *restored_on_the_source(const struct variant *variant, bool gone)
{
	struct two_nodes *w = moved_once(variant);
	vmm_auto_free char *theirs = definition_path(w, NODE2, GUEST),
			   *disk = str_format("%s/disks/" GUEST ".raw", w->machine[NODE2].root);
	machine_loses_power(w, NODE2);
	if (gone) {
		unlink(theirs);
		unlink(disk);
	}
	static const struct variant off = {.name = "restored", .options = "{}"};
	two_nodes_guest(w, NODE1, &off, NULL);
	guest_writes(w, NODE1, false, SEED + 1);
	return w;
}

static void a_record_gives_way_if_its_owner_has_no_such_guest(void **state)
{
	(void)state;
	for (size_t i = 1; i < VMM_COUNT(kinds); i++) {
		struct outcome outcome;
		struct two_nodes *w = restored_on_the_source(kinds[i], true);
		two_nodes_migrate(w, NODE1, "{}", &outcome);
		if (outcome.exit != VMM_DONE)
			two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
		two_nodes_check(w, &variants[4], false, SEED + 1);
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

static void a_record_stays_if_its_owner_has_the_guest(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = restored_on_the_source(&variants[4], false);
	two_nodes_migrate(w, NODE1, "{\"replace\":true}", &outcome);
	assert_string_equal(outcome.code, "record-owner");
	assert_int_equal(outcome.exit, VMM_BLOCKED);
	every_record_admits(w, NODE1, GUEST_UUID, false);
	assert_true(volume_holds(w, NODE2, false, SEED));
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void write_owner(struct two_nodes *w, int node, const char *owner, int64_t generation)
{
	vmm_auto_record struct guest_record record = {0};
	const char *self = node == NODE1 ? "node1" : "node2";
	assert_int_equal(record_read(w->machine[node].state, "null-" GUEST_UUID, &record, NULL), 0);
	str_replace(&record.owner, owner);
	record.generation = generation;
	assert_int_equal(record_write(w->machine[node].state, self, &record, NULL), 0);
}

/* The owner has given the guest to a third node, which cannot be asked here. */
static void a_record_stays_if_its_owner_has_given_the_guest_away(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = restored_on_the_source(&variants[4], true);
	write_owner(w, NODE2, "node3", 7);
	two_nodes_migrate(w, NODE1, "{}", &outcome);
	assert_string_equal(outcome.code, "record-owner");
	every_record_admits(w, NODE1, GUEST_UUID, false);
	outcome_free(&outcome);
	two_nodes_free(w);
}

/* The source has lost its records; the target's says that the target has the guest, which it has not. */
static void the_targets_record_gives_way_too(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = restored_on_the_source(&variants[4], true);
	vmm_auto_free char *ours = str_format("%s/guests/null-" GUEST_UUID, w->machine[NODE1].state);
	unlink(ours);
	write_owner(w, NODE2, "node2", 7);
	two_nodes_migrate(w, NODE1, "{}", &outcome);
	if (outcome.exit != VMM_DONE)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	two_nodes_check(w, &variants[4], false, SEED + 1);
	outcome_free(&outcome);
	two_nodes_free(w);
}

/* FORGET, as `recover --forget` calls it once the owner was asked. */
static void a_record_is_let_go_of(void **state)
{
	(void)state;
	struct two_nodes *w = restored_on_the_source(&variants[4], true);
	struct vmm_node *node;
	struct vmm_error *err = NULL;
	vmm_auto_json struct json_object *args = json_make("guest:s owner:s generation:i", "null-" GUEST_UUID, "node3",
							   (int64_t)9),
					 *reply = NULL;
	assert_int_equal(two_nodes_open_node(w, NODE1, &node, &err), 0);
	assert_int_equal(node_call(node, NODE_FORGET, args, &reply, &err), -1);
	assert_string_equal(err->code, "record-owner");
	error_clear(&err);
	every_record_admits(w, NODE1, GUEST_UUID, false);
	json_put(args, "owner:s", "node2");
	assert_int_equal(node_call(node, NODE_FORGET, args, &reply, &err), 0);
	assert_true(json_true(reply, "here"));
	every_record_admits(w, NODE1, GUEST_UUID, true);
	vmm_auto_record struct guest_record record = {0};
	assert_int_equal(record_read(w->machine[NODE1].state, "null-" GUEST_UUID, &record, NULL), 0);
	assert_int_equal(record.generation, 10);
	node_close(node);
	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_that_was_renamed_on_the_target_comes_back),
		cmocka_unit_test(a_new_guest_under_an_old_name_moves),
		cmocka_unit_test(a_record_gives_way_if_its_owner_has_no_such_guest),
		cmocka_unit_test(a_record_stays_if_its_owner_has_the_guest),
		cmocka_unit_test(a_record_stays_if_its_owner_has_given_the_guest_away),
		cmocka_unit_test(the_targets_record_gives_way_too),
		cmocka_unit_test(a_record_is_let_go_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
