/* The table of a node's operations: what it requires is required on both ends, and what it does not know is not sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "node/node.h"

/* A node that only counts what it is asked, and answers what it is told to. */
struct counting_node {
	struct vmm_node base;
	int calls;
	struct json_object *answer;
};

static int count_call(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
		      struct vmm_error **err)
{
	struct counting_node *counting = (struct counting_node *)node;
	(void)op, (void)args, (void)err;
	counting->calls++;
	*reply = json_object_get(counting->answer);
	return 0;
}

static const struct node_ops counting_ops = {.call = count_call};

static struct counting_node counting(void)
{
	return (struct counting_node){.base = {.ops = &counting_ops, .name = (char *)"node2"}};
}

static struct json_object *value_for(const struct field *field)
{
	switch (field->type) {
	case FIELD_PATH:
		return json_object_new_string("/a");
	case FIELD_CHOICE: {
		vmm_auto_free char *first = choice_name(field->choices, 0);
		return json_object_new_string(first);
	}
	case FIELD_NUMBER:
		return json_object_new_int64(1);
	case FIELD_FLAG:
		return json_object_new_boolean(1);
	case FIELD_OBJECT:
		return json_object_new_object();
	case FIELD_LIST:
		return json_object_new_array();
	default:
		return json_object_new_string("a");
	}
}

/* All fields of a table, but one. */
static struct json_object *filled(const struct field *table, const struct field *without)
{
	struct json_object *object = json_object_new_object();
	for (const struct field *field = table; field->name; field++)
		if (!without || strcmp(field->name, without->name))
			json_object_object_add(object, field->name, value_for(field));
	/* Where another field decides whether this one is required, it says that it is. */
	if (without && without->when)
		json_object_object_add(object, without->when, json_object_new_string(without->when_is));
	return object;
}

static void names_field(const struct vmm_error *err, const struct operation *operation, const struct field *field)
{
	vmm_auto_free char *quoted = str_format("\"%s\"", field->name);
	if (!error_is(err, "bad-operation") || !strstr(err->message, quoted))
		fail_msg("%s without %s: %s: %s", operation->name, field->name, err->code, err->message);
}

static void an_argument_that_is_missing_is_refused_before_anything_is_asked(void **state)
{
	(void)state;
	int tried = 0;
	for (int op = 0; op < NODE_OP_COUNT; op++) {
		const struct operation *operation = &node_operations[op];
		for (const struct field *field = operation->arguments; field->name; field++) {
			if (!field->required && !field->when)
				continue;
			vmm_auto_json struct json_object *args = filled(operation->arguments, field);
			for (int received = 0; received < 2; received++) {
				struct counting_node node = counting();
				vmm_auto_error struct vmm_error *err = NULL;
				int done = received ? node_receive(&node.base, op, args, NULL, &err)
						    : node_call(&node.base, op, args, NULL, &err);
				assert_int_equal(done, -1);
				names_field(err, operation, field);
				assert_int_equal(node.calls, 0);
				tried++;
			}
		}
	}
	assert_true(tried > 100);
}

static void a_reply_that_lacks_a_field_is_refused_where_it_arrives(void **state)
{
	(void)state;
	int tried = 0;
	for (int op = 0; op < NODE_OP_COUNT; op++) {
		const struct operation *operation = &node_operations[op];
		vmm_auto_json struct json_object *args = filled(operation->arguments, NULL);
		for (const struct field *field = operation->reply; field->name; field++) {
			struct counting_node node = counting();
			vmm_auto_error struct vmm_error *err = NULL;
			if (!field->required)
				continue;
			node.answer = filled(operation->reply, field);
			assert_int_equal(node_call(&node.base, op, args, NULL, &err), -1);
			names_field(err, operation, field);
			assert_int_equal(node.calls, 1);
			json_object_put(node.answer);
			tried++;
		}
	}
	assert_true(tried > 15);
}

static void what_the_table_requires_is_enough(void **state)
{
	(void)state;
	for (int op = 0; op < NODE_OP_COUNT; op++) {
		const struct operation *operation = &node_operations[op];
		vmm_auto_json struct json_object *args = filled(operation->arguments, NULL), *reply = NULL;
		struct counting_node node = counting();
		vmm_auto_error struct vmm_error *err = NULL;
		node.answer = filled(operation->reply, NULL);
		if (node_call(&node.base, op, args, &reply, &err) < 0)
			fail_msg("%s: %s", operation->name, err->message);
		assert_ptr_equal(reply, node.answer);
		json_object_put(node.answer);
	}
}

static void a_field_that_the_table_does_not_know_is_not_sent_but_may_arrive(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *args = json_make("task:s guest:s from:s", "t", "qemu-1", "handover");
	struct counting_node node = counting();
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(node_call(&node.base, NODE_RELEASE, args, NULL, &err), -1);
	assert_non_null(strstr(err->message, "\"from\""));
	error_clear(&err);
	assert_int_equal(node.calls, 0);
	assert_int_equal(node_receive(&node.base, NODE_RELEASE, args, NULL, &err), 0);
	assert_int_equal(node.calls, 1);
}

static void every_operation_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int op = 0; op < NODE_OP_COUNT; op++)
		for (int other = 0; other < op; other++)
			assert_string_not_equal(node_operations[op].name, node_operations[other].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_argument_that_is_missing_is_refused_before_anything_is_asked),
		cmocka_unit_test(a_reply_that_lacks_a_field_is_refused_where_it_arrives),
		cmocka_unit_test(what_the_table_requires_is_enough),
		cmocka_unit_test(a_field_that_the_table_does_not_know_is_not_sent_but_may_arrive),
		cmocka_unit_test(every_operation_has_a_name_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
