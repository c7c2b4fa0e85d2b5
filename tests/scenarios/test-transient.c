/* A guest without a persistent definition moves live and stays as it is: transient. Whatever fails, it runs on one
 * node; where its process has ended, it is gone, as any transient guest would be, and the task says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

enum { SEED = 91, SEED_AGAIN = 92 };

static const struct variant transient = {
	.name = "live, transient", .options = "{\"online\":true}", .shared = true, .runs = true, .transient = true};

static struct two_nodes *begin(const char *behaviours)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s, %s", transient.name, behaviours ? behaviours : "no misbehaviour");
	two_nodes_guest(w, NODE1, &transient, behaviours);
	guest_writes(w, NODE1, true, SEED);
	return w;
}

static void it_moves_there_and_back_and_stays_transient(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = begin(NULL);
	two_nodes_migrate(w, NODE1, transient.options, &outcome);
	if (outcome.exit != VMM_DONE || !outcome.settled)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	assert_int_equal(guest_node(w), NODE2);
	two_nodes_check(w, &transient, true, SEED);
	two_nodes_migrate_again(w, &transient, SEED_AGAIN);
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void it_runs_on_where_its_memory_does_not_arrive(void **state)
{
	(void)state;
	static const char *const faults[] = {"['break']", "['finish-lost']"};
	for (size_t i = 0; i < VMM_COUNT(faults); i++) {
		struct outcome outcome;
		struct two_nodes *w = begin(faults[i]);
		two_nodes_migrate(w, NODE1, transient.options, &outcome);
		if (outcome.exit != VMM_FAILED || !outcome.settled)
			two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
		assert_int_equal(guest_node(w), NODE1);
		two_nodes_check(w, &transient, true, SEED);
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

static void it_goes_on_there_where_the_answer_is_lost_and_its_memory_has_arrived(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = begin("['source-lost']");
	two_nodes_migrate(w, NODE1, transient.options, &outcome);
	if (outcome.exit != VMM_DONE || !outcome.settled)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	two_nodes_check(w, &transient, true, SEED);
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void it_is_gone_where_its_process_ends_and_the_task_says_so(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = begin("['source-dies']");
	two_nodes_migrate(w, NODE1, transient.options, &outcome);
	if (outcome.exit != VMM_FAILED || !outcome.settled || !strstr(outcome.message, "absent on node1"))
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	for (int node = 0; node < NODES; node++) {
		vmm_auto_free char *now = guest_state(w, node);
		assert_string_equal(now, "absent");
	}
	outcome_free(&outcome);
	two_nodes_free(w);
}

/* False if the node gets no such call. */
static bool survives(int node, int call, enum fault what)
{
	struct two_nodes *w = begin(NULL);
	struct outcome outcome;
	two_nodes_describe(w, "%s: node%d, call %d: %s", transient.name, node + 1, call, fault_names[what]);
	two_nodes_inject(w, node, call, what);
	two_nodes_migrate(w, NODE1, transient.options, &outcome);
	bool injected = w->injected;
	two_nodes_check_guards(w);
	two_nodes_heal(w);
	two_nodes_recover_all(w, NODE1);
	two_nodes_check(w, &transient, true, SEED);
	two_nodes_migrate_again(w, &transient, SEED_AGAIN);
	outcome_free(&outcome);
	two_nodes_free(w);
	return injected;
}

static void it_survives_a_fault_at_any_call(void **state)
{
	(void)state;
	for (int node = 0; node < NODES; node++)
		for (enum fault what = REFUSED; what <= GONE_AFTER; what++) {
			int call = 1;
			while (survives(node, call, what))
				call++;
			assert_true(call > 5);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_moves_there_and_back_and_stays_transient),
		cmocka_unit_test(it_runs_on_where_its_memory_does_not_arrive),
		cmocka_unit_test(it_goes_on_there_where_the_answer_is_lost_and_its_memory_has_arrived),
		cmocka_unit_test(it_is_gone_where_its_process_ends_and_the_task_says_so),
		cmocka_unit_test(it_survives_a_fault_at_any_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
