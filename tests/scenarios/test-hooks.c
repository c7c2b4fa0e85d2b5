/* Administrators' hooks around a migration: which hooks run, on which node, how often, and what they can do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "two-nodes-internal.h"

/* wrap: tree_push run_program */

enum { SEED = 61, SEED_AGAIN = 62 };

static const struct variant *const live = &variants[0], *const restart = &variants[2];

/* Hooks get this limit in place of their own, so that no test waits for long; 0: their own. */
static int hook_limit_ms;

int __real_run_program(const struct run *run, struct run_result *result, struct vmm_error **err);
int __wrap_run_program(const struct run *run, struct run_result *result, struct vmm_error **err);
int __wrap_run_program(const struct run *run, struct run_result *result, struct vmm_error **err)
{
	struct run sooner = *run;
	if (hook_limit_ms && strstr(run->argv[0], "/hooks.d/"))
		sooner.limit_ms = hook_limit_ms;
	return __real_run_program(&sooner, result, err);
}

static void write_hook(struct two_nodes *w, int node, const char *phase, const char *name, const char *text)
{
	vmm_auto_free char *dir = str_format("%s/hooks.d/%s.d", w->machine[node].etc, phase);
	vmm_auto_free char *path = str_format("%s/%s", dir, name);
	vmm_auto_free char *script = str_format("#!/bin/sh\n%s\n", text);
	struct vmm_error *err = NULL;
	if (dir_make(dir, 0755, &err) < 0 || file_write(path, script, strlen(script), 0755, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

/* Two nodes on which every hook appends a line "NODE:PHASE:VMID" to hooks.log. */
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

/* Fails the test unless hooks.log has these lines, each followed by a space. */
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

#define CHECKED	     "node1:check:101 node2:check:101 "
#define BEFORE	     CHECKED "node1:pre-migrate:101 node2:pre-migrate:101 "
#define SWITCH	     "node1:pre-switch:101 node2:pre-switch:101 "
#define AFTER(phase) "node1:" phase ":101 node2:" phase ":101 "

static void moves(struct two_nodes *w, const struct variant *variant, enum vmm_exit exit, const char *text)
{
	struct outcome outcome;
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	if (outcome.exit != exit || !strstr(outcome.message, text))
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	outcome_free(&outcome);
}

static void a_migration_that_succeeds_runs_post_migrate_on_both_nodes(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct two_nodes *w = begin(&variants[i]);
		moves(w, &variants[i], VMM_DONE, "TASK OK");
		ran(w, BEFORE SWITCH AFTER("post-migrate"));
		two_nodes_free(w);
	}
}

/* ------------------------------------------------------------------ check hooks */

/* What `vmmigrate check` and `vmmigrate plan` report for a move to node2. */
static struct json_object *check(struct two_nodes *w, const struct variant *variant)
{
	vmm_auto_json struct json_object *options = NULL, *raw = NULL, *request = NULL;
	struct vmm_node *node[SIDES] = {NULL};
	struct facts facts = {0};
	struct vmm_error *err = NULL;
	two_nodes_heal(w);
	if (json_parse(variant->options, -1, "options", &options, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
	raw = json_make("guest:s target:s options:O", GUEST, "node2", options);
	if (request_read(raw, NULL, &request, &err) < 0 || two_nodes_open_node(w, NODE1, &node[SOURCE], &err) < 0 ||
	    two_nodes_open_node(w, NODE2, &node[TARGET], &err) < 0 ||
	    facts_gather(NULL, request, node[SOURCE], node[TARGET], NULL, &facts, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
	struct json_object *findings = checks_run(&facts, plan_mode(&facts));
	facts_free(&facts);
	node_close(node[SOURCE]);
	node_close(node[TARGET]);
	return findings;
}

/* Fails the test unless the n-th finding has that code and object, and that text in its message. */
static void finds(struct two_nodes *w, struct json_object *findings, size_t n, const char *code, const char *object,
		  const char *text)
{
	struct json_object *finding = json_object_array_get_idx(findings, n);
	if (!str_same(json_text(finding, "code"), code) || !str_same(json_text(finding, "object"), object) ||
	    !strstr(json_text_or(finding, "message", ""), text))
		two_nodes_fail(w, "finding %zu is not %s \"%s\": %s", n, code, text, json_line(findings));
}

static bool is_untouched(struct two_nodes *w, int node)
{
	vmm_auto_free char *record = str_format("%s/guests/null-" GUEST_UUID, w->machine[node].state);
	return !file_there(record);
}

static void a_check_hook_that_refuses_blocks_check_plan_and_run_before_anything_is_touched(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int node = 0; node < NODES; node++) {
			struct two_nodes *w = begin(&variants[i]);
			struct outcome outcome;
			vmm_auto_free char *text = str_format(
				"50-backup on node%d refuses the migration: the backup is running", node + 1);
			write_hook(w, node, "check", "50-backup",
				   "echo noise >&2; echo 'the backup is running' >&2; exit 1");
			vmm_auto_json struct json_object *findings = check(w, &variants[i]);
			assert_int_equal(json_count(findings, ""), 1);
			finds(w, findings, 0, "hook-veto", "50-backup", text);
			assert_true(findings_refuse(findings));
			two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
			if (outcome.exit != VMM_BLOCKED || strcmp(outcome.code, "hook-veto") ||
			    !strstr(outcome.message, text))
				two_nodes_fail(w, "exit %d, %s: %s", (int)outcome.exit, outcome.code, outcome.message);
			outcome_free(&outcome);
			ran(w, CHECKED CHECKED);
			assert_true(is_untouched(w, NODE1) && is_untouched(w, NODE2));
			two_nodes_check(w, &variants[i], variants[i].runs, SEED);
			vmm_auto_free char *hook = str_format("%s/hooks.d/check.d/50-backup", w->machine[node].etc);
			unlink(hook);
			two_nodes_migrate_again(w, &variants[i], SEED_AGAIN);
			assert_false(is_untouched(w, NODE1) || is_untouched(w, NODE2));
			two_nodes_free(w);
		}
}

static void all_refusals_of_check_hooks_are_found_at_once(void **state)
{
	(void)state;
	struct two_nodes *w = begin(restart);
	write_hook(w, NODE1, "check", "10-first", "echo 'one' >&2; exit 1");
	write_hook(w, NODE1, "check", "90-last", "exit 3");
	write_hook(w, NODE2, "check", "20-other", "kill -9 $$");
	write_hook(w, NODE2, "check", "30-passes", "echo 'all is well' >&2");
	vmm_auto_json struct json_object *findings = check(w, restart);
	assert_int_equal(json_count(findings, ""), 3);
	finds(w, findings, 0, "hook-veto", "10-first", "10-first on node1 refuses the migration: one");
	finds(w, findings, 1, "hook-veto", "90-last", "it ended with status 3 and gave no reason");
	finds(w, findings, 2, "hook-veto", "20-other", "20-other on node2");
	ran(w, CHECKED);
	two_nodes_free(w);
}

static void check_hooks_that_cannot_be_run_are_warnings(void **state)
{
	(void)state;
	struct two_nodes *w = begin(live);
	write_hook(w, NODE1, "check", "50-note~", "exit 1");
	write_hook(w, NODE2, "check", "60-loose", "exit 1");
	vmm_auto_free char *loose = str_format("%s/hooks.d/check.d/60-loose", w->machine[NODE2].etc);
	chmod(loose, 0777);
	vmm_auto_json struct json_object *findings = check(w, live);
	assert_int_equal(json_count(findings, ""), 2);
	finds(w, findings, 0, "hook-odd", "50-note~", "check.d/50-note~ on node1 is not run");
	finds(w, findings, 1, "hook-odd", "60-loose", "check.d/60-loose on node2 is not run");
	assert_false(findings_refuse(findings));
	moves(w, live, VMM_DONE, "TASK WARNINGS: 2");
	two_nodes_free(w);
}

/* The text of <dir>/NAME; belongs to the caller. */
static char *read_file(struct two_nodes *w, const char *name)
{
	vmm_auto_free char *path = str_format("%s/%s", w->dir, name);
	char *text = NULL;
	struct vmm_error *err = NULL;
	if (file_read(path, 1 << 20, &text, NULL, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
	return text;
}

static void a_check_hook_gets_what_other_hooks_get_but_for_the_plan(void **state)
{
	(void)state;
	struct two_nodes *w = begin(restart);
	static const char *const names[] = {"check", "pre-migrate"};
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		vmm_auto_free char *text =
			str_format("cd %s; cat >input-%s; echo \"$@\" >arguments-%s\n"
				   "env | sed -n 's/^\\(VMMIGRATE_[A-Z]*\\)=.*/\\1/p' | sort >names-%s\n"
				   "echo \"$VMMIGRATE_MODE,$VMMIGRATE_TASK,$VMMIGRATE_TARGET\" >values-%s",
				   w->dir, names[i], names[i], names[i], names[i]);
		write_hook(w, NODE2, names[i], "60-look", text);
	}
	moves(w, restart, VMM_DONE, "TASK OK");
	vmm_auto_free char *before = read_file(w, "names-check"), *after = read_file(w, "names-pre-migrate");
	vmm_auto_free char *values = read_file(w, "values-check"), *arguments = read_file(w, "arguments-check");
	vmm_auto_free char *input = read_file(w, "input-check");
	vmm_auto_json struct json_object *known = NULL;
	assert_non_null(strstr(before, "VMMIGRATE_UUID"));
	assert_string_equal(before, after);
	assert_string_equal(values, "restart,,node2\n");
	assert_string_equal(arguments, GUEST " check\n");
	assert_int_equal(json_parse(input, -1, "input", &known, NULL), 0);
	assert_string_equal(json_text(known, "id"), GUEST);
	assert_string_equal(json_text(known, "source"), "node1");
	assert_true(json_true(known, "request.options.restart"));
	assert_string_equal(json_text(known, "guest.state"), "running");
	assert_null(json_at(known, "task"));
	two_nodes_free(w);
}

/* ------------------------------------------------------------------ hooks of a run */

static void a_veto_on_the_source_is_the_reason_and_no_hook_runs_on_the_target(void **state)
{
	(void)state;
	struct two_nodes *w = begin(restart);
	write_hook(w, NODE1, "pre-migrate", "70-veto", "echo noise >&2; echo 'the backup is running' >&2; exit 1");
	moves(w, restart, VMM_BLOCKED, "the backup is running");
	ran(w, CHECKED "node1:pre-migrate:101 node1:failed:101 ");
	two_nodes_check(w, restart, true, SEED);
	two_nodes_free(w);
}

static void a_veto_on_the_target_undoes_on_both_nodes(void **state)
{
	(void)state;
	struct two_nodes *w = begin(restart);
	write_hook(w, NODE2, "pre-migrate", "40-veto", "echo 'no guests today' >&2; exit 3");
	moves(w, restart, VMM_BLOCKED, "no guests today");
	ran(w, CHECKED "node1:pre-migrate:101 " AFTER("failed"));
	two_nodes_check(w, restart, true, SEED);
	vmm_auto_free char *veto = str_format("%s/hooks.d/pre-migrate.d/40-veto", w->machine[NODE2].etc);
	unlink(veto);
	two_nodes_migrate_again(w, restart, SEED_AGAIN);
	two_nodes_free(w);
}

static void a_veto_just_before_the_switch_undoes_on_both_nodes(void **state)
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
	two_nodes_inject(w, NODE2, 6, CANCELLED);
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

/* A node that could not be reached runs its end hooks once, when it is back. */
static void each_node_runs_the_hooks_of_one_end_once_whenever_the_target_is_lost(void **state)
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
					two_nodes_fail(w, "node%d has not run its end hooks once:\n%s", node + 1, text);
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

static void a_hook_below_a_directory_that_others_can_write_is_not_run(void **state)
{
	(void)state;
	static const char *const loose[] = {"hooks.d/pre-migrate.d", "hooks.d", ""};
	for (size_t i = 0; i < VMM_COUNT(loose); i++) {
		struct two_nodes *w = two_nodes_make();
		two_nodes_guest(w, NODE1, live, NULL);
		guest_writes(w, NODE1, live->shared, SEED);
		vmm_auto_free char *dir = str_format("%s/%s", w->machine[NODE1].etc, loose[i]);
		write_hook(w, NODE1, "pre-migrate", "60-loose", "exit 1");
		assert_int_equal(chmod(dir, 0775), 0);
		moves(w, live, VMM_DONE, "TASK WARNINGS: 1");
		two_nodes_free(w);
	}
	/* A link to a program that others can replace. */
	struct two_nodes *w = two_nodes_make();
	two_nodes_guest(w, NODE1, live, NULL);
	guest_writes(w, NODE1, live->shared, SEED);
	vmm_auto_free char *loose_dir = str_format("%s/open", w->dir), *program = str_format("%s/open/program", w->dir),
			   *dir = str_format("%s/hooks.d/pre-migrate.d", w->machine[NODE1].etc),
			   *link = str_format("%s/60-link", dir);
	assert_int_equal(dir_make(loose_dir, 0755, NULL), 0);
	assert_int_equal(dir_make(dir, 0755, NULL), 0);
	assert_int_equal(chmod(loose_dir, 0777), 0);
	assert_int_equal(file_write(program, "#!/bin/sh\nexit 1\n", 17, 0755, NULL), 0);
	assert_int_equal(symlink(program, link), 0);
	moves(w, live, VMM_DONE, "TASK WARNINGS: 1");
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

/* Has the guest's definition name that file of its host. */
static void needs_file(struct two_nodes *w, const char *path)
{
	vmm_auto_free char *file = str_format("%s/guests/" GUEST ".json", w->machine[NODE1].root), *text = NULL;
	vmm_auto_json struct json_object *guest = NULL, *definition = NULL;
	if (file_read(file, 1 << 20, &text, NULL, NULL) < 0 || json_parse(text, -1, file, &guest, NULL) < 0 ||
	    json_parse(json_text(guest, "definition"), -1, file, &definition, NULL) < 0)
		two_nodes_fail(w, "%s cannot be read", file);
	json_append(definition, "needs", json_make("kind:s name:s for:s", "file", path, "its kernel"));
	guest_says(w, NODE1, json_make("definition:s", json_line(definition)));
}

/* Both nodes see the same files here. */
static void what_is_gone_before_the_stop_is_found_before_the_stop(void **state)
{
	(void)state;
	struct two_nodes *w = begin(restart);
	vmm_auto_free char *kernel = str_format("%s/kernel", w->dir), *lost = str_format("rm %s", kernel);
	needs_file(w, kernel);
	moves(w, restart, VMM_BLOCKED, "needs");
	assert_int_equal(file_write(kernel, "", 0, 0600, NULL), 0);
	write_hook(w, NODE2, "pre-switch", "60-lose", lost);
	moves(w, restart, VMM_BLOCKED, kernel);
	vmm_auto_free char *now = guest_state(w, NODE1);
	assert_string_equal(now, "running");
	if (guest_node(w) != NODE1)
		two_nodes_fail(w, "the guest is not where it was");
	two_nodes_check(w, restart, true, SEED);
	two_nodes_free(w);
}

/* FAULTS 81 */
static void a_hook_that_closes_its_outputs_is_ended_at_its_limit_and_has_vetoed(void **state)
{
	(void)state;
	static const char *const ways[] = {"exec >/dev/null 2>&1; sleep 45", "exec >&- 2>&-; sleep 45"};
	for (size_t i = 0; i < VMM_COUNT(ways); i++) {
		struct two_nodes *w = begin(restart);
		int64_t began = clock_steady_ms();
		write_hook(w, NODE2, "pre-switch", "60-silent", ways[i]);
		hook_limit_ms = 1000;
		moves(w, restart, VMM_BLOCKED, "60-silent: it took longer than");
		hook_limit_ms = 0;
		ran(w, BEFORE SWITCH AFTER("failed"));
		assert_true(clock_steady_ms() - began < 30000);
		two_nodes_free(w);
	}
}

/* The password of a display, as a definition has it, travels with the guest and is told to no hook. */
static void no_hook_is_told_a_password(void **state)
{
	(void)state;
	static const enum hook hooks[] = {HOOK_CHECK, HOOK_PRE_MIGRATE, HOOK_PRE_SWITCH, HOOK_POST_MIGRATE};
	struct two_nodes *w = two_nodes_make();
	two_nodes_guest(w, NODE1, restart, "[' passwd=\\'geheim\\' keymap']");
	guest_writes(w, NODE1, restart->shared, SEED);
	vmm_auto_free char *keep = str_format("cat >> %s/told", w->dir), *told_path = str_format("%s/told", w->dir),
			   *told = NULL, *there = str_format("%s/guests/" GUEST ".json", w->machine[NODE2].root),
			   *moved = NULL;
	for (int node = 0; node < NODES; node++)
		for (size_t i = 0; i < VMM_COUNT(hooks); i++)
			write_hook(w, node, node_hooks[hooks[i]].name, "50-keep", keep);
	moves(w, restart, VMM_DONE, "TASK OK");
	assert_int_equal(file_read(told_path, 1 << 20, &told, NULL, NULL), 0);
	assert_non_null(strstr(told, "keymap"));
	assert_null(strstr(told, "geheim"));
	assert_int_equal(file_read(there, 1 << 20, &moved, NULL, NULL), 0);
	assert_non_null(strstr(moved, "geheim"));
	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_gone_before_the_stop_is_found_before_the_stop),
		cmocka_unit_test(a_migration_that_succeeds_runs_post_migrate_on_both_nodes),
		cmocka_unit_test(a_check_hook_that_refuses_blocks_check_plan_and_run_before_anything_is_touched),
		cmocka_unit_test(all_refusals_of_check_hooks_are_found_at_once),
		cmocka_unit_test(check_hooks_that_cannot_be_run_are_warnings),
		cmocka_unit_test(a_check_hook_gets_what_other_hooks_get_but_for_the_plan),
		cmocka_unit_test(a_veto_on_the_source_is_the_reason_and_no_hook_runs_on_the_target),
		cmocka_unit_test(a_veto_on_the_target_undoes_on_both_nodes),
		cmocka_unit_test(a_veto_just_before_the_switch_undoes_on_both_nodes),
		cmocka_unit_test(a_hook_that_closes_its_outputs_is_ended_at_its_limit_and_has_vetoed),
		cmocka_unit_test(no_hook_is_told_a_password),
		cmocka_unit_test(a_cancel_runs_cancelled_and_nothing_else),
		cmocka_unit_test(a_post_hook_that_fails_is_a_warning),
		cmocka_unit_test(each_node_runs_the_hooks_of_one_end_once_whenever_the_target_is_lost),
		cmocka_unit_test(odd_names_and_files_that_others_can_write_are_not_run),
		cmocka_unit_test(a_hook_below_a_directory_that_others_can_write_is_not_run),
		cmocka_unit_test(a_hook_of_the_administrator_overrides_and_masks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
