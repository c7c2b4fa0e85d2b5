/* The worker is killed, or machines lose power, at every record of every journal and at every call: no guest starts
 * that must not, recover brings it to an end, and the same migration succeeds afterwards. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "two-nodes.h"

/* wrap: tree_push */

enum { SEED = 21, SEED_AGAIN = 22, KILLED = 137 };

/* When the worker dies, relative to the write of a record. */
enum moment { UNWRITTEN, TORN, WRITTEN, MOMENTS };
static const char *const moment_names[MOMENTS] = {"unwritten", "torn", "written"};

/* The machines that lose power with the worker; bits. */
enum { NOBODY, SOURCE_DIES = 1, TARGET_DIES = 2, BOTH_DIE = 3, POWERS };
static const char *const power_names[POWERS] = {"nobody", "source", "target", "both"};

struct killer {
	int at, seen; /* the number of the record at which it dies; the records so far */
	enum moment moment;
};

/* Makes zeros of the last bytes, as if they had not reached the disk. */
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

/* A guest that was off is not started at boot here, so that it is expected to be off in the end. */
static void lose_power(struct two_nodes *w, const struct variant *variant, int power)
{
	for (int node = 0; node < NODES; node++)
		if (power & (1 << node))
			machine_loses_power(w, node);
	for (int node = 0; node < NODES; node++)
		if (variant->runs && (power & (1 << node)))
			machine_boots(w, node);
}

/* Recovers what a killed migration has left, checks the end, and migrates once more. */
static void recover_and_check(struct two_nodes *w, const struct variant *variant, int power)
{
	two_nodes_heal(w);
	lose_power(w, variant, power);
	two_nodes_check_guards(w);
	two_nodes_recover_all(w, NODE1);
	two_nodes_check(w, variant, variant->runs, SEED);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
}

static struct two_nodes *begin(const struct variant *variant)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	return w;
}

/* False if the migration ended before that record. */
static bool killed_at_record(const struct variant *variant, int at, enum moment moment, int power)
{
	struct killer killer = {.at = at, .moment = moment};
	struct two_nodes *w = begin(variant);
	two_nodes_describe(w, "%s: killed at record %d, %s; power: %s", variant->name, at, moment_names[moment],
			   power_names[power]);
	int status = two_nodes_migrate_in_child(w, NODE1, variant->options, kill_at_record, &killer);
	if (status != KILLED && status != VMM_DONE)
		two_nodes_fail(w, "status %d", status);
	recover_and_check(w, variant, status == KILLED ? power : NOBODY);
	two_nodes_free(w);
	return status == KILLED;
}

static void at_every_record(enum moment moment, int power)
{
	for (size_t i = 0; i < variant_count; i++) {
		int at = 1;
		while (killed_at_record(&variants[i], at, moment, power))
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

static bool killed_at_call(const struct variant *variant, int node, int call, enum fault what, int power)
{
	struct two_nodes *w = begin(variant);
	two_nodes_describe(w, "%s: node%d, call %d: %s; power: %s", variant->name, node + 1, call, fault_names[what],
			   power_names[power]);
	two_nodes_inject(w, node, call, what);
	int status = two_nodes_migrate_in_child(w, NODE1, variant->options, NULL, NULL);
	if (status != KILLED && status != VMM_DONE)
		two_nodes_fail(w, "status %d", status);
	/* A token file of the dead worker may be left; it does no harm. */
	w->injected = status == KILLED;
	w->fault.node = NODE1;
	recover_and_check(w, variant, status == KILLED ? power : NOBODY);
	two_nodes_free(w);
	return status == KILLED;
}

static void at_every_call(enum fault what, int power)
{
	for (size_t i = 0; i < variant_count; i++)
		for (int node = 0; node < NODES; node++) {
			int call = 1;
			while (killed_at_call(&variants[i], node, call, what, power))
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
