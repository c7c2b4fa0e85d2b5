/* A plan that lacks what a migration acts on: nothing is begun with it, and recover changes nothing but asks an
 * administrator. wrap: tree_push */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

enum { SEED = 81, SEED_AGAIN = 82, KILLED = 137 };

static int kill_in_phase(void *context, const char *path, struct json_object *record, bool synced)
{
	(void)path;
	if (synced && str_same(json_text(record, "what"), "do") && str_same(json_text(record, "phase"), context))
		_exit(KILLED);
	return 0;
}

/* The only task of the machine; its file "plan". */
static char *plan_path(struct two_nodes *w, char **task)
{
	vmm_auto_free char *dir = str_format("%s/tasks", w->machine[NODE1].state);
	vmm_auto_json struct json_object *names = NULL;
	assert_int_equal(dir_list(dir, &names, NULL), 0);
	assert_int_equal(json_count(names, ""), 1);
	*task = str_copy(json_text(names, "0"));
	return str_format("%s/%s/plan", dir, *task);
}

static void write_plan(const char *path, struct json_object *plan)
{
	const char *line = json_line(plan);
	assert_int_equal(file_write(path, line, strlen(line), 0600, NULL), 0);
}

static void recover_refuses(struct two_nodes *w, const char *task, const char *keep, const char *field)
{
	struct outcome outcome;
	two_nodes_recover(w, NODE1, task, keep, &outcome);
	if (outcome.exit != VMM_NEEDS_DECISION || strcmp(outcome.code, "bad-plan") || outcome.settled ||
	    !strstr(outcome.message, field) || !strstr(outcome.message, "recover has touched nothing"))
		two_nodes_fail(w, "without \"%s\", keep %s: exit %d, %s", field, keep ? keep : "none",
			       (int)outcome.exit, outcome.message);
	if (w->calls[NODE1] || w->calls[NODE2])
		two_nodes_fail(w, "without \"%s\": a node was asked", field);
	outcome_free(&outcome);
	two_nodes_check_guards(w);
}

static void recovers_with_a_whole_plan_only(const struct variant *variant, const char *phase)
{
	static const char *const needed[] = {"mode", "running", "generation", "definition", "autostart", "volumes"};
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s: killed in %s, with a plan that lacks a field", variant->name, phase);
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	int status = two_nodes_migrate_in_child(w, NODE1, variant->options, kill_in_phase, (void *)phase);
	if (status == KILLED) {
		vmm_auto_free char *task = NULL, *path = plan_path(w, &task), *text = NULL;
		vmm_auto_json struct json_object *whole = NULL;
		assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
		assert_int_equal(json_parse(text, -1, "plan", &whole, NULL), 0);
		for (size_t i = 0; i < VMM_COUNT(needed); i++) {
			vmm_auto_json struct json_object *plan = json_copy(whole);
			json_object_object_del(plan, needed[i]);
			write_plan(path, plan);
			recover_refuses(w, task, NULL, needed[i]);
			recover_refuses(w, task, "source", needed[i]);
			recover_refuses(w, task, "target", needed[i]);
		}
		write_plan(path, whole);
	}
	two_nodes_recover_all(w, NODE1);
	two_nodes_check(w, variant, variant->runs, SEED);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	two_nodes_free(w);
}

static void recover_does_not_guess_what_a_plan_lacks(void **state)
{
	(void)state;
	static const char *const phases_killed[] = {"switch-hooks", "handover"};
	for (size_t i = 0; i < variant_count; i++)
		for (size_t p = 0; p < VMM_COUNT(phases_killed); p++)
			recovers_with_a_whole_plan_only(&variants[i], phases_killed[p]);
}

/* The guest's facts are odd: a volume whose name cannot be one. */
static void nothing_is_begun_with_a_plan_that_could_not_be_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct outcome outcome;
		struct two_nodes *w = two_nodes_make();
		two_nodes_describe(w, "%s: a volume of an odd name", variants[i].name);
		two_nodes_guest(w, NODE1, &variants[i], NULL);
		guest_writes(w, NODE1, variants[i].shared, SEED);
		vmm_auto_free char *path = str_format("%s/guests/" GUEST ".json", w->machine[NODE1].root), *text = NULL;
		assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
		char *name = strstr(text, "\\\"vda\\\"");
		assert_non_null(name);
		memcpy(name, "\\\"v/a\\\"", strlen("\\\"v/a\\\""));
		assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
		two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
		if (outcome.exit != VMM_FAILED || strcmp(outcome.code, "bad-plan") || !outcome.settled ||
		    !strstr(outcome.message, "nothing was touched"))
			two_nodes_fail(w, "exit %d, %s", (int)outcome.exit, outcome.message);
		outcome_free(&outcome);
		two_nodes_check(w, &variants[i], variants[i].runs, SEED);
		two_nodes_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recover_does_not_guess_what_a_plan_lacks),
		cmocka_unit_test(nothing_is_begun_with_a_plan_that_could_not_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
