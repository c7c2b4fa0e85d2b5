/* Every scenario of scenarios.json gives exactly the findings that it expects. For every check, one scenario fires it
 * and another one comes close and does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "scenario.h"

static struct json_object *findings_of(struct json_object *scenario)
{
	struct facts facts;
	scenario_facts(json_text(scenario, "base"), json_at(scenario, "patch"), &facts);
	vmm_auto_json struct json_object *before = json_copy(facts.node[SOURCE]);
	struct json_object *findings = checks_run(&facts, plan_mode(&facts));
	assert_true(json_object_equal(before, facts.node[SOURCE]));
	scenario_free(&facts);
	return findings;
}

/* "code severity", or "code override ignored". */
static char *summary_of(struct json_object *finding)
{
	return str_format("%s %s%s", json_text(finding, "code"), json_text(finding, "severity"),
			  json_true(finding, "ignored") ? " ignored" : "");
}

static void mentions(struct json_object *scenario, struct json_object *findings)
{
	vmm_auto_text struct text text = {0};
	json_each (finding, findings, "")
		text_add(&text, "%s - %s\n", json_text(finding, "message"), json_text(finding, "hint"));
	json_each (said, scenario, "says")
		if (!text.data || !strstr(text.data, json_text(said, "")))
			fail_msg("scenario \"%s\" does not say \"%s\" but: %s", json_text(scenario, "name"),
				 json_text(said, ""), text.data ? text.data : "nothing");
}

static void each_scenario_gives_exactly_its_findings(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *all = scenario_file("scenarios");
	assert_true(json_count(all, "") > check_count);
	json_each (scenario, all, "") {
		vmm_auto_json struct json_object *findings = findings_of(scenario), *got = json_object_new_array();
		json_each (finding, findings, "") {
			vmm_auto_free char *summary = summary_of(finding);
			json_object_array_add(got, json_object_new_string(summary));
		}
		if (!json_object_equal(got, json_at(scenario, "expect")))
			fail_msg("scenario \"%s\": expected %s, got %s: %s", json_text(scenario, "name"),
				 json_line(json_at(scenario, "expect")), json_line(got), json_line(findings));
		mentions(scenario, findings);
	}
}

/* Every finding says which object it is about, what is wrong, and what to do. */
static void each_finding_has_object_message_and_hint(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *all = scenario_file("scenarios");
	json_each (scenario, all, "") {
		vmm_auto_json struct json_object *findings = findings_of(scenario);
		json_each (finding, findings, "") {
			static const char *const keys[] = {"code", "severity", "object", "message", "hint"};
			for (size_t i = 0; i < VMM_COUNT(keys); i++) {
				const char *text = json_text(finding, keys[i]);
				if (!text || !*text || strstr(text, "(null)"))
					fail_msg("scenario \"%s\": %s of %s is empty or holds (null)",
						 json_text(scenario, "name"), keys[i], json_line(finding));
			}
		}
	}
}

static bool expects(struct json_object *scenario, const char *code)
{
	size_t length = strlen(code);
	json_each (expected, scenario, "expect")
		if (!strncmp(json_text(expected, ""), code, length) && json_text(expected, "")[length] == ' ')
			return true;
	return false;
}

static void each_check_is_fired_by_one_scenario_and_just_missed_by_another(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *all = scenario_file("scenarios");
	for (size_t i = 0; i < check_count; i++) {
		bool fired = false, missed = false;
		json_each (scenario, all, "") {
			fired |= expects(scenario, checks[i].code);
			missed |= str_same(json_text(scenario, "near"), checks[i].code) &&
				  !expects(scenario, checks[i].code);
		}
		if (!fired || !missed)
			fail_msg("no scenario %s %s", fired ? "just misses" : "fires", checks[i].code);
	}
}

/* `ignore` and the option of a check override the findings of that check, and no others. */
static void an_ignored_finding_does_not_refuse_and_others_still_do(void **state)
{
	(void)state;
	static const char both[] =
		"{'request':{'options':{'ignore':['target-maintenance']}},'target':{'node':{'maintenance':true}%s}}";
	vmm_auto_free char *one = str_format(both, ""), *two = str_format(both, ",'bridges':[]");
	struct facts facts;
	scenario_facts_text("shared", one, &facts);
	vmm_auto_json struct json_object *ignored = checks_run(&facts, MODE_LIVE);
	scenario_free(&facts);
	scenario_facts_text("shared", two, &facts);
	vmm_auto_json struct json_object *refused = checks_run(&facts, MODE_LIVE);
	scenario_free(&facts);
	assert_int_equal(json_count(ignored, ""), 1);
	assert_false(findings_refuse(ignored));
	assert_int_equal(findings_error(ignored, NULL), 0);
	assert_int_equal(json_count(refused, ""), 2);
	assert_true(findings_refuse(refused));
}

static void the_error_is_the_first_refusal_and_names_the_others(void **state)
{
	(void)state;
	vmm_auto_error struct vmm_error *err = NULL, *busy = NULL;
	struct facts facts;
	scenario_facts_text(
		"shared", "{'source':{'guest':{'job':'backup'}},'target':{'node':{'config':1},'bridges':[]}}", &facts);
	vmm_auto_json struct json_object *findings = checks_run(&facts, MODE_LIVE);
	scenario_free(&facts);
	assert_int_equal(json_count(findings, ""), 3);
	assert_int_equal(findings_error(findings, &err), -1);
	assert_string_equal(err->code, "guest-job-active");
	assert_int_equal(err->exit, VMM_BLOCKED);
	assert_string_equal(err->message, "VM 100 is busy: backup is under way (and: bridge-missing)");
	assert_non_null(strstr(err->hint, "domjobabort"));
	scenario_facts_text("shared", "{'source':{'record':{'owner':'node1','state':'source','task':'T1'}}}", &facts);
	vmm_auto_json struct json_object *locked = checks_run(&facts, MODE_LIVE);
	scenario_free(&facts);
	assert_int_equal(findings_error(locked, &busy), -1);
	assert_int_equal(busy->exit, VMM_BUSY);
}

static void a_target_that_is_no_node_is_not_found(void **state)
{
	(void)state;
	vmm_auto_error struct vmm_error *err = NULL;
	struct facts facts;
	scenario_facts_text("shared",
			    "{'request':{'target':'nod2'},'target':null,"
			    "'target_error':{'code':'target-unknown','message':'no node nod2'}}",
			    &facts);
	vmm_auto_json struct json_object *findings = checks_run(&facts, MODE_LIVE);
	scenario_free(&facts);
	assert_int_equal(findings_error(findings, &err), -1);
	assert_int_equal(err->exit, VMM_NOT_FOUND);
	assert_int_equal(findings_exit(findings), VMM_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_scenario_gives_exactly_its_findings),
		cmocka_unit_test(each_finding_has_object_message_and_hint),
		cmocka_unit_test(each_check_is_fired_by_one_scenario_and_just_missed_by_another),
		cmocka_unit_test(an_ignored_finding_does_not_refuse_and_others_still_do),
		cmocka_unit_test(the_error_is_the_first_refusal_and_names_the_others),
		cmocka_unit_test(a_target_that_is_no_node_is_not_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
