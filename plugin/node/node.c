/* node.c: the table of operations, and the one call that has a node do one. */
#include "node/node.h"

#ifndef VMM_LIBEXEC
#define VMM_LIBEXEC "/usr/libexec/vmmigrate"
#endif

/* ---------------------------------------------------------------- the table of operations */

#define NEED(TYPE, field_name, meaning) {.name = #field_name, .type = FIELD_##TYPE, .required = true},
#define MAY(TYPE, field_name, meaning)	{.name = #field_name, .type = FIELD_##TYPE},
#define NEED_WHEN(other, value, TYPE, field_name, meaning)                                                             \
	{.name = #field_name, .type = FIELD_##TYPE, .when = #other, .when_is = value},
#define ONE_OF(names, field_name, meaning)                                                                             \
	{.name = #field_name, .type = FIELD_CHOICE, .required = true, .choices = names},
#define MAY_BE_ONE_OF(names, field_name, meaning) {.name = #field_name, .type = FIELD_CHOICE, .choices = names},
#define ROW(NAME, wire_name, limit, does, arguments_fields, reply_fields)                                              \
	[NODE_##NAME] = {#wire_name, limit, (const struct field[]){arguments_fields{0}},                               \
			 (const struct field[]){reply_fields{0}}},

const struct operation node_operations[NODE_OP_COUNT] = {NODE_OPERATIONS(ROW)};

/* ---------------------------------------------------------------- where a node keeps its things */

const struct node_paths node_paths_installed = {
	.state = "/var/lib/vmmigrate",
	.etc = "/etc/vmmigrate",
	.run = "/run/vmmigrate",
	.hooks = "/usr/lib/vmmigrate/hooks.d",
	.libexec = VMM_LIBEXEC,
};

/* ---------------------------------------------------------------- calls */

static int check(const struct vmm_node *node, enum node_op op, struct json_object *object, bool reply, bool strict,
		 struct vmm_error **err)
{
	const struct operation *operation = &node_operations[op];
	vmm_auto_free char *what =
		str_format("%s of operation %s (node %s)", reply ? "reply" : "arguments", operation->name, node->name);
	return fields_check(reply ? operation->reply : operation->arguments, object, what, "bad-operation", strict,
			    err);
}

static int call(struct vmm_node *node, enum node_op op, struct json_object *args, bool strict,
		struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *received = NULL;
	if (check(node, op, args, false, strict, err) < 0 || node->ops->call(node, op, args, &received, err) < 0 ||
	    check(node, op, received, true, false, err) < 0)
		return -1;
	if (reply)
		*reply = json_object_get(received);
	return 0;
}

int node_call(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
	      struct vmm_error **err)
{
	return call(node, op, args, true, reply, err);
}

int node_receive(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
		 struct vmm_error **err)
{
	return call(node, op, args, false, reply, err);
}

void node_close(struct vmm_node *node)
{
	if (node)
		node->ops->close(node);
}
