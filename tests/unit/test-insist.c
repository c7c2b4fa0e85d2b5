/* How long migration_insist goes on trying to reach a node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "migration/migration.h"

enum { PATIENCE_MS = 250 };

struct unreachable {
	struct migration m;
	const char *code; /* what connecting fails with */
	int tries;
};

static int cannot_connect(struct migration *m, struct vmm_error **err)
{
	struct unreachable *unreachable = (struct unreachable *)((char *)m - offsetof(struct unreachable, m));
	unreachable->tries++;
	return error_set(err, VMM_FAILED, unreachable->code, "node2 is away");
}

static struct unreachable unreachable_node(void)
{
	return (struct unreachable){.m = {.patience_ms = PATIENCE_MS, .connect = cannot_connect}, .code = "no-route"};
}

/* Calls migration_insist, which must fail; the number of times that it tried to connect. */
static int insist(struct unreachable *unreachable)
{
	vmm_auto_error struct vmm_error *err = NULL;
	unreachable->tries = 0;
	assert_int_equal(migration_insist(&unreachable->m, TARGET, NODE_STATE, NULL, NULL, &err), -1);
	assert_true(error_is(err, unreachable->code));
	return unreachable->tries;
}

static void an_unreachable_node_is_tried_until_the_time_is_up(void **state)
{
	(void)state;
	struct unreachable node = unreachable_node();
	assert_true(insist(&node) > 1);
}

static void a_node_that_has_timed_out_gets_one_try_afterwards(void **state)
{
	(void)state;
	struct unreachable node = unreachable_node();
	insist(&node);
	assert_int_equal(insist(&node), 1);
	assert_int_equal(insist(&node), 1);
}

static void a_node_that_has_answered_meanwhile_gets_the_full_time_again(void **state)
{
	(void)state;
	struct unreachable node = unreachable_node();
	insist(&node);
	node.code = "wrong-state";
	assert_int_equal(insist(&node), 1);
	node.code = "no-route";
	assert_true(insist(&node) > 1);
}

static void with_no_time_to_wait_there_is_one_try(void **state)
{
	(void)state;
	struct unreachable node = unreachable_node();
	node.m.patience_ms = 0;
	assert_int_equal(insist(&node), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_unreachable_node_is_tried_until_the_time_is_up),
		cmocka_unit_test(a_node_that_has_timed_out_gets_one_try_afterwards),
		cmocka_unit_test(a_node_that_has_answered_meanwhile_gets_the_full_time_again),
		cmocka_unit_test(with_no_time_to_wait_there_is_one_try),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
