/* Calls fail, links break, nodes disappear, at every call of a migration: the guest always ends on one node, as it was,
 * and the same migration succeeds afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

/* wrap: tree_push */

enum { SEED = 11, SEED_AGAIN = 12 };

/* If the task says that it is settled, the guest is on the node that it names. */
static void check_where_it_says(struct two_nodes *w, const struct outcome *outcome)
{
	if (!outcome->settled)
		return;
	int at = guest_node(w);
	bool moved = outcome->exit == VMM_DONE || outcome->exit == VMM_LEFTOVERS;
	if (at != (moved ? NODE2 : NODE1))
		two_nodes_fail(w, "the guest is on node%d, and the task says: %s", at + 1, outcome->message);
}

/* One fault in one migration. False if the node gets no such call. */
static bool survives(const struct variant *variant, int node, int call, enum fault what)
{
	struct two_nodes *w = two_nodes_make();
	struct outcome outcome, attempt = {0};
	two_nodes_describe(w, "%s: node%d, call %d: %s", variant->name, node + 1, call, fault_names[what]);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	two_nodes_inject(w, node, call, what);
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	bool injected = w->injected;
	check_where_it_says(w, &outcome);
	two_nodes_check_guards(w);
	/* While the node is gone, recovery cannot finish, and must not claim that it has. */
	if (!outcome.settled)
		two_nodes_recover(w, NODE1, outcome.task, NULL, &attempt);
	outcome_free(&attempt);
	two_nodes_check_guards(w);
	two_nodes_heal(w);
	two_nodes_recover_all(w, NODE1);
	two_nodes_check(w, variant, variant->runs, SEED);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	outcome_free(&outcome);
	two_nodes_free(w);
	return injected;
}

static void at_every_call(int node, enum fault what)
{
	for (size_t i = 0; i < variant_count; i++) {
		int call = 1;
		while (survives(&variants[i], node, call, what))
			call++;
		assert_true(call > 5);
	}
}

static void survives_a_source_that_refuses_any_call(void **state)
{
	(void)state;
	at_every_call(NODE1, REFUSED);
}

static void survives_a_source_that_does_a_call_and_reports_failure(void **state)
{
	(void)state;
	at_every_call(NODE1, DONE_BUT_FAILED);
}

static void survives_a_source_that_stops_answering_at_any_call(void **state)
{
	(void)state;
	at_every_call(NODE1, GONE_BEFORE);
	at_every_call(NODE1, GONE_AFTER);
}

static void survives_a_target_that_refuses_any_call(void **state)
{
	(void)state;
	at_every_call(NODE2, REFUSED);
}

static void survives_a_target_that_does_a_call_and_reports_failure(void **state)
{
	(void)state;
	at_every_call(NODE2, DONE_BUT_FAILED);
}

static void survives_a_link_that_breaks_before_any_call(void **state)
{
	(void)state;
	at_every_call(NODE2, CUT);
}

static void survives_the_loss_of_any_reply(void **state)
{
	(void)state;
	at_every_call(NODE2, REPLY_LOST);
	at_every_call(NODE2, LIMIT_PASSED);
}

static void survives_a_target_that_is_gone_at_any_call(void **state)
{
	(void)state;
	at_every_call(NODE2, GONE_BEFORE);
	at_every_call(NODE2, GONE_AFTER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_a_source_that_refuses_any_call),
		cmocka_unit_test(survives_a_source_that_does_a_call_and_reports_failure),
		cmocka_unit_test(survives_a_source_that_stops_answering_at_any_call),
		cmocka_unit_test(survives_a_target_that_refuses_any_call),
		cmocka_unit_test(survives_a_target_that_does_a_call_and_reports_failure),
		cmocka_unit_test(survives_a_link_that_breaks_before_any_call),
		cmocka_unit_test(survives_the_loss_of_any_reply),
		cmocka_unit_test(survives_a_target_that_is_gone_at_any_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
