/* Whole migrations in every mode: there, back, and there again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

/* wrap: tree_push */

static void succeeds(struct two_nodes *w, int from, const struct variant *variant, unsigned seed)
{
	struct outcome outcome;
	guest_writes(w, from, variant->shared, seed);
	two_nodes_migrate(w, from, variant->options, &outcome);
	if (outcome.exit != VMM_DONE || !outcome.settled)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	if (guest_node(w) != !from)
		two_nodes_fail(w, "the guest has not moved");
	two_nodes_check(w, variant, variant->runs, seed);
	outcome_free(&outcome);
}

static void every_mode_moves_the_guest_there_and_back_and_there_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct two_nodes *w = two_nodes_make();
		two_nodes_guest(w, NODE1, &variants[i], NULL);
		for (unsigned turn = 0; turn < 3; turn++) {
			two_nodes_describe(w, "%s, turn %u", variants[i].name, turn);
			succeeds(w, turn % 2 ? NODE2 : NODE1, &variants[i], turn + 7);
		}
		two_nodes_free(w);
	}
}

static void the_result_names_the_digest_of_each_volume(void **state)
{
	(void)state;
	static const char *const options[] = {"{}", "{\"digest\":\"sha256\"}"}, *const kind[] = {"poly1305", "sha256"};
	for (size_t i = 0; i < VMM_COUNT(options); i++) {
		struct two_nodes *w = two_nodes_make();
		struct outcome outcome;
		vmm_auto_free char *text = NULL;
		vmm_auto_json struct json_object *result = NULL;
		two_nodes_guest(w, NODE1, &variants[2], NULL);
		guest_writes(w, NODE1, variants[2].shared, 1);
		two_nodes_migrate(w, NODE1, options[i], &outcome);
		vmm_auto_free char *path = str_format("%s/tasks/%s/result", w->machine[NODE1].state, outcome.task);
		assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
		assert_int_equal(json_parse(text, -1, "result", &result, NULL), 0);
		assert_int_equal(json_count(result, "statistics.digests"), 1);
		assert_string_equal(json_text(result, "statistics.digests.0.kind"), kind[i]);
		assert_int_equal(strlen(json_text(result, "statistics.digests.0.root")), 64);
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

/* A node loses its guest records, for example because its disk was replaced. */
static void lose_records(struct two_nodes *w, int node)
{
	vmm_auto_free char *dir = str_format("%s/guests", w->machine[node].state);
	struct vmm_error *err = NULL;
	if (dir_remove(dir, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

static int64_t generation_on(struct two_nodes *w, int node)
{
	vmm_auto_record struct guest_record record = {0};
	assert_int_equal(record_read(w->machine[node].state, "null-" GUEST_UUID, &record, NULL), 0);
	return record.generation;
}

static void a_node_that_has_lost_its_records_still_migrates_its_guest(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "no records");
	two_nodes_guest(w, NODE1, &variants[2], NULL);
	succeeds(w, NODE1, &variants[2], 1);
	succeeds(w, NODE2, &variants[2], 2);
	int64_t before = generation_on(w, NODE2);
	lose_records(w, NODE1);
	succeeds(w, NODE1, &variants[2], 3);
	assert_int_equal(generation_on(w, NODE1), before + 1);
	assert_int_equal(generation_on(w, NODE2), before + 1);
	two_nodes_free(w);
}

/* The clean-up of an earlier migration has failed: the old guest and its volume are still on the node. */
static void leftovers_of_an_earlier_migration_are_replaced(void **state)
{
	(void)state;
	static const struct variant *const kinds[] = {&variants[2], &variants[4]};
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		static const struct variant old = {.name = "a leftover", .options = "{}"};
		struct two_nodes *w = two_nodes_make();
		two_nodes_describe(w, "%s: leftover", kinds[i]->name);
		two_nodes_guest(w, NODE1, kinds[i], NULL);
		succeeds(w, NODE1, kinds[i], 1);
		two_nodes_guest(w, NODE1, &old, NULL);
		guest_writes(w, NODE1, false, 100);
		succeeds(w, NODE2, kinds[i], 2);
		two_nodes_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mode_moves_the_guest_there_and_back_and_there_again),
		cmocka_unit_test(the_result_names_the_digest_of_each_volume),
		cmocka_unit_test(a_node_that_has_lost_its_records_still_migrates_its_guest),
		cmocka_unit_test(leftovers_of_an_earlier_migration_are_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
