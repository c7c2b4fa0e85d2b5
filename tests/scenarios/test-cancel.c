/* A migration is cancelled, or started a second time, at every call of a node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

/* wrap: tree_push */

enum { SEED = 51, SEED_AGAIN = 52, KILLED = 137 };

static struct two_nodes *begin(const struct variant *variant, int node, int call, enum fault what)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s: node%d, call %d: %s", variant->name, node + 1, call, fault_names[what]);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	two_nodes_inject(w, node, call, what);
	return w;
}

static void end(struct two_nodes *w, const struct variant *variant)
{
	two_nodes_heal(w);
	two_nodes_recover_all(w, NODE1);
	two_nodes_check(w, variant, variant->runs, SEED);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	two_nodes_free(w);
}

/* ------------------------------------------------------------------ cancel */

/* The migration is undone, or the cancel came too late and it is done; the exit status says which. False if the node
 * gets no such call. */
static bool cancel_at(const struct variant *variant, int node, int call, enum fault what, int *undone)
{
	struct outcome outcome;
	struct two_nodes *w = begin(variant, node, call, what);
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	bool injected = w->injected, cancelled = outcome.exit == VMM_CANCELLED;
	if (!outcome.settled || (!cancelled && outcome.exit != VMM_DONE) ||
	    guest_node(w) != (cancelled ? NODE1 : NODE2))
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	*undone += cancelled;
	outcome_free(&outcome);
	end(w, variant);
	return injected;
}

static void a_cancel_undoes_before_the_commit_and_is_too_late_after_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int node = 0; node < NODES; node++) {
			int call = 1, undone = 0;
			while (cancel_at(&variants[i], node, call, CANCELLED, &undone))
				call++;
			/* Cancelling works at some of the calls, and is too late at others. */
			assert_in_range(undone, 3, call - 2);
		}
}

/* FAULTS 82: the cancel ends a call that the target is still busy with. */
static void a_cancel_is_heard_while_the_target_is_busy(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		int call = 1, undone = 0;
		while (cancel_at(&variants[i], NODE2, call, CANCELLED_MEANWHILE, &undone))
			call++;
		assert_in_range(undone, 3, call - 2);
	}
}

/* ------------------------------------------------------------------ two tasks at once */

/* One of the two tasks migrates the guest, the other one is refused. False if the node gets no such call. */
static bool second_task_at(const struct variant *variant, int node, int call, int *busy)
{
	struct outcome outcome;
	struct two_nodes *w = begin(variant, node, call, CONCURRENT_TASK);
	w->variant = variant;
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	bool injected = w->injected;
	if (injected && (outcome.exit == VMM_DONE) == (w->concurrent_exit == VMM_DONE) && node == NODE1)
		two_nodes_fail(w, "exit %d, the other task %d: %s", (int)outcome.exit, w->concurrent_exit,
			       outcome.message);
	*busy += injected && w->concurrent_exit == VMM_BUSY;
	outcome_free(&outcome);
	two_nodes_heal(w);
	two_nodes_recover_all(w, NODE1);
	if (guest_node(w) != NODE2)
		two_nodes_fail(w, "neither task has moved the guest");
	end(w, variant);
	return injected;
}

static void of_two_tasks_one_migrates_the_guest_and_the_other_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		int call = 1, busy = 0;
		while (second_task_at(&variants[i], NODE1, call, &busy))
			call++;
		assert_true(busy > 1);
	}
}

static void a_guest_locked_by_a_dead_task_is_busy_and_recover_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct outcome outcome;
		struct two_nodes *w = begin(&variants[i], NODE2, 5, KILLED_AFTER);
		assert_int_equal(two_nodes_migrate_in_child(w, NODE1, variants[i].options, NULL, NULL), KILLED);
		two_nodes_heal(w);
		two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
		if (outcome.exit != VMM_BUSY || strcmp(outcome.code, "guest-locked") ||
		    !strstr(outcome.message, "vmmigrate recover node1-"))
			two_nodes_fail(w, "exit %d, code %s: %s", (int)outcome.exit, outcome.code, outcome.message);
		outcome_free(&outcome);
		end(w, &variants[i]);
	}
}

/* ------------------------------------------------------------------ an old copy */

static void an_old_copy_is_not_migrated_onto_the_newer_guest(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct outcome outcome;
		struct two_nodes *w = begin(&variants[i], NODE1, 0, NO_FAULT);
		two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
		assert_int_equal(outcome.exit, VMM_DONE);
		outcome_free(&outcome);
		/* Somebody restores the guest from a backup, on the node that it was on. */
		static const struct variant old = {.name = "an old copy", .options = "{}"};
		two_nodes_guest(w, NODE1, &old, NULL);
		guest_writes(w, NODE1, false, SEED + 100);
		two_nodes_migrate(w, NODE1, "{\"replace\":true}", &outcome);
		if (outcome.exit != VMM_BLOCKED || strcmp(outcome.code, "record-owner"))
			two_nodes_fail(w, "exit %d, code %s: %s", (int)outcome.exit, outcome.code, outcome.message);
		if (!volume_holds(w, NODE2, variants[i].shared, SEED))
			two_nodes_fail(w, "the newer guest is not what it was");
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cancel_undoes_before_the_commit_and_is_too_late_after_it),
		cmocka_unit_test(a_cancel_is_heard_while_the_target_is_busy),
		cmocka_unit_test(of_two_tasks_one_migrates_the_guest_and_the_other_is_refused),
		cmocka_unit_test(a_guest_locked_by_a_dead_task_is_busy_and_recover_is_named),
		cmocka_unit_test(an_old_copy_is_not_migrated_onto_the_newer_guest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
