/* Which name was meant: near names are found, names that only look short are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cluster/cluster.h"

static const char *near_of(const char *name)
{
	static const char *const names[] = {"node1", "node2", "storage", "a", ""};
	static char found[64];
	vmm_auto_json struct json_object *candidates = json_object_new_array();
	for (size_t i = 0; i < VMM_COUNT(names); i++)
		json_object_array_add(candidates, json_object_new_string(names[i]));
	json_object_array_add(candidates, json_object_new_int(7));
	const char *near = cluster_near(name, candidates);
	return near ? (snprintf(found, sizeof(found), "%s", near), found) : NULL;
}

static void two_slips_of_the_finger_are_forgiven(void **state)
{
	(void)state;
	assert_string_equal(near_of("node2"), "node2");
	assert_string_equal(near_of("nod2"), "node2");
	assert_string_equal(near_of("noed2"), "node2");
	assert_string_equal(near_of("storrages"), "storage");
	assert_string_equal(near_of("stroage"), "storage");
	assert_string_equal(near_of("tsorgae"), "storage");
}

static void more_is_another_name(void **state)
{
	(void)state;
	assert_null(near_of("storxxx"));
	assert_null(near_of("b"));
	assert_null(near_of(""));
	assert_null(near_of("a-name-that-is-far-longer-than-any-name-that-anybody-has-given-to-a-node-so-far"));
	assert_null(cluster_near("node1", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_slips_of_the_finger_are_forgiven),
		cmocka_unit_test(more_is_another_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
