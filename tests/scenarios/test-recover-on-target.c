/* recover on the target of a task that belongs to another node: it asks that node, the source, and changes nothing that
 * it cannot find out. wrap: node_open_remote forward_verb tree_push */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes-internal.h"

enum { SEED = 71, SEED_AGAIN = 72, KILLED = 137 };

static void recovers_as(struct two_nodes *w, const char *outcome)
{
	const char *found = recover_on_node2(w, NULL);
	if (strcmp(found, outcome))
		two_nodes_fail(w, "%s, not %s", found, outcome);
}

/* ------------------------------------------------------------------ tests */

static struct two_nodes *begin(const struct variant *variant, int call, enum fault what, struct outcome *outcome)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s: node2, call %d: %s", variant->name, call, fault_names[what]);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	two_nodes_inject(w, NODE2, call, what);
	if (what == KILLED_AFTER) {
		w->injected = two_nodes_migrate_in_child(w, NODE1, variant->options, NULL, NULL) == KILLED;
		two_nodes_heal(w);
	} else {
		two_nodes_migrate(w, NODE1, variant->options, outcome);
	}
	return w;
}

static bool target_is_locked(struct two_nodes *w)
{
	vmm_auto_record struct guest_record record = {0};
	assert_int_equal(record_read(w->machine[NODE2].state, "null-" GUEST_UUID, &record, NULL), 0);
	return record.task;
}

static void forget_tasks(struct two_nodes *w)
{
	vmm_auto_free char *dir = str_format("%s/tasks", w->machine[NODE1].state);
	struct vmm_error *err = NULL;
	if (dir_remove(dir, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

static void the_target_has_the_source_recover_its_task(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int call = 3, more = true; more; call++) {
			struct two_nodes *w = begin(&variants[i], call, KILLED_AFTER, NULL);
			if (target_is_locked(w))
				recovers_as(w, "settled");
			two_nodes_recover_all(w, NODE1);
			two_nodes_check(w, &variants[i], variants[i].runs, SEED);
			two_nodes_migrate_again(w, &variants[i], SEED_AGAIN);
			more = w->injected;
			two_nodes_free(w);
		}
}

static void a_target_that_cannot_reach_the_source_changes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int call = 3, more = true; more; call++) {
			struct two_nodes *w = begin(&variants[i], call, KILLED_AFTER, NULL);
			if (target_is_locked(w)) {
				vmm_auto_free char *before = guest_state(w, NODE2);
				w->gone[NODE1] = true;
				recovers_as(w, "unsettled");
				vmm_auto_free char *after = guest_state(w, NODE2);
				assert_string_equal(before, after);
				two_nodes_check_guards(w);
			}
			two_nodes_heal(w);
			two_nodes_recover_all(w, NODE1);
			two_nodes_check(w, &variants[i], variants[i].runs, SEED);
			more = w->injected;
			two_nodes_free(w);
		}
}

/* The source's guest record says that the guest is the target's, but the task is gone: the source cannot recover it. */
static void the_target_takes_over_if_the_sources_record_says_so(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		int taken = 0;
		for (int call = 3, more = true; more; call++) {
			struct outcome outcome;
			struct two_nodes *w = begin(&variants[i], call, GONE_BEFORE, &outcome);
			/* Only after the commit, and before the source gives the guest up. */
			if (outcome.exit == VMM_NEEDS_DECISION && strstr(outcome.message, "belongs to node2 now") &&
			    target_is_locked(w) && !strstr(outcome.message, "unlock")) {
				forget_tasks(w);
				two_nodes_heal(w);
				recovers_as(w, "settled");
				vmm_auto_free char *now = guest_state(w, NODE2);
				assert_string_equal(now, variants[i].runs ? "running" : "shutoff");
				assert_true(volume_holds(w, NODE2, variants[i].shared, SEED));
				assert_true(two_nodes_guard_admits(w, NODE2));
				assert_false(two_nodes_guard_admits(w, NODE1));
				assert_false(target_is_locked(w));
				taken++;
			}
			outcome_free(&outcome);
			more = w->injected;
			two_nodes_free(w);
		}
		assert_true(taken);
	}
}

/* Nothing on the source says who owns the guest: neither node may touch it. */
static void a_source_without_task_and_record_leaves_it_in_doubt(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int call = 3; call < 20; call++) {
			struct two_nodes *w = begin(&variants[i], call, KILLED_AFTER, NULL);
			if (target_is_locked(w)) {
				vmm_auto_free char *records = str_format("%s/guests", w->machine[NODE1].state);
				vmm_auto_free char *before = guest_state(w, NODE2);
				forget_tasks(w);
				dir_remove(records, NULL);
				recovers_as(w, "unsettled");
				vmm_auto_free char *after = guest_state(w, NODE2);
				assert_string_equal(before, after);
				assert_true(target_is_locked(w));
			}
			two_nodes_free(w);
		}
}

static void the_target_cleans_up_if_the_sources_record_says_that_it_kept_the_guest(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int call = 3; call < 9; call++) {
			struct outcome outcome;
			struct two_nodes *w = begin(&variants[i], call, GONE_AFTER, &outcome);
			if (outcome.exit == VMM_FAILED && !outcome.settled) {
				/* As if the source had had the guest before: it has a record without a task. */
				const struct guest_record record = {.guest = (char *)"null-" GUEST_UUID,
								    .owner = (char *)"node1",
								    .state = RECORD_IDLE};
				assert_int_equal(record_write(w->machine[NODE1].state, "node1", &record, NULL), 0);
				forget_tasks(w);
				two_nodes_heal(w);
				recovers_as(w, "settled");
				two_nodes_check(w, &variants[i], variants[i].runs, SEED);
				two_nodes_migrate_again(w, &variants[i], SEED_AGAIN);
			}
			outcome_free(&outcome);
			two_nodes_free(w);
		}
}

/* ------------------------------------------------------------------ the source is lost, an administrator decides */

/* The source loses power in the middle, and cannot be reached. */
static struct two_nodes *begin_alone(const struct variant *variant, int call)
{
	struct two_nodes *w = begin(variant, call, KILLED_AFTER, NULL);
	if (w->injected)
		machine_loses_power(w, NODE1);
	w->gone[NODE1] = true;
	return w;
}

static void come_back(struct two_nodes *w)
{
	two_nodes_heal(w);
	machine_boots(w, NODE1);
	two_nodes_check_guards(w);
	two_nodes_recover_all(w, NODE1);
	two_nodes_check_guards(w);
}

/* The source boots while it cannot reach the target: it does not know of the decision, and must start nothing. */
static void come_back_alone(struct two_nodes *w)
{
	vmm_auto_free char *dir = str_format("%s/tasks", w->machine[NODE1].state);
	vmm_auto_json struct json_object *names = NULL;
	two_nodes_heal(w);
	machine_boots(w, NODE1);
	w->gone[NODE2] = true;
	assert_int_equal(dir_list(dir, &names, NULL), 0);
	json_each (name, names, "") {
		struct outcome outcome;
		two_nodes_recover(w, NODE1, json_text(name, ""), NULL, &outcome);
		outcome_free(&outcome);
	}
	vmm_auto_free char *now = guest_state(w, NODE1);
	assert_string_not_equal(now, "running");
	two_nodes_check_guards(w);
}

static void a_decision_for_the_target_keeps_what_has_arrived_and_outranks_the_source(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		int kept = 0;
		for (int call = 3, more = true; more; call++) {
			struct two_nodes *w = begin_alone(&variants[i], call);
			vmm_auto_free char *before = guest_state(w, NODE2);
			if (target_is_locked(w) && !strcmp(recover_on_node2(w, "target"), "settled")) {
				vmm_auto_free char *now = guest_state(w, NODE2);
				assert_string_equal(now, variants[i].runs ? "running" : "shutoff");
				come_back_alone(w);
				come_back(w);
				assert_int_equal(guest_node(w), NODE2);
				assert_true(volume_holds(w, NODE2, variants[i].shared, SEED));
				assert_true(two_nodes_guard_admits(w, NODE2));
				assert_false(two_nodes_guard_admits(w, NODE1));
				assert_false(target_is_locked(w));
				kept++;
			} else if (target_is_locked(w)) {
				/* The guest had not arrived: recover changed nothing. */
				vmm_auto_free char *after = guest_state(w, NODE2);
				assert_string_equal(before, after);
				assert_false(two_nodes_guard_admits(w, NODE2));
				come_back(w);
				two_nodes_check(w, &variants[i], variants[i].runs, SEED);
			}
			more = w->injected;
			two_nodes_free(w);
		}
		assert_true(kept);
	}
}

static void a_decision_for_the_source_makes_the_target_clean_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		int given = 0;
		for (int call = 3, more = true; more; call++) {
			struct two_nodes *w = begin_alone(&variants[i], call);
			if (target_is_locked(w) && !strcmp(recover_on_node2(w, "source"), "settled")) {
				assert_false(target_is_locked(w));
				come_back(w);
				two_nodes_check(w, &variants[i], variants[i].runs, SEED);
				given++;
			}
			more = w->injected;
			two_nodes_free(w);
		}
		assert_true(given);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_target_has_the_source_recover_its_task),
		cmocka_unit_test(a_target_that_cannot_reach_the_source_changes_nothing),
		cmocka_unit_test(the_target_takes_over_if_the_sources_record_says_so),
		cmocka_unit_test(a_source_without_task_and_record_leaves_it_in_doubt),
		cmocka_unit_test(the_target_cleans_up_if_the_sources_record_says_that_it_kept_the_guest),
		cmocka_unit_test(a_decision_for_the_target_keeps_what_has_arrived_and_outranks_the_source),
		cmocka_unit_test(a_decision_for_the_source_makes_the_target_clean_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
