/* node.c: the names of the operations, and the one call. */
#include "node/node.h"

#ifndef VMM_LIBEXEC
#define VMM_LIBEXEC "/usr/libexec/vmmigrate"
#endif

const char *const node_op_names[NODE_OP_COUNT] = {
#define X(NAME, name) [NODE_##NAME] = #name,
	NODE_OPERATIONS(X)
#undef X
};

const struct node_paths node_paths_installed = {
	.state = "/var/lib/vmmigrate",
	.etc = "/etc/vmmigrate",
	.run = "/run/vmmigrate",
	.hooks = "/usr/lib/vmmigrate/hooks.d",
	.libexec = VMM_LIBEXEC,
};

int node_call(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
	      struct vmm_error **err)
{
	struct json_object *unwanted = NULL;
	if (node->ops->call(node, op, args, reply ? reply : &unwanted, err) < 0)
		return -1;
	json_object_put(unwanted);
	return 0;
}

void node_close(struct vmm_node *node)
{
	if (node)
		node->ops->close(node);
}
