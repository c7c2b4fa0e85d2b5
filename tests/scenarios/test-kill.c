/* The worker is killed, or the machines lose power, at every record of every journal and at every call: nothing starts that must not,
 * recover settles it, and the same migration succeeds afterwards. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "world.h"

/* wrap: tree_push */

enum { SEED = 21, SEED_AGAIN = 22, KILLED = 137 };

/* When, relative to a record's way to the disk. */
enum moment { UNWRITTEN, TORN, WRITTEN, MOMENTS };
static const char *const moment_names[MOMENTS] = {"unwritten", "torn", "written"};

/* Who loses power with the worker; bits. */
enum { NOBODY, SOURCE_DIES = 1, TARGET_DIES = 2, BOTH_DIE = 3, POWERS };
static const char *const power_names[POWERS] = {"nobody", "source", "target", "both"};

struct killer {
	int at, seen; /* records */
	enum moment moment;
};

/* The last bytes that are not zero never reached the disk. */
static void tear(const char *path)
{
	vmm_auto_free char *data = NULL;
	size_t length;
	if (file_read(path, JOURNAL_SIZE * 2, &data, &length, NULL) < 0)
		_exit(1);
	while (length && !data[length - 1])
		length--;
	vmm_auto_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (pwrite(fd, "\0\0\0\0", 4, (off_t)length - 4) != 4)
		_exit(1);
}

static int kill_at_record(void *context, const char *path, struct json_object *record, bool synced)
{
	struct killer *killer = context;
	(void)record;
	if (!synced)
		killer->seen++;
	if (killer->seen != killer->at || synced != (killer->moment != UNWRITTEN))
		return 0;
	if (killer->moment == TORN)
		tear(path);
	_exit(KILLED);
}

/* A guest that did not run is not started at boot either, so that one and the same is expected in the end. */
static void lose_power(struct world *w, const struct way *way, int power)
{
	for (int node = 0; node < NODES; node++)
		if (power & (1 << node))
			machine_dies(w, node);
	for (int node = 0; node < NODES; node++)
		if (way->runs && (power & (1 << node)))
			machine_boots(w, node);
}

/* From what is left of a killed migration to two good ends. */
static void mend(struct world *w, const struct way *way, int power)
{
	world_heal(w);
	lose_power(w, way, power);
	world_check_guards(w);
	world_settle(w, NODE1);
	world_check(w, way, way->runs, SEED);
	world_again(w, way, SEED_AGAIN);
}

static struct world *begin(const struct way *way)
{
	struct world *w = world_make();
	world_guest(w, NODE1, way, NULL);
	guest_writes(w, NODE1, way->shared, SEED);
	return w;
}

/* False where the migration came to its end before that record. */
static bool killed_at_record(const struct way *way, int at, enum moment moment, int power)
{
	struct killer killer = {.at = at, .moment = moment};
	struct world *w = begin(way);
	world_story(w, "%s: killed at record %d, %s; power: %s", way->name, at, moment_names[moment],
		    power_names[power]);
	int status = world_migrate_apart(w, NODE1, way->options, kill_at_record, &killer);
	if (status != KILLED && status != VMM_DONE)
		world_fail(w, "status %d", status);
	mend(w, way, status == KILLED ? power : NOBODY);
	world_free(w);
	return status == KILLED;
}

static void at_every_record(enum moment moment, int power)
{
	for (size_t i = 0; i < way_count; i++) {
		int at = 1;
		while (killed_at_record(&ways[i], at, moment, power))
			at++;
		assert_true(at > 15);
	}
}

static void survives_the_workers_death_before_each_record(void **state)
{
	(void)state;
	at_every_record(UNWRITTEN, NOBODY);
}

static void survives_the_workers_death_at_each_torn_record(void **state)
{
	(void)state;
	at_every_record(TORN, NOBODY);
}

static void survives_the_workers_death_after_each_record(void **state)
{
	(void)state;
	at_every_record(WRITTEN, NOBODY);
}

static void survives_the_loss_of_power_of_the_source_at_each_record(void **state)
{
	(void)state;
	at_every_record(TORN, SOURCE_DIES);
}

static void survives_the_loss_of_power_of_the_target_at_each_record(void **state)
{
	(void)state;
	at_every_record(WRITTEN, TARGET_DIES);
}

static void survives_the_loss_of_power_of_both_at_each_record(void **state)
{
	(void)state;
	at_every_record(WRITTEN, BOTH_DIE);
}

/* ------------------------------------------------------------------ calls */

static bool killed_at_call(const struct way *way, int node, int call, enum trouble what, int power)
{
	struct world *w = begin(way);
	world_story(w, "%s: node%d, call %d: %s; power: %s", way->name, node + 1, call, trouble_names[what],
		    power_names[power]);
	world_trouble(w, node, call, what);
	int status = world_migrate_apart(w, NODE1, way->options, NULL, NULL);
	if (status != KILLED && status != VMM_DONE)
		world_fail(w, "status %d", status);
	/* A token may have been on its way; that of a dead worker is in nobody's way. */
	w->struck = status == KILLED;
	w->trouble.node = NODE1;
	mend(w, way, status == KILLED ? power : NOBODY);
	world_free(w);
	return status == KILLED;
}

static void at_every_call(enum trouble what, int power)
{
	for (size_t i = 0; i < way_count; i++)
		for (int node = 0; node < NODES; node++) {
			int call = 1;
			while (killed_at_call(&ways[i], node, call, what, power))
				call++;
			assert_true(call > 5);
		}
}

static void survives_the_workers_death_at_every_call(void **state)
{
	(void)state;
	at_every_call(KILLED_AFTER, NOBODY);
}

static void survives_the_loss_of_power_of_both_at_every_call(void **state)
{
	(void)state;
	at_every_call(KILLED_AFTER, BOTH_DIE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_the_workers_death_before_each_record),
		cmocka_unit_test(survives_the_workers_death_at_each_torn_record),
		cmocka_unit_test(survives_the_workers_death_after_each_record),
		cmocka_unit_test(survives_the_loss_of_power_of_the_source_at_each_record),
		cmocka_unit_test(survives_the_loss_of_power_of_the_target_at_each_record),
		cmocka_unit_test(survives_the_loss_of_power_of_both_at_each_record),
		cmocka_unit_test(survives_the_workers_death_at_every_call),
		cmocka_unit_test(survives_the_loss_of_power_of_both_at_every_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
