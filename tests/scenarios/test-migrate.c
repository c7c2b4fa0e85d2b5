/* The whole story between two machines: every mode, there, back, and there again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

static void succeeds(struct world *w, int from, const struct way *way, unsigned seed)
{
	struct ended ended;
	guest_writes(w, from, way->shared, seed);
	world_migrate(w, from, way->options, &ended);
	if (ended.exit != VMM_DONE || !ended.settled)
		world_fail(w, "exit %d: %s", (int)ended.exit, ended.message);
	if (guest_node(w) != !from)
		world_fail(w, "the guest has not moved");
	world_check(w, way, way->runs, seed);
	ended_free(&ended);
}

static void every_mode_moves_the_guest_there_and_back_and_there_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		struct world *w = world_make();
		world_guest(w, NODE1, &ways[i], NULL);
		for (unsigned turn = 0; turn < 3; turn++) {
			world_story(w, "%s, turn %u", ways[i].name, turn);
			succeeds(w, turn % 2 ? NODE2 : NODE1, &ways[i], turn + 7);
		}
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mode_moves_the_guest_there_and_back_and_there_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
