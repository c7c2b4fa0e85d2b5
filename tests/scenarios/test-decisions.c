/* FAULTS 27, 28, 51: an administrator decides, links break and machines lose power in the moments where two faults come
 * together. The guest never runs twice, and one node can start it in the end.
 * wrap: node_open_remote forward_verb tree_push */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "two-nodes-internal.h"

enum { SEED = 91, SEED_AGAIN = 92, KILLED = 137 };

static struct two_nodes *begin(const struct variant *variant, const char *behaviours)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s", variant->name);
	two_nodes_guest(w, NODE1, variant, behaviours);
	guest_writes(w, NODE1, variant->shared, SEED);
	return w;
}

static char *task_of(struct two_nodes *w)
{
	vmm_auto_free char *dir = str_format("%s/tasks", w->machine[NODE1].state);
	vmm_auto_json struct json_object *names = NULL;
	assert_int_equal(dir_list(dir, &names, NULL), 0);
	return str_copy(json_text_or(names, "0", "none"));
}

/* The kill comes right after a node has done one operation. */
struct moment {
	struct two_nodes *w;
	int node;
	const char *operation, *to; /* `to`: the state of an ADVANCE, or NULL */
};

static void kill_at_moment(void *context, int node, const char *what, struct json_object *args)
{
	struct moment *m = context;
	if (node == m->node && !strcmp(what, m->operation) && (!m->to || str_same(json_text(args, "to"), m->to)))
		two_nodes_inject(m->w, node, m->w->calls[node] + 1, KILLED_AFTER);
}

static void run_until(struct two_nodes *w, const struct variant *variant, int node, const char *operation,
		      const char *to)
{
	struct moment moment = {w, node, operation, to};
	two_nodes_describe(w, "%s: killed after node%d's %s %s", variant->name, node + 1, operation, to ? to : "");
	w->watch = kill_at_moment;
	w->watch_context = &moment;
	if (two_nodes_migrate_in_child(w, NODE1, variant->options, NULL, NULL) != KILLED)
		two_nodes_fail(w, "it was not killed");
	w->watch = NULL;
}

static struct two_nodes *killed_after(const struct variant *variant, int node, const char *operation, const char *to)
{
	struct two_nodes *w = begin(variant, NULL);
	run_until(w, variant, node, operation, to);
	return w;
}

static void expect_on_source(struct two_nodes *w, const struct variant *variant)
{
	two_nodes_check_guards(w);
	two_nodes_recover_all(w, NODE1);
	assert_int_equal(guest_node(w), NODE1);
	two_nodes_check(w, variant, variant->runs, SEED);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	two_nodes_free(w);
}

/* The source loses power; meanwhile somebody decides for it on the target, which cleans up. */
static bool decided_for_the_lost_source(struct two_nodes *w)
{
	machine_loses_power(w, NODE1);
	w->gone[NODE1] = true;
	bool settled = !strcmp(recover_on_node2(w, "source"), "settled");
	two_nodes_heal(w);
	return settled;
}

/* ------------------------------------------------------------------ the source has committed, and goes back */

/* Its guest record named the target as the owner already. */
static void a_source_that_goes_back_after_its_commit_owns_the_guest_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct two_nodes *w = killed_after(&variants[i], NODE1, "advance", "committed");
		if (!decided_for_the_lost_source(w))
			two_nodes_fail(w, "the target did not clean up");
		machine_boots(w, NODE1);
		expect_on_source(w, &variants[i]);
	}
}

static int killed_at_record(void *context, const char *path, struct json_object *record, bool synced)
{
	int *left = context;
	(void)path, (void)record;
	if (!synced && --*left == 0)
		_exit(KILLED);
	return 0;
}

/* Recovers in a process of its own, which dies before it writes its n-th record. */
static bool recover_is_killed(struct two_nodes *w, int n)
{
	vmm_auto_free char *task = task_of(w);
	int status, left = n;
	pid_t pid = fork();
	if (pid == 0) {
		struct outcome outcome;
		journal_watch(killed_at_record, &left);
		two_nodes_recover(w, NODE1, task, NULL, &outcome);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	w->root_node = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == KILLED;
}

/* Above all between the unlock on the source and the record that says so. */
static void a_source_that_goes_back_may_lose_power_again_at_each_record(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int n = 1, more = true; more; n++) {
			struct two_nodes *w = killed_after(&variants[i], NODE1, "advance", "committed");
			decided_for_the_lost_source(w);
			two_nodes_describe(w, "%s: goes back, and loses power at record %d", variants[i].name, n);
			machine_boots(w, NODE1);
			more = recover_is_killed(w, n);
			machine_loses_power(w, NODE1);
			if (variants[i].runs)
				machine_boots(w, NODE1);
			if (more) {
				expect_on_source(w, &variants[i]);
				continue;
			}
			assert_true(n > 2);
			two_nodes_free(w);
		}
}

/* libvirt's answer to the last step is lost, so that the guest goes on here; the target has abandoned its part, with
 * all of the memory, when the source loses power. What was abandoned is not taken up again: the guest has run on since.
 */
static void memory_that_the_target_has_abandoned_does_not_come_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		if (!variant_moves_memory(&variants[i]))
			continue;
		struct two_nodes *w = begin(&variants[i], "['finish-lost']");
		run_until(w, &variants[i], NODE2, "advance", "abandoned");
		machine_loses_power(w, NODE1);
		machine_boots(w, NODE1);
		two_nodes_check_guards(w);
		two_nodes_recover_all(w, NODE1);
		assert_int_equal(guest_node(w), NODE1);
		two_nodes_check(w, &variants[i], true, SEED);
		two_nodes_free(w);
	}
}

static void lose_target_after_memory(void *context, int node, const char *what, struct json_object *args)
{
	struct two_nodes *w = context;
	(void)node, (void)args;
	if (!strcmp(what, "migrate"))
		w->lost[NODE2] = w->gone[NODE2] = true;
}

/* The guest goes on here although the target cannot be told. Then this node is lost, and somebody gives the guest to
 * the target, which has its definition and perhaps its memory: this node must not start it at boot. */
static void a_source_that_went_on_alone_starts_nothing_at_boot(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * variant_count; i++) {
		const struct variant *variant = &variants[i / 2];
		struct outcome outcome;
		if (!variant_moves_memory(variant))
			continue;
		struct two_nodes *w = begin(variant, "['finish-lost']");
		w->watch = lose_target_after_memory;
		w->watch_context = w;
		two_nodes_migrate(w, NODE1, variant->options, &outcome);
		w->watch = NULL;
		vmm_auto_free char *here = guest_state(w, NODE1);
		assert_string_equal(here, "running");
		assert_false(outcome.settled);
		outcome_free(&outcome);
		machine_loses_power(w, NODE1);
		if (i % 2)
			machine_loses_power(w, NODE2);
		two_nodes_heal(w);
		w->gone[NODE1] = true;
		assert_string_equal(recover_on_node2(w, "target"), "settled");
		two_nodes_heal(w);
		machine_boots(w, NODE1);
		two_nodes_check_guards(w);
		two_nodes_recover_all(w, NODE1);
		assert_int_equal(guest_node(w), NODE2);
		vmm_auto_free char *there = guest_state(w, NODE2);
		assert_string_equal(there, "running");
		two_nodes_free(w);
	}
}

/* ------------------------------------------------------------------ a target that does not always answer */

struct flapping {
	struct two_nodes *w;
	unsigned silent; /* a bit for each call of the target that is lost */
	int calls;
};

static void flap(void *context, int node, const char *what, struct json_object *args)
{
	struct flapping *f = context;
	(void)what, (void)args;
	if (node == NODE2)
		f->w->lost[NODE2] = f->silent >> f->calls++ & 1;
}

/* Somebody has decided for the target while the source was off. The source comes back, and the target answers some of
 * its questions only: null.c ends the process if the guest is started a second time. */
static void silence_is_never_taken_for_an_answer(void **state)
{
	(void)state;
	enum { PATTERNS = 128 };
	for (size_t i = 0; i < variant_count; i++)
		for (unsigned silent = 0; variants[i].runs && silent < PATTERNS; silent++) {
			const char *arrived = variant_moves_memory(&variants[i]) ? "state" : "start";
			struct two_nodes *w = killed_after(&variants[i], NODE2, arrived, NULL);
			struct flapping flapping = {w, silent, 0};
			struct outcome outcome;
			vmm_auto_free char *task = task_of(w), *now = NULL;
			machine_loses_power(w, NODE1);
			w->gone[NODE1] = true;
			if (strcmp(recover_on_node2(w, "target"), "settled")) {
				two_nodes_free(w);
				break;
			}
			two_nodes_heal(w);
			machine_boots(w, NODE1);
			two_nodes_describe(w, "%s: answers are lost by the pattern %x", variants[i].name, silent);
			w->watch = flap;
			w->watch_context = &flapping;
			two_nodes_recover(w, NODE1, task, NULL, &outcome);
			w->watch = NULL;
			outcome_free(&outcome);
			two_nodes_heal(w);
			two_nodes_check_guards(w);
			two_nodes_recover_all(w, NODE1);
			assert_int_equal(guest_node(w), NODE2);
			now = guest_state(w, NODE2);
			assert_string_equal(now, "running");
			two_nodes_free(w);
		}
}

/* ------------------------------------------------------------------ decisions on the source */

/* The target disappears at each call, and has perhaps committed and released the guest. Somebody has seen that it is
 * off, and keeps the source. Then the target boots, before anything of ours runs there. */
static void a_target_that_boots_after_a_decision_for_the_source_starts_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int call = 3, more = true; more; call++) {
			struct two_nodes *w = begin(&variants[i], NULL);
			struct outcome outcome, kept = {0};
			two_nodes_describe(w, "%s: node2 is lost after call %d", variants[i].name, call);
			two_nodes_inject(w, NODE2, call, GONE_AFTER);
			two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
			more = w->injected;
			if (!outcome.settled && more) {
				machine_loses_power(w, NODE2);
				two_nodes_recover(w, NODE1, outcome.task, "source", &kept);
				machine_boots(w, NODE2);
				two_nodes_heal(w);
			}
			outcome_free(&outcome);
			if (!kept.task || !strcmp(kept.code, "given-up"))
				two_nodes_free(w);
			else
				expect_on_source(w, &variants[i]);
			outcome_free(&kept);
		}
}

static void lose_target_at_abort(void *context, int node, const char *what, struct json_object *args)
{
	struct two_nodes *w = context;
	(void)args;
	if (node == NODE2 && !strcmp(what, "abort"))
		w->lost[NODE2] = w->gone[NODE2] = true;
}

/* What RECLAIM and DESTROY leave there, by a decision for the source. */
static void target_hears_of_the_decision(struct two_nodes *w)
{
	vmm_auto_record struct guest_record record = {0};
	assert_int_equal(record_read(w->machine[NODE2].state, "null-" GUEST_UUID, &record, NULL), 0);
	record.state = RECORD_ABANDONED;
	record.generation = record.peer_generation + 2;
	record.fresh = 0;
	str_replace(&record.owner, "node1");
	assert_int_equal(record_write(w->machine[NODE2].state, "node2", &record, NULL), 0);
	guest_ends(w, NODE2);
}

/* Calls the target past the link. Takes `args`. */
static int ask_target(struct two_nodes *w, const char *task, enum node_op op, struct json_object *args)
{
	struct vmm_node *node;
	vmm_auto_json struct json_object *held = args, *reply = NULL;
	json_put(held, "task:s guest:s", task, "null-" GUEST_UUID);
	two_nodes_link_root(w, NODE2);
	assert_int_equal(node_open_local(&w->machine[NODE2].paths, &node, NULL), 0);
	int done = node_call(node, op, held, &reply, NULL);
	node_close(node);
	return done;
}

/* The request of a source that is gone is done late, when somebody has decided. */
static void a_held_start_that_comes_late_starts_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		if (!variants[i].runs || variant_moves_memory(&variants[i]))
			continue;
		struct two_nodes *w = killed_after(&variants[i], NODE2, "advance", "handover");
		vmm_auto_free char *task = task_of(w);
		target_hears_of_the_decision(w);
		assert_int_equal(ask_target(w, task, NODE_START, json_make("held:b", 1)), -1);
		vmm_auto_free char *now = guest_state(w, NODE2);
		assert_string_equal(now, "shutoff");
		two_nodes_free(w);
	}
}

/* The decision has reached the target, but is not in the journal here yet. The source goes back all the same, and
 * cannot tell the target, which then cleans up by itself and forgets the task. */
static void a_decision_that_only_the_target_has_noted_comes_to_an_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct two_nodes *w = killed_after(&variants[i], NODE1, "advance", "committed");
		vmm_auto_free char *task = task_of(w);
		struct outcome outcome;
		two_nodes_heal(w);
		target_hears_of_the_decision(w);
		w->watch = lose_target_at_abort;
		w->watch_context = w;
		two_nodes_recover(w, NODE1, task, NULL, &outcome);
		w->watch = NULL;
		assert_false(outcome.settled);
		outcome_free(&outcome);
		two_nodes_heal(w);
		/* Too late: it is this node's again, though there is a commit in the journal. */
		two_nodes_recover(w, NODE1, task, "target", &outcome);
		assert_string_equal(outcome.code, "unlocked");
		outcome_free(&outcome);
		assert_int_equal(ask_target(w, task, NODE_ABORT, json_object_new_object()), 0);
		two_nodes_forget_memory(w);
		two_nodes_recover_all(w, NODE1);
		assert_int_equal(guest_node(w), NODE1);
		assert_true(two_nodes_guard_admits(w, NODE1));
		two_nodes_free(w);
	}
}

/* The source has committed, the target has abandoned that, and the source is going back: the guest runs here again when
 * somebody decides for the target. */
static void a_decision_for_the_target_ends_the_guest_that_goes_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		if (!variants[i].runs || variant_moves_memory(&variants[i]))
			continue;
		struct two_nodes *w = killed_after(&variants[i], NODE1, "advance", "committed");
		struct moment moment = {w, NODE1, "start", NULL};
		struct outcome outcome;
		vmm_auto_free char *task = task_of(w);
		two_nodes_heal(w);
		target_hears_of_the_decision(w);
		w->watch = kill_at_moment;
		w->watch_context = &moment;
		assert_true(recover_is_killed(w, 0));
		w->watch = NULL;
		two_nodes_heal(w);
		vmm_auto_free char *now = guest_state(w, NODE1);
		assert_string_equal(now, "running");
		two_nodes_recover(w, NODE1, task, "target", &outcome);
		outcome_free(&outcome);
		two_nodes_check_guards(w);
		two_nodes_recover_all(w, NODE1);
		assert_int_equal(guest_node(w), NODE2);
		two_nodes_free(w);
	}
}

/* The guest runs on the target when somebody keeps the source, and the link breaks in the middle of it: the target has
 * answered, so that nobody may say that it is off. */
static void a_link_that_breaks_in_the_middle_of_a_decision_starts_nothing(void **state)
{
	(void)state;
	static const enum fault faults[] = {GONE_BEFORE, GONE_AFTER};
	for (size_t i = 0; i < VMM_COUNT(faults) * variant_count; i++)
		for (int call = 2, more = true; more; call++) {
			const struct variant *variant = &variants[i / VMM_COUNT(faults)];
			struct outcome kept, again;
			if (!variant->runs)
				break;
			struct two_nodes *w = killed_after(variant, NODE2, "release", NULL);
			vmm_auto_free char *task = task_of(w), *now = guest_state(w, NODE2);
			assert_string_equal(now, "running");
			two_nodes_describe(w, "%s: keep source, %s at call %d", variant->name,
					   fault_names[faults[i % VMM_COUNT(faults)]], call);
			two_nodes_inject(w, NODE2, call, faults[i % VMM_COUNT(faults)]);
			two_nodes_recover(w, NODE1, task, "source", &kept);
			more = w->injected;
			/* As the timer does it, while the link is still down. */
			if (more && !kept.settled)
				two_nodes_recover(w, NODE1, task, NULL, &again), outcome_free(&again);
			two_nodes_heal(w);
			outcome_free(&kept);
			/* As the hint says. */
			two_nodes_recover(w, NODE1, task, "source", &kept);
			outcome_free(&kept);
			two_nodes_forget_memory(w);
			expect_on_source(w, variant);
		}
}

static void two_decisions_that_contradict_each_other_start_it_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		const struct variant *variant = &variants[i];
		struct outcome kept;
		if (!variant->runs)
			continue;
		struct two_nodes *w =
			killed_after(variant, NODE2, variant_moves_memory(variant) ? "state" : "start", NULL);
		vmm_auto_free char *task = task_of(w);
		machine_loses_power(w, NODE1);
		w->gone[NODE1] = true;
		bool settled = !strcmp(recover_on_node2(w, "target"), "settled");
		two_nodes_heal(w);
		machine_boots(w, NODE1);
		two_nodes_recover(w, NODE1, task, "source", &kept);
		if (settled && strcmp(kept.code, "chosen"))
			two_nodes_fail(w, "%s: %s", kept.code, kept.message);
		two_nodes_recover_all(w, NODE1);
		assert_int_equal(guest_node(w), settled ? NODE2 : NODE1);
		outcome_free(&kept);
		two_nodes_free(w);
	}
}

/* ------------------------------------------------------------------ the last line */

/* The guest runs nowhere, or nobody knows where: that is no leftover of a migration that is done. */
static void a_target_that_is_lost_after_the_commit_needs_a_decision(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		int lost = 0;
		for (int call = 3, more = true; more; call++) {
			struct two_nodes *w = begin(&variants[i], NULL);
			struct outcome outcome;
			two_nodes_describe(w, "%s: node2 is lost before call %d", variants[i].name, call);
			two_nodes_inject(w, NODE2, call, GONE_BEFORE);
			two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
			more = w->injected;
			vmm_auto_free char *recover = str_format("vmmigrate recover %s", outcome.task);
			if (strstr(outcome.message, "guest 101 is node2's")) {
				if (outcome.exit != VMM_NEEDS_DECISION || outcome.settled ||
				    !strstr(outcome.message, "when node2 is back: ") ||
				    !strstr(outcome.message, recover))
					two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
				lost++;
			}
			two_nodes_heal(w);
			two_nodes_recover_all(w, NODE1);
			two_nodes_check(w, &variants[i], variants[i].runs, SEED);
			outcome_free(&outcome);
			two_nodes_free(w);
		}
		assert_true(lost > 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_that_goes_back_after_its_commit_owns_the_guest_again),
		cmocka_unit_test(a_source_that_goes_back_may_lose_power_again_at_each_record),
		cmocka_unit_test(memory_that_the_target_has_abandoned_does_not_come_back),
		cmocka_unit_test(a_source_that_went_on_alone_starts_nothing_at_boot),
		cmocka_unit_test(silence_is_never_taken_for_an_answer),
		cmocka_unit_test(a_target_that_boots_after_a_decision_for_the_source_starts_nothing),
		cmocka_unit_test(a_decision_that_only_the_target_has_noted_comes_to_an_end),
		cmocka_unit_test(a_decision_for_the_target_ends_the_guest_that_goes_back),
		cmocka_unit_test(a_held_start_that_comes_late_starts_nothing),
		cmocka_unit_test(a_link_that_breaks_in_the_middle_of_a_decision_starts_nothing),
		cmocka_unit_test(two_decisions_that_contradict_each_other_start_it_once),
		cmocka_unit_test(a_target_that_is_lost_after_the_commit_needs_a_decision),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
