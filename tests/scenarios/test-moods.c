/* Guests that do not behave, and what an administrator's word makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

/* wrap: tree_push */

enum { SEED = 31, SEED_AGAIN = 32 };

static const struct way *way_named(const char *name)
{
	for (size_t i = 0; i < way_count; i++)
		if (!strcmp(ways[i].name, name))
			return &ways[i];
	fail_msg("no way %s", name);
	return NULL;
}

/* Moves a guest that has these behaviours; how that ended is in `ended`. */
static struct world *moves(const struct way *way, const char *options, const char *behaviours, struct ended *ended)
{
	struct world *w = world_make();
	world_story(w, "%s, %s", way->name, behaviours);
	world_guest(w, NODE1, way, behaviours);
	guest_writes(w, NODE1, way->shared, SEED);
	world_migrate(w, NODE1, options ? options : way->options, ended);
	return w;
}

static void expect(struct world *w, const struct ended *ended, enum vmm_exit exit, bool settled, const char *code)
{
	if (ended->exit != exit || ended->settled != settled || strcmp(ended->code, code))
		world_fail(w, "exit %d, code %s, %s: %s", (int)ended->exit, ended->code,
			   ended->settled ? "settled" : "not settled", ended->message);
}

/* It is as it was, and moves once it behaves. */
static void stays_and_moves_later(const char *way_name, const char *behaviours, const char *code)
{
	const struct way *way = way_named(way_name);
	struct ended ended;
	struct world *w = moves(way, NULL, behaviours, &ended);
	expect(w, &ended, VMM_FAILED, true, code);
	assert_int_equal(guest_node(w), NODE1);
	world_check(w, way, true, SEED);
	world_guest(w, NODE1, way, NULL);
	world_again(w, way, SEED_AGAIN);
	ended_free(&ended);
	world_free(w);
}

static void memory_that_does_not_arrive_leaves_the_guest_running_here(void **state)
{
	(void)state;
	stays_and_moves_later("live", "['break']", "migration-failed");
	stays_and_moves_later("paused", "['break']", "migration-failed");
}

static void a_source_that_goes_on_after_all_keeps_the_guest(void **state)
{
	(void)state;
	stays_and_moves_later("live", "['finish-lost']", "link-lost");
	stays_and_moves_later("paused", "['finish-lost']", "link-lost");
}

static void a_guest_that_is_deaf_to_its_shutdown_runs_on(void **state)
{
	(void)state;
	stays_and_moves_later("restart, local volume", "['deaf']", "shutdown-timeout");
	stays_and_moves_later("restart, shared volume", "['deaf']", "shutdown-timeout");
}

static void a_guest_that_the_target_cannot_start_runs_on_here(void **state)
{
	(void)state;
	stays_and_moves_later("restart, local volume", "['no-start']", "start-failed");
	stays_and_moves_later("restart, shared volume", "['no-start']", "start-failed");
}

static void a_deaf_guest_is_killed_only_by_force(void **state)
{
	(void)state;
	const struct way *way = way_named("restart, local volume");
	struct ended ended;
	struct world *w = moves(way, "{\"restart\":true,\"force_stop\":true}", "['deaf']", &ended);
	expect(w, &ended, VMM_DONE, true, "");
	world_check(w, way, true, SEED);
	ended_free(&ended);
	world_free(w);
}

static void memory_that_arrived_goes_on_there_whatever_the_source_says(void **state)
{
	(void)state;
	const struct way *way = way_named("live");
	struct ended ended;
	struct world *w = moves(way, NULL, "['source-lost']", &ended);
	expect(w, &ended, VMM_DONE, true, "");
	assert_int_equal(guest_node(w), NODE2);
	world_check(w, way, true, SEED);
	ended_free(&ended);
	world_free(w);
}

static void a_guest_that_ends_with_half_its_memory_moved_is_off_here(void **state)
{
	(void)state;
	static const struct way stopped = {.name = "stopped", .options = "{}", .shared = true};
	static const char *const names[] = {"live", "paused"};
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		struct ended ended;
		struct world *w = moves(way_named(names[i]), NULL, "['source-dies']", &ended);
		expect(w, &ended, VMM_FAILED, true, "link-lost");
		assert_int_equal(guest_node(w), NODE1);
		world_check(w, &stopped, false, SEED);
		world_again(w, &stopped, SEED_AGAIN);
		ended_free(&ended);
		world_free(w);
	}
}

/* ------------------------------------------------------------------ it dies just after it was let go */

static struct world *dies(const struct way *way, char **task)
{
	struct ended ended;
	struct world *w = moves(way, NULL, "['dies']", &ended);
	vmm_auto_free char *back = str_format("vmmigrate recover %s --keep source", ended.task);
	expect(w, &ended, VMM_NEEDS_DECISION, false, "did-not-stay");
	if (!strstr(ended.message, back))
		world_fail(w, "the way back is not named: %s", ended.message);
	if (!guest_has(w, NODE1, way->shared, SEED))
		world_fail(w, "the source's volume is not kept");
	*task = str_copy(ended.task);
	ended_free(&ended);
	world_forget_memory(w);
	/* Without a word nothing is decided, however often it is asked. */
	for (int i = 0; i < 2; i++) {
		world_recover(w, NODE1, *task, NULL, &ended);
		expect(w, &ended, VMM_NEEDS_DECISION, false, "did-not-stay");
		ended_free(&ended);
	}
	return w;
}

static void a_guest_that_dies_goes_back_at_a_word(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		if (!ways[i].runs)
			continue;
		vmm_auto_free char *task = NULL;
		struct ended ended;
		struct world *w = dies(&ways[i], &task);
		world_recover(w, NODE1, task, "source", &ended);
		expect(w, &ended, VMM_FAILED, true, "interrupted");
		assert_int_equal(guest_node(w), NODE1);
		world_check(w, &ways[i], true, SEED);
		world_guest(w, NODE1, &ways[i], NULL);
		world_again(w, &ways[i], SEED_AGAIN);
		ended_free(&ended);
		world_free(w);
	}
}

static void a_guest_that_dies_stays_there_at_a_word(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		if (!ways[i].runs)
			continue;
		vmm_auto_free char *task = NULL;
		struct ended ended;
		struct world *w = dies(&ways[i], &task);
		world_recover(w, NODE1, task, "target", &ended);
		expect(w, &ended, VMM_DONE, true, "");
		assert_int_equal(guest_node(w), NODE2);
		world_check(w, &ways[i], false, SEED);
		world_guest(w, NODE2, &ways[i], NULL);
		world_again(w, &ways[i], SEED_AGAIN);
		ended_free(&ended);
		world_free(w);
	}
}

/* ------------------------------------------------------------------ a target that is gone for good */

/* The target goes away in the middle of `way`, after the n-th call, and nobody but an administrator can decide. */
static struct world *lost(const struct way *way, int call, struct ended *ended)
{
	struct world *w = world_make();
	world_story(w, "%s, target gone after call %d", way->name, call);
	world_guest(w, NODE1, way, NULL);
	guest_writes(w, NODE1, way->shared, SEED);
	world_trouble(w, NODE2, call, GONE_AFTER);
	world_migrate(w, NODE1, way->options, ended);
	return w;
}

/* The word is carried out without the target, which gives way when it is back, even if it had begun to think that it owns the guest. */
static void kept_without_the_target(const struct way *way, int call, bool *struck)
{
	struct ended ended, kept;
	struct world *w = lost(way, call, &ended);
	*struck = w->struck;
	if (ended.exit == VMM_NEEDS_DECISION || (ended.exit == VMM_LEFTOVERS && !ended.settled)) {
		machine_dies(w, NODE2); /* which is what the word says, and what nobody else can know */
		world_recover(w, NODE1, ended.task, "source", &kept);
		vmm_auto_free char *state = guest_state(w, NODE1);
		bool given_up = !strcmp(kept.code, "given-up");
		if (!given_up && strcmp(state, way->runs ? "running" : "shutoff"))
			world_fail(w, "the guest is %s: %s", state, kept.message);
		if (!given_up && (kept.settled || !world_guard_admits(w, NODE1)))
			world_fail(w, "kept, but not to the end: %s", kept.message);
		vmm_auto_json struct json_object *record = NULL;
		record_read(w->machine[NODE1].state, "null-" GUEST, &record, NULL);
		if (!given_up && json_number(record, "generation") != 2)
			world_fail(w, "nothing is there that outranks the target: %s", json_line(record));
		ended_free(&kept);
	}
	world_heal(w);
	world_settle(w, NODE1);
	if (way->runs)
		machine_boots(w, NODE2);
	world_check(w, way, way->runs, SEED);
	world_again(w, way, SEED_AGAIN);
	ended_free(&ended);
	world_free(w);
}

static void the_source_keeps_the_guest_at_a_word_though_the_target_is_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		bool struck = true;
		for (int call = 1; struck; call++)
			kept_without_the_target(&ways[i], call, &struck);
	}
}

static void a_word_about_a_settled_task_changes_nothing(void **state)
{
	(void)state;
	static const char *const words[] = {"source", "target"};
	for (size_t i = 0; i < way_count; i++)
		for (size_t n = 0; n < VMM_COUNT(words); n++) {
			struct ended ended, again;
			struct world *w = moves(&ways[i], NULL, "[]", &ended);
			expect(w, &ended, VMM_DONE, true, "");
			world_recover(w, NODE1, ended.task, words[n], &again);
			assert_int_equal(guest_node(w), NODE2);
			world_check(w, &ways[i], ways[i].runs, SEED);
			ended_free(&again);
			ended_free(&ended);
			world_free(w);
		}
}

static void the_target_is_not_kept_where_the_guest_never_arrived(void **state)
{
	(void)state;
	const struct way *way = way_named("restart, local volume");
	struct ended ended, kept;
	struct world *w = world_make();
	world_story(w, "%s", way->name);
	world_guest(w, NODE1, way, NULL);
	guest_writes(w, NODE1, way->shared, SEED);
	world_trouble(w, NODE2, 5, GONE_AFTER);
	world_migrate(w, NODE1, way->options, &ended);
	world_heal(w);
	world_recover(w, NODE1, ended.task, "target", &kept);
	expect(w, &kept, VMM_NEEDS_DECISION, false, "not-there");
	ended_free(&kept);
	world_recover(w, NODE1, ended.task, "source", &kept);
	world_check(w, way, true, SEED);
	world_again(w, way, SEED_AGAIN);
	ended_free(&kept);
	ended_free(&ended);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_does_not_arrive_leaves_the_guest_running_here),
		cmocka_unit_test(a_source_that_goes_on_after_all_keeps_the_guest),
		cmocka_unit_test(a_guest_that_is_deaf_to_its_shutdown_runs_on),
		cmocka_unit_test(a_guest_that_the_target_cannot_start_runs_on_here),
		cmocka_unit_test(a_deaf_guest_is_killed_only_by_force),
		cmocka_unit_test(memory_that_arrived_goes_on_there_whatever_the_source_says),
		cmocka_unit_test(a_guest_that_ends_with_half_its_memory_moved_is_off_here),
		cmocka_unit_test(a_guest_that_dies_goes_back_at_a_word),
		cmocka_unit_test(a_guest_that_dies_stays_there_at_a_word),
		cmocka_unit_test(the_source_keeps_the_guest_at_a_word_though_the_target_is_gone),
		cmocka_unit_test(a_word_about_a_settled_task_changes_nothing),
		cmocka_unit_test(the_target_is_not_kept_where_the_guest_never_arrived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
