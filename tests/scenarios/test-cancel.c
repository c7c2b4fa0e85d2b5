/* Somebody asks to stop, or asks for the same once more, at any moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

/* wrap: tree_push */

enum { SEED = 51, SEED_AGAIN = 52, KILLED = 137 };

static struct world *begin(const struct way *way, int node, int call, enum trouble what)
{
	struct world *w = world_make();
	world_story(w, "%s: node%d, call %d: %s", way->name, node + 1, call, trouble_names[what]);
	world_guest(w, NODE1, way, NULL);
	guest_writes(w, NODE1, way->shared, SEED);
	world_trouble(w, node, call, what);
	return w;
}

static void end(struct world *w, const struct way *way)
{
	world_heal(w);
	world_settle(w, NODE1);
	world_check(w, way, way->runs, SEED);
	world_again(w, way, SEED_AGAIN);
	world_free(w);
}

/* ------------------------------------------------------------------ cancel */

/* Either it is undone, or it came too late; and the exit status says which. */
static bool cancelled_at(const struct way *way, int node, int call, int *undone)
{
	struct ended ended;
	struct world *w = begin(way, node, call, CANCELLED);
	world_migrate(w, NODE1, way->options, &ended);
	bool struck = w->struck, cancelled = ended.exit == VMM_CANCELLED;
	if (!ended.settled || (!cancelled && ended.exit != VMM_DONE) || guest_node(w) != (cancelled ? NODE1 : NODE2))
		world_fail(w, "exit %d: %s", (int)ended.exit, ended.message);
	*undone += cancelled;
	ended_free(&ended);
	end(w, way);
	return struck;
}

static void a_cancel_is_obeyed_up_to_the_commit_and_comes_too_late_after_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++)
		for (int node = 0; node < NODES; node++) {
			int call = 1, undone = 0;
			while (cancelled_at(&ways[i], node, call, &undone))
				call++;
			/* Neither all of them, nor none. */
			assert_in_range(undone, 3, call - 2);
		}
}

/* ------------------------------------------------------------------ a rival */

/* One of the two does it, whichever was first; the other is refused. */
static bool rivalled_at(const struct way *way, int node, int call, int *busy)
{
	struct ended ended;
	struct world *w = begin(way, node, call, RIVAL);
	w->way = way;
	world_migrate(w, NODE1, way->options, &ended);
	bool struck = w->struck;
	if (struck && (ended.exit == VMM_DONE) == (w->rival == VMM_DONE) && node == NODE1)
		world_fail(w, "exit %d, the rival's %d: %s", (int)ended.exit, w->rival, ended.message);
	*busy += struck && w->rival == VMM_BUSY;
	ended_free(&ended);
	world_heal(w);
	world_settle(w, NODE1);
	if (guest_node(w) != NODE2)
		world_fail(w, "neither has moved the guest");
	end(w, way);
	return struck;
}

static void of_two_tasks_one_moves_the_guest_and_the_other_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		int call = 1, busy = 0;
		while (rivalled_at(&ways[i], NODE1, call, &busy))
			call++;
		assert_true(busy > 1);
	}
}

static void a_guest_that_a_dead_task_holds_names_recover(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		struct ended ended;
		struct world *w = begin(&ways[i], NODE2, 5, KILLED_AFTER);
		assert_int_equal(world_migrate_apart(w, NODE1, ways[i].options, NULL, NULL), KILLED);
		world_heal(w);
		world_migrate(w, NODE1, ways[i].options, &ended);
		if (ended.exit != VMM_BUSY || strcmp(ended.code, "guest-locked") ||
		    !strstr(ended.message, "vmmigrate recover node1-"))
			world_fail(w, "exit %d, code %s: %s", (int)ended.exit, ended.code, ended.message);
		ended_free(&ended);
		end(w, &ways[i]);
	}
}

/* ------------------------------------------------------------------ an old copy */

static void an_old_copy_is_not_migrated_onto_the_newer_guest(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		struct ended ended;
		struct world *w = begin(&ways[i], NODE1, 0, NO_TROUBLE);
		world_migrate(w, NODE1, ways[i].options, &ended);
		assert_int_equal(ended.exit, VMM_DONE);
		ended_free(&ended);
		/* Somebody brings back what was here from a backup. */
		static const struct way old = {.name = "an old copy", .options = "{}"};
		world_guest(w, NODE1, &old, NULL);
		guest_writes(w, NODE1, false, SEED + 100);
		world_migrate(w, NODE1, "{\"replace\":true}", &ended);
		if (ended.exit != VMM_BLOCKED || strcmp(ended.code, "record-owner"))
			world_fail(w, "exit %d, code %s: %s", (int)ended.exit, ended.code, ended.message);
		if (!guest_has(w, NODE2, ways[i].shared, SEED))
			world_fail(w, "the newer guest is not what it was");
		ended_free(&ended);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cancel_is_obeyed_up_to_the_commit_and_comes_too_late_after_it),
		cmocka_unit_test(of_two_tasks_one_moves_the_guest_and_the_other_is_refused),
		cmocka_unit_test(a_guest_that_a_dead_task_holds_names_recover),
		cmocka_unit_test(an_old_copy_is_not_migrated_onto_the_newer_guest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
