/* Guests that misbehave, and what an administrator's decision does then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

/* wrap: tree_push */

enum { SEED = 31, SEED_AGAIN = 32 };

/* Migrates a guest that has these behaviours. `options`: NULL for those of the variant. */
static struct two_nodes *moves(const struct variant *variant, const char *options, const char *behaviours,
			       struct outcome *outcome)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s, %s", variant->name, behaviours);
	two_nodes_guest(w, NODE1, variant, behaviours);
	guest_writes(w, NODE1, variant->shared, SEED);
	two_nodes_migrate(w, NODE1, options ? options : variant->options, outcome);
	return w;
}

static void expect(struct two_nodes *w, const struct outcome *outcome, enum vmm_exit exit, bool settled,
		   const char *code)
{
	if (outcome->exit != exit || outcome->settled != settled || strcmp(outcome->code, code))
		two_nodes_fail(w, "exit %d, code %s, %s: %s", (int)outcome->exit, outcome->code,
			       outcome->settled ? "settled" : "not settled", outcome->message);
}

/* The guest stays as it was; once it behaves, the same migration succeeds. */
static void stays_and_migrates_later(const char *variant_name, const char *behaviours, const char *code)
{
	const struct variant *variant = variant_named(variant_name);
	struct outcome outcome;
	struct two_nodes *w = moves(variant, NULL, behaviours, &outcome);
	expect(w, &outcome, VMM_FAILED, true, code);
	assert_int_equal(guest_node(w), NODE1);
	two_nodes_check(w, variant, true, SEED);
	two_nodes_guest(w, NODE1, variant, NULL);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	outcome_free(&outcome);
	two_nodes_free(w);
}

/* The hypervisor does not know the storage; a token has proven that it is shared. */
static void storage_that_is_proven_to_be_shared_is_vouched_for(void **state)
{
	(void)state;
	static const char *const names[] = {"live", "paused"};
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		const struct variant *variant = variant_named(names[i]);
		struct outcome outcome;
		struct two_nodes *w = moves(variant, NULL, "['unknown-storage']", &outcome);
		expect(w, &outcome, VMM_DONE, true, "");
		assert_int_equal(guest_node(w), NODE2);
		two_nodes_check(w, variant, true, SEED);
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

static void a_migration_of_memory_that_fails_leaves_the_guest_on_the_source(void **state)
{
	(void)state;
	stays_and_migrates_later("live", "['break']", "migration-failed");
	stays_and_migrates_later("paused", "['break']", "migration-failed");
}

/* The guest on the target is off and in the way; --replace sets it aside. Then the one that moves cannot start. */
static void a_guest_that_was_set_aside_comes_back_with_its_checkpoints(void **state)
{
	(void)state;
	static const struct variant in_the_way = {.name = "in the way", .options = "{}", .shared = true};
	const struct variant *variant = variant_named("restart, shared volume");
	struct two_nodes *w = two_nodes_make();
	struct outcome outcome;
	struct json_object *theirs = json_object_new_array();
	two_nodes_describe(w, "a guest is set aside");
	two_nodes_guest(w, NODE1, variant, "['no-start']");
	two_nodes_guest(w, NODE2, &in_the_way, NULL);
	json_object_array_add(theirs, json_make("kind:s name:s", "checkpoint", "theirs"));
	guest_says(w, NODE2, json_make("moments:o", theirs));
	guest_writes(w, NODE1, true, SEED);
	two_nodes_migrate(w, NODE1, "{\"restart\":true,\"replace\":true}", &outcome);
	expect(w, &outcome, VMM_FAILED, true, "start-failed");
	vmm_auto_free char *path = str_format("%s/guests/" GUEST ".json", w->machine[NODE2].root), *text = NULL;
	assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
	assert_non_null(strstr(text, "theirs"));
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void a_guest_that_runs_on_the_source_again_stays_there(void **state)
{
	(void)state;
	stays_and_migrates_later("live", "['finish-lost']", "link-lost");
	stays_and_migrates_later("paused", "['finish-lost']", "link-lost");
}

static void a_guest_that_ignores_the_shutdown_request_runs_on(void **state)
{
	(void)state;
	stays_and_migrates_later("restart, local volume", "['deaf']", "shutdown-timeout");
	stays_and_migrates_later("restart, shared volume", "['deaf']", "shutdown-timeout");
}

static void a_guest_that_the_target_cannot_start_runs_on_the_source(void **state)
{
	(void)state;
	stays_and_migrates_later("restart, local volume", "['no-start']", "start-failed");
	stays_and_migrates_later("restart, shared volume", "['no-start']", "start-failed");
}

static void a_guest_that_ignores_the_shutdown_request_is_killed_with_force_stop(void **state)
{
	(void)state;
	const struct variant *variant = variant_named("restart, local volume");
	struct outcome outcome;
	struct two_nodes *w = moves(variant, "{\"restart\":true,\"force_stop\":true}", "['deaf']", &outcome);
	expect(w, &outcome, VMM_DONE, true, "");
	two_nodes_check(w, variant, true, SEED);
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void a_guest_whose_memory_has_arrived_runs_on_the_target(void **state)
{
	(void)state;
	const struct variant *variant = variant_named("live");
	struct outcome outcome;
	struct two_nodes *w = moves(variant, NULL, "['source-lost']", &outcome);
	expect(w, &outcome, VMM_DONE, true, "");
	assert_int_equal(guest_node(w), NODE2);
	two_nodes_check(w, variant, true, SEED);
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void a_guest_whose_process_ends_during_the_move_is_off_on_the_source(void **state)
{
	(void)state;
	static const struct variant stopped = {.name = "stopped", .options = "{}", .shared = true};
	static const char *const names[] = {"live", "paused"};
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		struct outcome outcome;
		struct two_nodes *w = moves(variant_named(names[i]), NULL, "['source-dies']", &outcome);
		expect(w, &outcome, VMM_FAILED, true, "link-lost");
		assert_int_equal(guest_node(w), NODE1);
		two_nodes_check(w, &stopped, false, SEED);
		two_nodes_migrate_again(w, &stopped, SEED_AGAIN);
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

/* ------------------------------------------------------------------ it dies just after the release */

static struct two_nodes *dies(const struct variant *variant, char **task)
{
	struct outcome outcome;
	struct two_nodes *w = moves(variant, NULL, "['dies']", &outcome);
	vmm_auto_free char *back = str_format("vmmigrate recover %s --keep source", outcome.task);
	expect(w, &outcome, VMM_NEEDS_DECISION, false, "did-not-stay");
	if (!strstr(outcome.message, back))
		two_nodes_fail(w, "the way back is not named: %s", outcome.message);
	if (!volume_holds(w, NODE1, variant->shared, SEED))
		two_nodes_fail(w, "the source's volume is not kept");
	*task = str_copy(outcome.task);
	outcome_free(&outcome);
	two_nodes_forget_memory(w);
	/* Without a decision of the administrator, recover changes nothing, however often it runs. */
	for (int i = 0; i < 2; i++) {
		two_nodes_recover(w, NODE1, *task, NULL, &outcome);
		expect(w, &outcome, VMM_NEEDS_DECISION, false, "did-not-stay");
		outcome_free(&outcome);
	}
	return w;
}

static void a_guest_that_dies_after_the_release_goes_back_by_decision(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		if (!variants[i].runs)
			continue;
		vmm_auto_free char *task = NULL;
		struct outcome outcome;
		struct two_nodes *w = dies(&variants[i], &task);
		two_nodes_recover(w, NODE1, task, "source", &outcome);
		expect(w, &outcome, VMM_FAILED, true, "interrupted");
		assert_int_equal(guest_node(w), NODE1);
		two_nodes_check(w, &variants[i], true, SEED);
		two_nodes_guest(w, NODE1, &variants[i], NULL);
		two_nodes_migrate_again(w, &variants[i], SEED_AGAIN);
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

static void a_guest_that_dies_after_the_release_stays_by_decision(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		if (!variants[i].runs)
			continue;
		vmm_auto_free char *task = NULL;
		struct outcome outcome;
		struct two_nodes *w = dies(&variants[i], &task);
		two_nodes_recover(w, NODE1, task, "target", &outcome);
		expect(w, &outcome, VMM_DONE, true, "");
		assert_int_equal(guest_node(w), NODE2);
		two_nodes_check(w, &variants[i], false, SEED);
		two_nodes_guest(w, NODE2, &variants[i], NULL);
		two_nodes_migrate_again(w, &variants[i], SEED_AGAIN);
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

/* ------------------------------------------------------------------ a target that is gone for good */

/* The target disappears after its n-th call, so that nobody but an administrator can decide. */
static struct two_nodes *lose_target(const struct variant *variant, int call, struct outcome *outcome)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s, target gone after call %d", variant->name, call);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	two_nodes_inject(w, NODE2, call, GONE_AFTER);
	two_nodes_migrate(w, NODE1, variant->options, outcome);
	return w;
}

/* The decision is carried out without the target. When the target is back it gives the guest up, even if its record
 * said that it owns it. */
static void kept_without_the_target(const struct variant *variant, int call, bool *injected)
{
	struct outcome outcome, kept;
	struct two_nodes *w = lose_target(variant, call, &outcome);
	*injected = w->injected;
	if (outcome.exit == VMM_NEEDS_DECISION || (outcome.exit == VMM_LEFTOVERS && !outcome.settled)) {
		machine_loses_power(w, NODE2); /* as the administrator knows, and nobody else can */
		two_nodes_recover(w, NODE1, outcome.task, "source", &kept);
		vmm_auto_free char *state = guest_state(w, NODE1);
		bool given_up = !strcmp(kept.code, "given-up");
		if (!given_up && strcmp(state, variant->runs ? "running" : "shutoff"))
			two_nodes_fail(w, "the guest is %s: %s", state, kept.message);
		if (!given_up && (kept.settled || !two_nodes_guard_admits(w, NODE1)))
			two_nodes_fail(w, "kept, but not to the end: %s", kept.message);
		vmm_auto_record struct guest_record record = {0};
		record_read(w->machine[NODE1].state, "null-" GUEST_UUID, &record, NULL);
		if (!given_up && record.generation != 2)
			two_nodes_fail(w, "the generation is %lld, which does not outrank the target's",
				       (long long)record.generation);
		outcome_free(&kept);
	}
	two_nodes_heal(w);
	two_nodes_recover_all(w, NODE1);
	if (variant->runs)
		machine_boots(w, NODE2);
	two_nodes_check(w, variant, variant->runs, SEED);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void the_source_keeps_the_guest_by_decision_while_the_target_is_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		bool injected = true;
		for (int call = 1; injected; call++)
			kept_without_the_target(&variants[i], call, &injected);
	}
}

static void a_decision_about_a_settled_task_changes_nothing(void **state)
{
	(void)state;
	static const char *const decisions[] = {"source", "target"};
	for (size_t i = 0; i < variant_count; i++)
		for (size_t n = 0; n < VMM_COUNT(decisions); n++) {
			struct outcome outcome, again;
			struct two_nodes *w = moves(&variants[i], NULL, "[]", &outcome);
			expect(w, &outcome, VMM_DONE, true, "");
			two_nodes_recover(w, NODE1, outcome.task, decisions[n], &again);
			assert_int_equal(guest_node(w), NODE2);
			two_nodes_check(w, &variants[i], variants[i].runs, SEED);
			outcome_free(&again);
			outcome_free(&outcome);
			two_nodes_free(w);
		}
}

static void a_decision_for_the_target_is_refused_if_the_guest_has_not_arrived(void **state)
{
	(void)state;
	const struct variant *variant = variant_named("restart, local volume");
	struct outcome outcome, kept;
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s", variant->name);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	two_nodes_inject(w, NODE2, 6, GONE_AFTER);
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	two_nodes_heal(w);
	two_nodes_recover(w, NODE1, outcome.task, "target", &kept);
	expect(w, &kept, VMM_NEEDS_DECISION, false, "not-there");
	outcome_free(&kept);
	two_nodes_recover(w, NODE1, outcome.task, "source", &kept);
	two_nodes_check(w, variant, true, SEED);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	outcome_free(&kept);
	outcome_free(&outcome);
	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storage_that_is_proven_to_be_shared_is_vouched_for),
		cmocka_unit_test(a_migration_of_memory_that_fails_leaves_the_guest_on_the_source),
		cmocka_unit_test(a_guest_that_was_set_aside_comes_back_with_its_checkpoints),
		cmocka_unit_test(a_guest_that_runs_on_the_source_again_stays_there),
		cmocka_unit_test(a_guest_that_ignores_the_shutdown_request_runs_on),
		cmocka_unit_test(a_guest_that_the_target_cannot_start_runs_on_the_source),
		cmocka_unit_test(a_guest_that_ignores_the_shutdown_request_is_killed_with_force_stop),
		cmocka_unit_test(a_guest_whose_memory_has_arrived_runs_on_the_target),
		cmocka_unit_test(a_guest_whose_process_ends_during_the_move_is_off_on_the_source),
		cmocka_unit_test(a_guest_that_dies_after_the_release_goes_back_by_decision),
		cmocka_unit_test(a_guest_that_dies_after_the_release_stays_by_decision),
		cmocka_unit_test(the_source_keeps_the_guest_by_decision_while_the_target_is_gone),
		cmocka_unit_test(a_decision_about_a_settled_task_changes_nothing),
		cmocka_unit_test(a_decision_for_the_target_is_refused_if_the_guest_has_not_arrived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
