/* Which address of a node lies in a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "plan/plan.h"

static void an_address_is_in_its_network_and_in_no_other(void **state)
{
	(void)state;
	assert_true(network_has("10.78.0.0/24", "10.78.0.2"));
	assert_false(network_has("10.78.0.0/24", "10.77.0.2"));
	assert_true(network_has("10.78.0.0/15", "10.79.255.255"));
	assert_false(network_has("10.78.0.0/15", "10.80.0.0"));
	assert_true(network_has("10.78.0.2/32", "10.78.0.2"));
	assert_false(network_has("10.78.0.2/32", "10.78.0.3"));
	assert_true(network_has("0.0.0.0/0", "10.78.0.2"));
	assert_true(network_has("2001:db8:7::/48", "2001:db8:7:1::2"));
	assert_false(network_has("2001:db8:7::/48", "2001:db8:8::2"));
	assert_false(network_has("0.0.0.0/0", "2001:db8::1"));
	assert_false(network_has("::/0", "10.78.0.2"));
}

static void what_is_no_network_has_no_address(void **state)
{
	(void)state;
	static const char *const wrong[] = {"",		  "10.78.0.0", "10.78.0.0/",   "10.78.0.0/33",
					    "10.78.0/24", "x/8",       "10.78.0.0/-1", "::/129"};
	for (size_t i = 0; i < VMM_COUNT(wrong); i++) {
		assert_false(network_is_valid(wrong[i]));
		assert_false(network_has(wrong[i], "10.78.0.2"));
	}
	assert_false(network_is_valid(NULL));
	assert_true(network_is_valid("10.78.0.0/24"));
	assert_true(network_is_valid("2001:db8::/32"));
}

static void the_first_address_in_the_network_is_taken(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *node = NULL;
	static const char text[] =
		"{\"node\":{\"addresses\":[\"10.77.0.2\",\"2001:db8::2\",\"10.78.0.2\",\"10.78.0.3\"]}}";
	assert_int_equal(json_parse(text, -1, "facts", &node, NULL), 0);
	assert_string_equal(network_address(node, "10.78.0.0/24"), "10.78.0.2");
	assert_string_equal(network_address(node, "2001:db8::/32"), "2001:db8::2");
	assert_null(network_address(node, "192.0.2.0/24"));
	assert_null(network_address(NULL, "192.0.2.0/24"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_in_its_network_and_in_no_other),
		cmocka_unit_test(what_is_no_network_has_no_address),
		cmocka_unit_test(the_first_address_in_the_network_is_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
