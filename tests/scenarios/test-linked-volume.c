/* A volume whose path is a symbolic link is the file that the link leads to: that is copied, and both are given up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "two-nodes.h"

static char *in_disks(struct two_nodes *w, int node, const char *name)
{
	return str_format("%s/disks/%s", w->machine[node].root, name);
}

/* Moves the guest's image on node1 to disks/data.raw, behind a link to a link. */
static struct two_nodes *two_nodes_with_link(const struct variant *variant, const char *behaviours)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_guest(w, NODE1, variant, behaviours);
	guest_writes(w, NODE1, false, 1);
	vmm_auto_free char *path = in_disks(w, NODE1, GUEST ".raw"), *data = in_disks(w, NODE1, "data.raw"),
			   *middle = in_disks(w, NODE1, "middle");
	if (rename(path, data) < 0 || symlink(data, middle) < 0 || symlink("middle", path) < 0)
		two_nodes_fail(w, "the link: %m");
	return w;
}

static void is_gone(struct two_nodes *w, int node, const char *name)
{
	vmm_auto_free char *path = in_disks(w, node, name);
	if (file_there(path))
		two_nodes_fail(w, "%s is still there", path);
}

static void link_and_data_are_given_up_alike(void **state)
{
	(void)state;
	static const char *const names[] = {"restart, local volume", "offline, local volume"};
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		const struct variant *variant = variant_named(names[i]);
		struct two_nodes *w = two_nodes_with_link(variant, NULL);
		struct outcome outcome;
		struct stat info;
		two_nodes_migrate(w, NODE1, variant->options, &outcome);
		if (outcome.exit != VMM_DONE)
			two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
		two_nodes_check(w, variant, variant->runs, 1);
		is_gone(w, NODE1, "middle");
		is_gone(w, NODE1, "data.raw");
		vmm_auto_free char *arrived = in_disks(w, NODE2, GUEST ".raw");
		assert_int_equal(lstat(arrived, &info), 0);
		assert_true(S_ISREG(info.st_mode));
		outcome_free(&outcome);
		two_nodes_migrate_again(w, variant, 2);
		two_nodes_free(w);
	}
}

static void both_stay_if_the_migration_fails(void **state)
{
	(void)state;
	const struct variant *variant = variant_named("restart, local volume");
	struct two_nodes *w = two_nodes_with_link(variant, "['no-start']");
	struct outcome outcome;
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	assert_int_equal(outcome.exit, VMM_FAILED);
	two_nodes_check(w, variant, true, 1);
	outcome_free(&outcome);
	two_nodes_free(w);
}

static void a_seed_is_made_of_the_data(void **state)
{
	(void)state;
	const struct variant *variant = variant_named("offline, local volume");
	struct two_nodes *w = two_nodes_with_link(variant, NULL);
	struct outcome outcome;
	struct stat info;
	two_nodes_migrate(w, NODE1, "{\"keep_seed\":true}", &outcome);
	assert_int_equal(outcome.exit, VMM_DONE);
	vmm_auto_free char *seed = in_disks(w, NODE1, ".vmmigrate-seed-" GUEST ".raw");
	assert_int_equal(lstat(seed, &info), 0);
	assert_true(S_ISREG(info.st_mode));
	is_gone(w, NODE1, GUEST ".raw");
	is_gone(w, NODE1, "middle");
	is_gone(w, NODE1, "data.raw");
	outcome_free(&outcome);
	two_nodes_free(w);
}

/* Somebody makes the link lead to another file just before the source gives the volume up. */
static void change_link(void *context, int node, const char *what, struct json_object *args)
{
	struct two_nodes *w = context;
	(void)args;
	if (node != NODE1 || strcmp(what, "give_up"))
		return;
	vmm_auto_free char *path = in_disks(w, NODE1, GUEST ".raw"), *other = in_disks(w, NODE1, "other.raw");
	struct vmm_error *err = NULL;
	if (file_write(other, "precious", 8, 0600, &err) < 0 || unlink(path) < 0 || symlink("other.raw", path) < 0)
		two_nodes_fail(w, "the other link");
}

static void a_link_that_leads_elsewhere_by_now_stays_with_its_file(void **state)
{
	(void)state;
	const struct variant *variant = variant_named("offline, local volume");
	struct two_nodes *w = two_nodes_with_link(variant, NULL);
	struct outcome outcome;
	w->watch = change_link;
	w->watch_context = w;
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	if (outcome.exit != VMM_LEFTOVERS)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	vmm_auto_free char *other = in_disks(w, NODE1, "other.raw"), *data = in_disks(w, NODE1, "data.raw");
	assert_true(file_there(other));
	assert_true(file_there(data));
	outcome_free(&outcome);
	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_and_data_are_given_up_alike),
		cmocka_unit_test(both_stay_if_the_migration_fails),
		cmocka_unit_test(a_seed_is_made_of_the_data),
		cmocka_unit_test(a_link_that_leads_elsewhere_by_now_stays_with_its_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
