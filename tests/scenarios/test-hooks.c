/* Administrators' hooks round a migration: which are run, on which node, how often, and what they may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "two-nodes.h"

/* wrap: tree_push */

enum { SEED = 61, SEED_AGAIN = 62 };

static const struct variant *const live = &variants[0], *const restart = &variants[2];

static void write_hook(struct two_nodes *w, int node, const char *phase, const char *name, const char *words)
{
	vmm_auto_free char *dir = str_format("%s/hooks.d/%s.d", w->machine[node].etc, phase);
	vmm_auto_free char *path = str_format("%s/%s", dir, name);
	vmm_auto_free char *script = str_format("#!/bin/sh\n%s\n", words);
	struct vmm_error *err = NULL;
	if (dir_make(dir, 0755, &err) < 0 || file_write(path, script, strlen(script), 0755, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

/* Two nodes on which each hook of each node leaves a line "NODE:PHASE:VMID". */
static struct two_nodes *begin(const struct variant *variant)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s", variant->name);
	vmm_auto_free char *line = str_format("echo \"$VMMIGRATE_NODE:$2:$1\" >> %s/hooks.log", w->dir);
	for (int node = 0; node < NODES; node++)
		for (size_t i = 0; i < HOOK_COUNT; i++)
			write_hook(w, node, node_hooks[i].name, "50-note", line);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	return w;
}

/* The lines so far, with ' ' between them. */
static void ran(struct two_nodes *w, const char *expected)
{
	vmm_auto_free char *path = str_format("%s/hooks.log", w->dir);
	vmm_auto_free char *text = NULL;
	if (file_read(path, 1 << 16, &text, NULL, NULL) < 0)
		text = str_copy("");
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ' ';
	if (strcmp(text, expected))
		two_nodes_fail(w, "hooks were run: %s\nexpected: %s", text, expected);
}

#define BEFORE	     "node1:pre-migrate:101 node2:pre-migrate:101 "
#define SWITCH	     "node1:pre-switch:101 node2:pre-switch:101 "
#define AFTER(phase) "node1:" phase ":101 node2:" phase ":101 "

static void moves(struct two_nodes *w, const struct variant *variant, enum vmm_exit exit, const char *words)
{
	struct outcome outcome;
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	if (outcome.exit != exit || !strstr(outcome.message, words))
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	outcome_free(&outcome);
}

static void good_ends_run_post_migrate_on_both_nodes(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct two_nodes *w = begin(&variants[i]);
		moves(w, &variants[i], VMM_DONE, "TASK OK");
		ran(w, BEFORE SWITCH AFTER("post-migrate"));
		two_nodes_free(w);
	}
}

static void a_veto_of_the_source_is_the_reason_and_the_target_hears_nothing(void **state)
{
	(void)state;
	struct two_nodes *w = begin(restart);
	write_hook(w, NODE1, "pre-migrate", "70-veto", "echo noise >&2; echo 'the backup is running' >&2; exit 1");
	moves(w, restart, VMM_BLOCKED, "the backup is running");
	ran(w, "node1:pre-migrate:101 node1:failed:101 ");
	two_nodes_check(w, restart, true, SEED);
	two_nodes_free(w);
}

static void a_veto_of_the_target_undoes_on_both(void **state)
{
	(void)state;
	struct two_nodes *w = begin(restart);
	write_hook(w, NODE2, "pre-migrate", "40-veto", "echo 'no guests today' >&2; exit 3");
	moves(w, restart, VMM_BLOCKED, "no guests today");
	ran(w, "node1:pre-migrate:101 " AFTER("failed"));
	two_nodes_check(w, restart, true, SEED);
	vmm_auto_free char *veto = str_format("%s/hooks.d/pre-migrate.d/40-veto", w->machine[NODE2].etc);
	unlink(veto);
	two_nodes_migrate_again(w, restart, SEED_AGAIN);
	two_nodes_free(w);
}

static void a_veto_just_before_the_switch_undoes_on_both(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct two_nodes *w = begin(&variants[i]);
		write_hook(w, NODE2, "pre-switch", "70-veto", "echo 'not now' >&2; exit 1");
		moves(w, &variants[i], VMM_BLOCKED, "not now");
		ran(w, BEFORE SWITCH AFTER("failed"));
		two_nodes_check(w, &variants[i], variants[i].runs, SEED);
		two_nodes_free(w);
	}
}

static void a_cancel_runs_cancelled_and_nothing_else(void **state)
{
	(void)state;
	struct two_nodes *w = begin(live);
	two_nodes_inject(w, NODE2, 5, CANCELLED);
	moves(w, live, VMM_CANCELLED, "cancelled");
	ran(w, BEFORE SWITCH AFTER("cancelled"));
	two_nodes_check(w, live, true, SEED);
	two_nodes_free(w);
}

static void a_post_hook_that_fails_is_a_warning(void **state)
{
	(void)state;
	struct two_nodes *w = begin(live);
	write_hook(w, NODE2, "post-migrate", "10-fails", "echo 'monitoring is down' >&2; exit 1");
	moves(w, live, VMM_DONE, "TASK WARNINGS: 1");
	ran(w, BEFORE SWITCH AFTER("post-migrate"));
	two_nodes_check(w, live, true, SEED);
	two_nodes_free(w);
}

/* A node that is away hears of the end when it is back, once. */
static void each_node_hears_of_one_end_once_whenever_the_target_is_lost(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		bool injected = true;
		for (int call = 1; injected; call++) {
			struct two_nodes *w = begin(&variants[i]);
			struct outcome outcome;
			two_nodes_describe(w, "%s: target gone after call %d", variants[i].name, call);
			two_nodes_inject(w, NODE2, call, GONE_AFTER);
			two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
			injected = w->injected;
			two_nodes_heal(w);
			two_nodes_recover_all(w, NODE1);
			vmm_auto_free char *path = str_format("%s/hooks.log", w->dir);
			vmm_auto_free char *text = NULL;
			bool any = file_read(path, 1 << 16, &text, NULL, NULL) == 0;
			const char *end = guest_node(w) == NODE2 ? "post-migrate" : "failed";
			for (int node = 0; any && node < NODES; node++) {
				vmm_auto_free char *line = str_format("node%d:%s:101\n", node + 1, end);
				vmm_auto_free char *first = str_format("node%d:pre-migrate:101\n", node + 1);
				const char *found = strstr(text, line);
				if (strstr(text, first) && (!found || strstr(found + 1, line)))
					two_nodes_fail(w, "node%d has not heard of its end once:\n%s", node + 1, text);
			}
			if (any && strstr(text, "failed") && strstr(text, "post-migrate"))
				two_nodes_fail(w, "two ends:\n%s", text);
			outcome_free(&outcome);
			two_nodes_free(w);
		}
	}
}

static void odd_names_and_files_that_others_can_write_are_not_run(void **state)
{
	(void)state;
	struct two_nodes *w = begin(live);
	static const char *const odd[] = {"50-note~", "note", "50-note.dpkg-old", "5-note"};
	for (size_t i = 0; i < VMM_COUNT(odd); i++)
		write_hook(w, NODE1, "pre-migrate", odd[i], "exit 1");
	write_hook(w, NODE1, "pre-migrate", "60-loose", "exit 1");
	vmm_auto_free char *loose = str_format("%s/hooks.d/pre-migrate.d/60-loose", w->machine[NODE1].etc);
	chmod(loose, 0777);
	moves(w, live, VMM_DONE, "TASK WARNINGS: 5");
	ran(w, BEFORE SWITCH AFTER("post-migrate"));
	two_nodes_free(w);
}

static void a_hook_of_the_administrator_overrides_and_masks(void **state)
{
	(void)state;
	struct two_nodes *w = begin(live);
	vmm_auto_free char *dir = str_format("%s/pre-migrate.d", w->machine[NODE1].hooks);
	struct vmm_error *err = NULL;
	static const char *const names[] = {"50-note", "60-masked"};
	if (dir_make(dir, 0755, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		vmm_auto_free char *path = str_format("%s/%s", dir, names[i]);
		if (file_write(path, "#!/bin/sh\nexit 1\n", 17, 0755, &err) < 0)
			two_nodes_fail(w, "%s", err->message);
	}
	vmm_auto_free char *mask = str_format("%s/hooks.d/pre-migrate.d/60-masked", w->machine[NODE1].etc);
	assert_int_equal(symlink("/dev/null", mask), 0);
	moves(w, live, VMM_DONE, "TASK OK");
	ran(w, BEFORE SWITCH AFTER("post-migrate"));

	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ends_run_post_migrate_on_both_nodes),
		cmocka_unit_test(a_veto_of_the_source_is_the_reason_and_the_target_hears_nothing),
		cmocka_unit_test(a_veto_of_the_target_undoes_on_both),
		cmocka_unit_test(a_veto_just_before_the_switch_undoes_on_both),
		cmocka_unit_test(a_cancel_runs_cancelled_and_nothing_else),
		cmocka_unit_test(a_post_hook_that_fails_is_a_warning),
		cmocka_unit_test(each_node_hears_of_one_end_once_whenever_the_target_is_lost),
		cmocka_unit_test(odd_names_and_files_that_others_can_write_are_not_run),
		cmocka_unit_test(a_hook_of_the_administrator_overrides_and_masks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
