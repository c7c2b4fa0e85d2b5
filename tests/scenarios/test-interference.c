/* Somebody else changes the guest, its volume or the target during a migration: the migration notices it, and never
 * takes over what is not its own. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <dirent.h>
#include <cmocka.h>

#include "two-nodes-internal.h"

enum { SEED = 81, SEED_AGAIN = 82, SEED_OTHER = 83 };

/* wrap: tree_push */

static const struct variant *const live = &variants[0], *const restart = &variants[2], *const offline = &variants[4],
				   *const tree = &variants[6];

/* What somebody else does just before a phase begins. */
struct interference {
	struct two_nodes *w;
	const char *phase;
	void (*interfere)(struct two_nodes *w);
	int times;
};

static int interfere_before(void *context, const char *path, struct json_object *record, bool synced)
{
	struct interference *m = context;
	(void)path;
	if (synced && str_same(json_text(record, "what"), "do") && str_same(json_text(record, "phase"), m->phase)) {
		m->times++;
		m->interfere(m->w);
	}
	return 0;
}

static struct two_nodes *moves(const struct variant *variant, const char *phase, void (*interfere)(struct two_nodes *w),
			       struct outcome *outcome)
{
	struct two_nodes *w = two_nodes_make();
	struct interference m = {w, phase, interfere, 0};
	two_nodes_describe(w, "%s, before %s", variant->name, phase);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	journal_watch(interfere_before, &m);
	two_nodes_migrate(w, NODE1, variant->options, outcome);
	journal_watch(NULL, NULL);
	if (m.times != 1)
		two_nodes_fail(w, "%s was begun %d times: %s", phase, m.times, outcome->message);
	return w;
}

static void expect_undone(struct two_nodes *w, struct outcome *outcome, const char *code)
{
	if (!outcome->settled || strcmp(outcome->code, code) || guest_node(w) != NODE1)
		two_nodes_fail(w, "exit %d, code %s: %s", (int)outcome->exit, outcome->code, outcome->message);
	outcome_free(outcome);
}

static void migrate_again_and_free(struct two_nodes *w, const struct variant *variant)
{
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	two_nodes_free(w);
}

/* ------------------------------------------------------------------ the source */

static void writes_to_the_source(struct two_nodes *w)
{
	guest_writes(w, NODE1, false, SEED_OTHER);
}

static void a_volume_written_to_after_the_stop_undoes_the_migration(void **state)
{
	(void)state;
	const struct variant *const kinds[] = {restart, tree};
	static const char *const before[] = {"verify", "publish"};
	for (size_t i = 0; i < VMM_COUNT(kinds) * VMM_COUNT(before); i++) {
		const struct variant *variant = kinds[i / VMM_COUNT(before)];
		struct outcome outcome;
		struct two_nodes *w = moves(variant, before[i % VMM_COUNT(before)], writes_to_the_source, &outcome);
		expect_undone(w, &outcome, "source-changed");
		two_nodes_check(w, variant, true, SEED_OTHER);
		migrate_again_and_free(w, variant);
	}
}

static void edits_the_definition(struct two_nodes *w)
{
	static const struct variant shared = {.name = "edited", .options = "{}", .shared = true};
	two_nodes_guest(w, NODE1, &shared, NULL);
}

static void a_definition_edited_before_the_stop_undoes_the_migration(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = moves(restart, "stop", edits_the_definition, &outcome);
	expect_undone(w, &outcome, "definition-changed");
	vmm_auto_free char *now = guest_state(w, NODE1);
	assert_string_equal(now, "running");
	two_nodes_free(w);
}

static void powers_off(struct two_nodes *w)
{
	machine_loses_power(w, NODE1);
}

static void a_guest_that_powers_off_before_the_handover_stays_off_on_the_source(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = moves(live, "handover", powers_off, &outcome);
	expect_undone(w, &outcome, "guest-state");
	two_nodes_check(w, live, false, SEED);
	static const struct variant stopped = {.name = "stopped", .options = "{}", .shared = true};
	migrate_again_and_free(w, &stopped);
}

/* Turned off by hand, for a reason that libvirt names. */
static void goes_off(struct two_nodes *w, const char *reason, bool saved)
{
	machine_loses_power(w, NODE1);
	guest_says(w, NODE1, json_make("reason:s managed_save:b", reason, (int)saved));
}

static void is_saved(struct two_nodes *w)
{
	goes_off(w, "saved", true);
}

static void is_moved_to_a_third_node(struct two_nodes *w)
{
	goes_off(w, "migrated", false);
}

static void is_powered_off_by_its_user(struct two_nodes *w)
{
	goes_off(w, "shutdown", false);
}

/* FAULTS 74: whatever the moment, what somebody else did to the guest stands, and the migration is undone. */
static void a_guest_that_others_turn_off_in_the_rounds_stays_as_they_left_it(void **state)
{
	(void)state;
	static const struct {
		void (*deed)(struct two_nodes *w);
		const char *code;
	} deeds[] = {{is_saved, "managed-save"},
		     {is_moved_to_a_third_node, "guest-state"},
		     {is_powered_off_by_its_user, "guest-state"}};
	static const char *const before[] = {"precopy", "rounds", "switch-hooks", "stop"};
	for (size_t i = 0; i < VMM_COUNT(deeds) * VMM_COUNT(before); i++) {
		struct outcome outcome;
		struct two_nodes *w =
			moves(restart, before[i / VMM_COUNT(deeds)], deeds[i % VMM_COUNT(deeds)].deed, &outcome);
		expect_undone(w, &outcome, deeds[i % VMM_COUNT(deeds)].code);
		vmm_auto_free char *now = guest_state(w, NODE1);
		assert_string_equal(now, "shutoff");
		assert_true(two_nodes_guard_admits(w, NODE1));
		assert_true(volume_holds(w, NODE1, false, SEED));
		two_nodes_free(w);
	}
}

/* The memory was not moved by this task: the guest runs elsewhere, and must not be started here as well. */
static void a_guest_that_others_have_moved_away_is_not_started_by_the_undo(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = moves(live, "handover", is_moved_to_a_third_node, &outcome);
	expect_undone(w, &outcome, "guest-state");
	vmm_auto_free char *now = guest_state(w, NODE1);
	assert_string_equal(now, "shutoff");
	two_nodes_free(w);
}

static void starts_here(struct two_nodes *w)
{
	guest_starts(w, NODE1);
}

/* FAULTS 73. The guard refuses such a start; a hypervisor without one does not. */
static void a_stopped_guest_that_is_started_while_it_is_copied_is_not_given_away(void **state)
{
	(void)state;
	static const char *const before[] = {"prepare", "copy", "verify", "publish", "define"};
	for (size_t i = 0; i < VMM_COUNT(before); i++) {
		struct outcome outcome;
		struct two_nodes *w = moves(offline, before[i], starts_here, &outcome);
		expect_undone(w, &outcome, "guest-state");
		vmm_auto_free char *now = guest_state(w, NODE1);
		assert_string_equal(now, "running");
		two_nodes_free(w);
	}
}

/* FAULTS 75. */
static void a_stopped_guest_that_is_edited_while_it_is_copied_keeps_the_edit(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = moves(offline, "define", edits_the_definition, &outcome);
	expect_undone(w, &outcome, "definition-changed");
	two_nodes_free(w);
}

static void has_moments(struct two_nodes *w, const char *first, const char *second)
{
	struct json_object *moments = json_object_new_array();
	if (first)
		json_object_array_add(moments, json_make("kind:s name:s", "checkpoint", first));
	if (second)
		json_object_array_add(moments, json_make("kind:s name:s", "snapshot", second));
	guest_says(w, NODE1, json_make("moments:o", moments));
}

static void takes_a_snapshot(struct two_nodes *w)
{
	has_moments(w, "monday", "before the update");
}

static void deletes_its_checkpoint(struct two_nodes *w)
{
	has_moments(w, NULL, NULL);
}

static void makes_a_checkpoint_in_place_of_another(struct two_nodes *w)
{
	has_moments(w, "tuesday", NULL);
}

static void a_snapshot_or_checkpoint_made_or_deleted_meanwhile_undoes_the_migration(void **state)
{
	(void)state;
	static const struct variant *const kinds[] = {&variants[0], &variants[2], &variants[4]};
	static const char *const before[] = {"handover", "stop", "define"};
	void (*const deeds[])(struct two_nodes *) = {takes_a_snapshot, deletes_its_checkpoint,
						     makes_a_checkpoint_in_place_of_another};
	for (size_t i = 0; i < VMM_COUNT(kinds) * VMM_COUNT(deeds); i++) {
		const struct variant *kind = kinds[i / VMM_COUNT(deeds)];
		struct outcome outcome;
		struct two_nodes *w = moves(kind, before[i / VMM_COUNT(deeds)], deeds[i % VMM_COUNT(deeds)], &outcome);
		expect_undone(w, &outcome, "snapshots");
		vmm_auto_free char *now = guest_state(w, NODE1);
		assert_string_equal(now, kind->runs ? "running" : "shutoff");
		two_nodes_free(w);
	}
}

/* The guest is off: it would have been taken for nothing. */
static int take_a_snapshot_when_it_is_off(void *context, const char *path, struct json_object *record, bool synced)
{
	(void)path;
	if (synced && str_same(json_text(record, "what"), "done") && str_same(json_text(record, "phase"), "stop"))
		takes_a_snapshot(context);
	return 0;
}

static void a_snapshot_taken_after_the_stop_undoes_the_migration_before_the_commit(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_make();
	struct outcome outcome;
	two_nodes_describe(w, "%s, a snapshot after the stop", restart->name);
	two_nodes_guest(w, NODE1, restart, NULL);
	guest_writes(w, NODE1, false, SEED);
	journal_watch(take_a_snapshot_when_it_is_off, w);
	two_nodes_migrate(w, NODE1, restart->options, &outcome);
	journal_watch(NULL, NULL);
	expect_undone(w, &outcome, "snapshots");
	vmm_auto_free char *now = guest_state(w, NODE1);
	assert_string_equal(now, "running");
	two_nodes_free(w);
}

static void begins_a_backup(struct two_nodes *w)
{
	guest_says(w, NODE1, json_make("job:s", "backup"));
}

/* The guest would be shut down in the middle of it. */
static void a_job_that_begins_meanwhile_undoes_the_migration_before_the_stop(void **state)
{
	(void)state;
	static const struct variant *const kinds[] = {&variants[0], &variants[2]};
	static const char *const before[] = {"handover", "stop"};
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		struct outcome outcome;
		struct two_nodes *w = moves(kinds[i], before[i], begins_a_backup, &outcome);
		expect_undone(w, &outcome, "guest-job-active");
		vmm_auto_free char *now = guest_state(w, NODE1), *memory = guest_memory(w, NODE1);
		assert_string_equal(now, "running");
		assert_string_equal(memory, w->memory);
		two_nodes_free(w);
	}
}

/* ------------------------------------------------------------------ the target */

static void flips_a_bit_of_the_copy(struct two_nodes *w)
{
	vmm_auto_free char *dir = str_format("%s/disks", w->machine[NODE2].root);
	DIR *names = opendir(dir);
	struct dirent *entry;
	while ((entry = readdir(names))) {
		if (!str_starts(entry->d_name, ".vmmigrate-"))
			continue;
		vmm_auto_free char *path = str_format("%s/%s", dir, entry->d_name);
		vmm_auto_close int fd = open(path, O_RDWR | O_CLOEXEC);
		char byte;
		assert_int_equal(pread(fd, &byte, 1, 5000), 1);
		byte ^= 4;
		assert_int_equal(pwrite(fd, &byte, 1, 5000), 1);
	}
	closedir(names);
}

/* What was read back while the guest ran is not read again. So the guest is off: its copy is not verified yet. */
static void a_bit_flipped_in_the_copy_is_found_before_the_commit(void **state)
{
	(void)state;
	struct outcome outcome;
	struct two_nodes *w = moves(offline, "verify", flips_a_bit_of_the_copy, &outcome);
	expect_undone(w, &outcome, "verify-failed");
	two_nodes_check(w, offline, false, SEED);
	migrate_again_and_free(w, offline);
}

static void makes_a_file_at_the_destination(struct two_nodes *w)
{
	guest_writes(w, NODE2, false, SEED_OTHER);
}

static void another_file_at_the_destination_is_not_replaced(void **state)
{
	(void)state;
	static const struct variant *const kinds[] = {&variants[2], &variants[4]};
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		struct outcome outcome;
		struct two_nodes *w = moves(kinds[i], "publish", makes_a_file_at_the_destination, &outcome);
		expect_undone(w, &outcome, "volume-taken");
		assert_true(volume_holds(w, NODE2, false, SEED_OTHER));
		assert_true(volume_holds(w, NODE1, false, SEED));
		vmm_auto_free char *others = str_format("%s/disks/" GUEST ".raw", w->machine[NODE2].root);
		unlink(others);
		two_nodes_check(w, kinds[i], kinds[i]->runs, SEED);
		migrate_again_and_free(w, kinds[i]);
	}
}

static void defines_a_guest_on_the_target(struct two_nodes *w)
{
	static const struct variant other = {.name = "another guest", .options = "{}", .shared = true};
	two_nodes_guest(w, NODE2, &other, "['deaf']");
}

static void another_guest_on_the_target_is_not_replaced(void **state)
{
	(void)state;
	static const char *const before[] = {"define", "define", "handover"};
	static const struct variant *const kinds[] = {&variants[2], &variants[4], &variants[0]};
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		struct outcome outcome;
		struct two_nodes *w = moves(kinds[i], before[i], defines_a_guest_on_the_target, &outcome);
		if (strcmp(outcome.code, "name-taken") || !outcome.settled)
			two_nodes_fail(w, "exit %d, code %s: %s", (int)outcome.exit, outcome.code, outcome.message);
		vmm_auto_free char *here = guest_state(w, NODE1), *there = guest_state(w, NODE2);
		assert_string_equal(here, kinds[i]->runs ? "running" : "shutoff");
		assert_string_equal(there, "shutoff");
		assert_true(volume_holds(w, NODE1, kinds[i]->shared, SEED));
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

/* The task is over, so it names no way back; but its last line must not say that all is well. */
static void powers_off_on_the_target(struct two_nodes *w)
{
	guest_ends(w, NODE2);
}

static void a_guest_that_powers_off_after_settling_gives_a_warning(void **state)
{
	(void)state;
	static const struct variant *const kinds[] = {&variants[0], &variants[2]};
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		struct outcome outcome;
		struct two_nodes *w = moves(kinds[i], "confirm", powers_off_on_the_target, &outcome);
		if (outcome.exit != VMM_DONE || !outcome.settled || strcmp(outcome.message, "TASK WARNINGS: 1"))
			two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
		assert_int_equal(guest_node(w), NODE2);
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

static void undefines(struct two_nodes *w)
{
	vmm_auto_free char *guest = str_format("%s/guests/" GUEST ".json", w->machine[NODE1].root);
	unlink(guest);
}

/* Off by this task's own order, or off from the beginning, the guest is undefined by hand: "safe on the source" means
 * that it is defined there again, as it was, and runs if it ran. */
static void a_guest_that_is_undefined_while_it_is_off_is_defined_again_by_the_undo(void **state)
{
	(void)state;
	static const struct {
		const struct variant *variant;
		const char *before;
	} cases[] = {{&variants[2], "copy"},  {&variants[2], "handover"}, {&variants[3], "define"},
		     {&variants[4], "copy"},  {&variants[4], "define"},	  {&variants[5], "define"},
		     {&variants[6], "verify"}};
	for (size_t i = 0; i < VMM_COUNT(cases); i++) {
		const struct variant *variant = cases[i].variant;
		struct outcome outcome;
		struct two_nodes *w = moves(variant, cases[i].before, undefines, &outcome);
		expect_undone(w, &outcome, "guest-gone");
		two_nodes_check(w, variant, variant->runs, SEED);
		migrate_again_and_free(w, variant);
	}
}

static void undefines_with_all_storage(struct two_nodes *w)
{
	vmm_auto_free char *volume = str_format("%s/disks/" GUEST ".raw", w->machine[NODE1].root);
	undefines(w);
	unlink(volume);
}

/* A definition without its volumes would be of no use, and somebody wanted the guest to be gone: the task must not wait
 * for an administrator because of that. */
static void a_guest_that_is_undefined_with_its_volumes_stays_so_and_leaves_no_open_task(void **state)
{
	(void)state;
	static const struct variant *const kinds[] = {&variants[2], &variants[4]};
	for (size_t i = 0; i < VMM_COUNT(kinds); i++) {
		struct outcome outcome;
		struct two_nodes *w = moves(kinds[i], "define", undefines_with_all_storage, &outcome);
		if (outcome.exit != VMM_FAILED || !outcome.settled)
			two_nodes_fail(w, "exit %d, code %s: %s", (int)outcome.exit, outcome.code, outcome.message);
		assert_non_null(strstr(outcome.message, "is absent on node1"));
		vmm_auto_free char *now = guest_state(w, NODE1);
		assert_string_equal(now, "absent");
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

/* It ran when it was undefined, so that it has no definition any more once it is off: it may run elsewhere by now. */
static void moves_itself_away(struct two_nodes *w)
{
	machine_loses_power(w, NODE1);
	undefines(w);
}

static void a_guest_that_others_have_moved_away_whole_is_not_defined_again(void **state)
{
	(void)state;
	static const struct {
		const struct variant *variant;
		const char *before;
	} cases[] = {{&variants[2], "rounds"}, {&variants[2], "stop"}, {&variants[0], "handover"}};
	for (size_t i = 0; i < VMM_COUNT(cases); i++) {
		struct outcome outcome;
		struct two_nodes *w = moves(cases[i].variant, cases[i].before, moves_itself_away, &outcome);
		if (strcmp(outcome.code, "guest-gone") || outcome.exit != VMM_FAILED || !outcome.settled)
			two_nodes_fail(w, "exit %d, code %s: %s", (int)outcome.exit, outcome.code, outcome.message);
		vmm_auto_free char *now = guest_state(w, NODE1);
		assert_string_equal(now, "absent");
		outcome_free(&outcome);
		two_nodes_free(w);
	}
}

/* The guest is there with its definition, and somebody edits it here just before the commit, while the target is lost.
 */
static int edit_and_lose_the_target(void *context, const char *path, struct json_object *record, bool synced)
{
	struct two_nodes *w = context;
	(void)path;
	if (synced && str_same(json_text(record, "what"), "done") && str_same(json_text(record, "phase"), "define")) {
		edits_the_definition(w);
		w->lost[NODE2] = w->gone[NODE2] = true;
	}
	return 0;
}

/* The source has undone the migration and unlocked the guest, which has been started again: no decision ends it. */
static void a_decision_for_the_target_comes_too_late_once_the_source_has_unlocked(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_make();
	struct outcome outcome, kept;
	two_nodes_describe(w, "%s, the target lost before the commit", offline->name);
	two_nodes_guest(w, NODE1, offline, NULL);
	guest_writes(w, NODE1, false, SEED);
	journal_watch(edit_and_lose_the_target, w);
	two_nodes_migrate(w, NODE1, offline->options, &outcome);
	journal_watch(NULL, NULL);
	assert_string_equal(outcome.code, "definition-changed");
	assert_false(outcome.settled);
	two_nodes_heal(w);
	guest_starts(w, NODE1);
	two_nodes_recover(w, NODE1, outcome.task, "target", &kept);
	assert_string_equal(kept.code, "unlocked");
	vmm_auto_free char *now = guest_state(w, NODE1);
	assert_string_equal(now, "running");
	outcome_free(&kept);
	two_nodes_recover_all(w, NODE1);
	assert_int_equal(guest_node(w), NODE1);
	outcome_free(&outcome);
	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_written_to_after_the_stop_undoes_the_migration),
		cmocka_unit_test(a_definition_edited_before_the_stop_undoes_the_migration),
		cmocka_unit_test(a_guest_that_powers_off_before_the_handover_stays_off_on_the_source),
		cmocka_unit_test(a_guest_that_others_turn_off_in_the_rounds_stays_as_they_left_it),
		cmocka_unit_test(a_guest_that_others_have_moved_away_is_not_started_by_the_undo),
		cmocka_unit_test(a_stopped_guest_that_is_started_while_it_is_copied_is_not_given_away),
		cmocka_unit_test(a_stopped_guest_that_is_edited_while_it_is_copied_keeps_the_edit),
		cmocka_unit_test(a_snapshot_or_checkpoint_made_or_deleted_meanwhile_undoes_the_migration),
		cmocka_unit_test(a_snapshot_taken_after_the_stop_undoes_the_migration_before_the_commit),
		cmocka_unit_test(a_job_that_begins_meanwhile_undoes_the_migration_before_the_stop),
		cmocka_unit_test(a_bit_flipped_in_the_copy_is_found_before_the_commit),
		cmocka_unit_test(another_file_at_the_destination_is_not_replaced),
		cmocka_unit_test(another_guest_on_the_target_is_not_replaced),
		cmocka_unit_test(a_guest_that_powers_off_after_settling_gives_a_warning),
		cmocka_unit_test(a_guest_that_is_undefined_while_it_is_off_is_defined_again_by_the_undo),
		cmocka_unit_test(a_guest_that_is_undefined_with_its_volumes_stays_so_and_leaves_no_open_task),
		cmocka_unit_test(a_guest_that_others_have_moved_away_whole_is_not_defined_again),
		cmocka_unit_test(a_decision_for_the_target_comes_too_late_once_the_source_has_unlocked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
