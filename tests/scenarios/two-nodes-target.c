/* two-nodes-target.c: recover on node2 of tasks that belong to node1. A test that uses it has the line:
 * wrap: node_open_remote forward_verb */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "engine/engine.h"
#include "two-nodes-internal.h"

static struct two_nodes *the_nodes;

int __wrap_node_open_remote(const struct node_paths *paths, const char *name, const char *task, struct vmm_node **node,
			    struct vmm_error **err);
int __wrap_forward_verb(const struct node_paths *paths, const char *node, const char *verb, struct json_object *request,
			struct json_object **reply, struct vmm_error **err);

int __wrap_node_open_remote(const struct node_paths *paths, const char *name, const char *task, struct vmm_node **node,
			    struct vmm_error **err)
{
	(void)paths, (void)task;
	assert_string_equal(name, "node1");
	if (the_nodes->gone[NODE1])
		return error_set(err, VMM_FAILED, "no-route", "node1 cannot be reached");
	return two_nodes_open_node(the_nodes, NODE1, node, err);
}

/* Does what the engine of node1 does for `recover`. */
int __wrap_forward_verb(const struct node_paths *paths, const char *node, const char *verb, struct json_object *request,
			struct json_object **reply, struct vmm_error **err)
{
	(void)paths, (void)reply;
	const char *task = json_text(request, "task");
	assert_string_equal(node, "node1");
	assert_string_equal(verb, "recover");
	if (the_nodes->gone[NODE1])
		return error_set(err, VMM_FAILED, "no-route", "node1 cannot be reached");
	vmm_auto_free char *path = str_format("%s/tasks/%s/request", the_nodes->machine[NODE1].state, task);
	if (!file_there(path))
		return error_set(err, VMM_NOT_FOUND, "no-such-task", "no task %s", task);
	two_nodes_recover_all(the_nodes, NODE1);
	the_nodes->engine_node = NODE2;
	two_nodes_link_root(the_nodes, NODE2);
	return 0;
}

const char *recover_on_node2(struct two_nodes *w, const char *keep)
{
	static const char *const outcomes[] = {"settled", "unsettled"};
	vmm_auto_json struct json_object *told = json_object_new_object();
	struct vmm_error *err = NULL;
	the_nodes = w;
	w->engine_node = NODE2;
	two_nodes_link_root(w, NODE2);
	if (recover_all(&w->machine[NODE2].paths, NULL, NULL, keep, told, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
	for (size_t i = 0; i < VMM_COUNT(outcomes); i++)
		if (str_same(json_text(told, "recovered.0.outcome"), outcomes[i]))
			return outcomes[i];
	return "nothing";
}
