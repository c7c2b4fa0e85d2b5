/* The clock is set while a tree is copied: times of files are worth nothing then, so all contents are compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

/* wrap: tree_push tree_clock_was_set */

enum { SEED = 91 };

static bool was_set;

bool __wrap_tree_clock_was_set(int fd);
bool __wrap_tree_clock_was_set(int fd)
{
	(void)fd;
	return was_set;
}

/* Counts the target's digests of the contents of a whole tree. */
static void count(void *context, int node, const char *what, struct json_object *args)
{
	*(int *)context += node == NODE2 && !strcmp(what, "digest") && json_true(args, "contents");
}

static int whole_comparisons(const struct variant *variant)
{
	struct outcome outcome;
	int counted = 0;
	struct two_nodes *w = two_nodes_make();
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	w->watch = count;
	w->watch_context = &counted;
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	if (outcome.exit != VMM_DONE)
		two_nodes_fail(w, "%s", outcome.message);
	outcome_free(&outcome);
	two_nodes_free(w);
	return counted;
}

static void all_contents_are_compared_if_the_clock_was_set(void **state)
{
	(void)state;
	int trees = 0;
	for (size_t i = 0; i < variant_count; i++) {
		if (!variants[i].tree)
			continue;
		was_set = false;
		int before = whole_comparisons(&variants[i]);
		was_set = true;
		assert_true(whole_comparisons(&variants[i]) > before);
		trees++;
	}
	assert_true(trees > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_contents_are_compared_if_the_clock_was_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
