/* How long migration_insist tries to reach a node again that is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "migration/migration.h"

enum { PATIENCE_MS = 250 };

struct lost {
	struct migration m;
	const char *code; /* what connecting fails with */
	int tries;
};

static int cannot_connect(struct migration *m, struct vmm_error **err)
{
	struct lost *lost = (struct lost *)((char *)m - offsetof(struct lost, m));
	lost->tries++;
	return error_set(err, VMM_FAILED, lost->code, "node2 is away");
}

static struct lost away(void)
{
	return (struct lost){.m = {.patience_ms = PATIENCE_MS, .connect = cannot_connect}, .code = "no-route"};
}

/* Calls migration_insist, which has to fail, and returns the number of tries. */
static int insist(struct lost *lost)
{
	vmm_auto_error struct vmm_error *err = NULL;
	lost->tries = 0;
	assert_int_equal(migration_insist(&lost->m, TARGET, NODE_STATE, NULL, NULL, &err), -1);
	assert_true(error_is(err, lost->code));
	return lost->tries;
}

static void a_lost_node_is_tried_again_and_again(void **state)
{
	(void)state;
	struct lost lost = away();
	assert_true(insist(&lost) > 1);
}

static void one_that_was_waited_for_in_vain_is_not_waited_for_again(void **state)
{
	(void)state;
	struct lost lost = away();
	insist(&lost);
	assert_int_equal(insist(&lost), 1);
	assert_int_equal(insist(&lost), 1);
}

static void one_that_was_heard_meanwhile_is_waited_for_anew(void **state)
{
	(void)state;
	struct lost lost = away();
	insist(&lost);
	lost.code = "wrong-state";
	assert_int_equal(insist(&lost), 1);
	lost.code = "no-route";
	assert_true(insist(&lost) > 1);
}

static void without_patience_there_is_one_try(void **state)
{
	(void)state;
	struct lost lost = away();
	lost.m.patience_ms = 0;
	assert_int_equal(insist(&lost), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lost_node_is_tried_again_and_again),
		cmocka_unit_test(one_that_was_waited_for_in_vain_is_not_waited_for_again),
		cmocka_unit_test(one_that_was_heard_meanwhile_is_waited_for_anew),
		cmocka_unit_test(without_patience_there_is_one_try),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
