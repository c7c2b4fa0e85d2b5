/* Whatever fails, at whatever moment: the guest ends on one node, as it was, and the same migration succeeds afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

/* wrap: tree_push */

enum { SEED = 11, SEED_AGAIN = 12 };

/* What the task says of its end is so, before anything is mended. */
static void says_the_truth(struct world *w, const struct ended *ended)
{
	if (!ended->settled)
		return;
	int at = guest_node(w);
	bool moved = ended->exit == VMM_DONE || ended->exit == VMM_LEFTOVERS;
	if (at != (moved ? NODE2 : NODE1))
		world_fail(w, "the guest is on node%d, and the task says: %s", at + 1, ended->message);
}

/* One fault in one migration. False where there was no such call any more. */
static bool survives(const struct way *way, int node, int call, enum trouble what)
{
	struct world *w = world_make();
	struct ended ended, hopeless = {0};
	world_story(w, "%s: node%d, call %d: %s", way->name, node + 1, call, trouble_names[what]);
	world_guest(w, NODE1, way, NULL);
	guest_writes(w, NODE1, way->shared, SEED);
	world_trouble(w, node, call, what);
	world_migrate(w, NODE1, way->options, &ended);
	bool struck = w->struck;
	says_the_truth(w, &ended);
	world_check_guards(w);
	/* To no avail while the node is gone, and it must not claim otherwise. */
	if (!ended.settled)
		world_recover(w, NODE1, ended.task, NULL, &hopeless);
	ended_free(&hopeless);
	world_check_guards(w);
	world_heal(w);
	world_settle(w, NODE1);
	world_check(w, way, way->runs, SEED);
	world_again(w, way, SEED_AGAIN);
	ended_free(&ended);
	world_free(w);
	return struck;
}

static void at_every_call(int node, enum trouble what)
{
	for (size_t i = 0; i < way_count; i++) {
		int call = 1;
		while (survives(&ways[i], node, call, what))
			call++;
		assert_true(call > 5);
	}
}

static void survives_a_source_that_refuses_any_call(void **state)
{
	(void)state;
	at_every_call(NODE1, REFUSED);
}

static void survives_a_source_that_does_what_it_says_it_did_not(void **state)
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

static void survives_a_target_that_does_what_it_says_it_did_not(void **state)
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
		cmocka_unit_test(survives_a_source_that_does_what_it_says_it_did_not),
		cmocka_unit_test(survives_a_source_that_stops_answering_at_any_call),
		cmocka_unit_test(survives_a_target_that_refuses_any_call),
		cmocka_unit_test(survives_a_target_that_does_what_it_says_it_did_not),
		cmocka_unit_test(survives_a_link_that_breaks_before_any_call),
		cmocka_unit_test(survives_the_loss_of_any_reply),
		cmocka_unit_test(survives_a_target_that_is_gone_at_any_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
