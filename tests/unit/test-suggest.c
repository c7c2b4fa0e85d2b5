/* Which known name was meant by one that is not known: slips of the finger are found, other names are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/base.h"
#include "base/suggest.h"

static const char *meant_by(const char *typed)
{
	static const char *const names[] = {"node1", "node2", "storage", "max_downtime", "a", ""};
	struct suggestion suggestion = {.typed = typed};
	for (size_t i = 0; i < VMM_COUNT(names); i++)
		suggest_try(&suggestion, names[i]);
	return suggestion.best;
}

static void two_slips_of_the_finger_are_forgiven(void **state)
{
	(void)state;
	assert_string_equal(meant_by("node2"), "node2");
	assert_string_equal(meant_by("nod2"), "node2");
	assert_string_equal(meant_by("noed2"), "node2");
	assert_string_equal(meant_by("storrages"), "storage");
	assert_string_equal(meant_by("stroage"), "storage");
	assert_string_equal(meant_by("tsorgae"), "storage");
}

static void more_is_another_name(void **state)
{
	(void)state;
	assert_null(meant_by("storxxx"));
	assert_null(meant_by("b"));
	assert_null(meant_by(""));
	assert_null(meant_by("a-name-that-is-far-longer-than-any-name-that-anybody-has-given-to-a-node-so-far"));
}

static void long_names_are_forgiven_a_third_slip_and_short_ones_no_second(void **state)
{
	(void)state;
	assert_string_equal(meant_by("mx_dwntim"), "max_downtime");
	assert_null(meant_by("mx_dwntm"));
	assert_null(meant_by("nd"));
}

static void dash_and_underscore_are_the_same_character(void **state)
{
	(void)state;
	assert_string_equal(meant_by("max-downtim"), "max_downtime");
	assert_string_equal(meant_by("mx-dwntim"), "max_downtime");
}

static void beginning_of_a_name_is_enough_if_it_has_three_characters(void **state)
{
	(void)state;
	assert_string_equal(meant_by("max"), "max_downtime");
	assert_string_equal(meant_by("max-down"), "max_downtime");
	assert_null(meant_by("ma"));
}

static void names_in_json_are_searched_for_strings_only(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *names = json_object_new_array();
	json_object_array_add(names, json_object_new_int(7));
	json_object_array_add(names, json_object_new_string("node1"));
	assert_string_equal(json_suggest(names, "nod1"), "node1");
	assert_null(json_suggest(names, "7"));
	assert_null(json_suggest(NULL, "node1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_slips_of_the_finger_are_forgiven),
		cmocka_unit_test(more_is_another_name),
		cmocka_unit_test(long_names_are_forgiven_a_third_slip_and_short_ones_no_second),
		cmocka_unit_test(dash_and_underscore_are_the_same_character),
		cmocka_unit_test(beginning_of_a_name_is_enough_if_it_has_three_characters),
		cmocka_unit_test(names_in_json_are_searched_for_strings_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
