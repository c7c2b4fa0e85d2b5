/* The whole story between two machines: every mode, there, back, and there again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

/* wrap: tree_push */

static void succeeds(struct world *w, int from, const struct way *way, unsigned seed)
{
	struct ended ended;
	guest_writes(w, from, way->shared, seed);
	world_migrate(w, from, way->options, &ended);
	if (ended.exit != VMM_DONE || !ended.settled)
		world_fail(w, "exit %d: %s", (int)ended.exit, ended.message);
	if (guest_node(w) != !from)
		world_fail(w, "the guest has not moved");
	world_check(w, way, way->runs, seed);
	ended_free(&ended);
}

static void every_mode_moves_the_guest_there_and_back_and_there_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		struct world *w = world_make();
		world_guest(w, NODE1, &ways[i], NULL);
		for (unsigned turn = 0; turn < 3; turn++) {
			world_story(w, "%s, turn %u", ways[i].name, turn);
			succeeds(w, turn % 2 ? NODE2 : NODE1, &ways[i], turn + 7);
		}
		world_free(w);
	}
}

static void the_result_names_the_digest_that_both_ends_agreed_on(void **state)
{
	(void)state;
	static const char *const options[] = {"{}", "{\"digest\":\"sha256\"}"}, *const kind[] = {"poly1305", "sha256"};
	for (size_t i = 0; i < VMM_COUNT(options); i++) {
		struct world *w = world_make();
		struct ended ended;
		vmm_auto_free char *text = NULL;
		vmm_auto_json struct json_object *result = NULL;
		world_guest(w, NODE1, &ways[2], NULL);
		guest_writes(w, NODE1, ways[2].shared, 1);
		world_migrate(w, NODE1, options[i], &ended);
		vmm_auto_free char *path = str_format("%s/tasks/%s/result", w->machine[NODE1].state, ended.task);
		assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
		assert_int_equal(json_parse(text, -1, "result", &result, NULL), 0);
		assert_int_equal(json_count(result, "statistics.digests"), 1);
		assert_string_equal(json_text(result, "statistics.digests.0.kind"), kind[i]);
		assert_int_equal(strlen(json_text(result, "statistics.digests.0.root")), 64);
		ended_free(&ended);
		world_free(w);
	}
}

/* Records are small; disks are replaced, and nobody has them in the backup. */
static void lose_records(struct world *w, int node)
{
	vmm_auto_free char *dir = str_format("%s/guests", w->machine[node].state);
	struct vmm_error *err = NULL;
	if (dir_remove(dir, &err) < 0)
		world_fail(w, "%s", err->message);
}

static int64_t generation_on(struct world *w, int node)
{
	vmm_auto_json struct json_object *record = NULL;
	assert_int_equal(record_read(w->machine[node].state, "null-" GUEST, &record, NULL), 0);
	return json_number(record, "generation");
}

static void a_node_that_has_lost_its_records_still_gives_its_guest_away(void **state)
{
	(void)state;
	struct world *w = world_make();
	world_story(w, "no records");
	world_guest(w, NODE1, &ways[2], NULL);
	succeeds(w, NODE1, &ways[2], 1);
	succeeds(w, NODE2, &ways[2], 2);
	int64_t before = generation_on(w, NODE2);
	lose_records(w, NODE1);
	succeeds(w, NODE1, &ways[2], 3);
	assert_int_equal(generation_on(w, NODE1), before + 1);
	assert_int_equal(generation_on(w, NODE2), before + 1);
	world_free(w);
}

/* A clean-up that failed once has left the old guest and its volume behind. */
static void what_an_earlier_migration_left_behind_makes_way(void **state)
{
	(void)state;
	static const struct way *const kinds[] = {&ways[2], &ways[4]};
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		static const struct way old = {.name = "a leftover", .options = "{}"};
		struct world *w = world_make();
		world_story(w, "%s: leftover", kinds[i]->name);
		world_guest(w, NODE1, kinds[i], NULL);
		succeeds(w, NODE1, kinds[i], 1);
		world_guest(w, NODE1, &old, NULL);
		guest_writes(w, NODE1, false, 100);
		succeeds(w, NODE2, kinds[i], 2);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mode_moves_the_guest_there_and_back_and_there_again),
		cmocka_unit_test(the_result_names_the_digest_that_both_ends_agreed_on),
		cmocka_unit_test(a_node_that_has_lost_its_records_still_gives_its_guest_away),
		cmocka_unit_test(what_an_earlier_migration_left_behind_makes_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
