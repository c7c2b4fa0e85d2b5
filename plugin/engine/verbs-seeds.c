/* verbs-seeds.c: copies that nodes keep so that the next one sends only what differs. */
#include "engine/engine.h"

/* One node's seeds, each with the node's name. */
static int seeds_of(const struct node_paths *paths, const char *name, bool self, struct json_object *request,
		    struct json_object *reply, struct vmm_error **err)
{
	struct vmm_node *node;
	vmm_auto_json struct json_object *found = NULL;
	vmm_auto_json struct json_object *args =
		json_make("prune:s guest:s", json_text(request, "prune"), json_text(request, "record"));
	if ((self ? node_open_local(paths, &node, err) : node_open_remote(paths, name, NULL, &node, err)) < 0)
		return -1;
	int done = node_call(node, NODE_SEEDS, args, &found, err);
	node_close(node);
	static const char *const lists[] = {"seeds", "pruned"};
	for (size_t i = 0; i < VMM_COUNT(lists); i++)
		json_each (seed, found, lists[i]) {
			json_put(seed, "node:s", name);
			json_append(reply, lists[i], json_object_get(seed));
		}
	return done;
}

/* All nodes' seeds, or one node's; a node that does not answer is in "errors", not an error. */
int verb_seeds(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
	       struct vmm_error **err)
{
	vmm_auto_json struct json_object *config = NULL, *names = NULL;
	const char *wanted = json_text(request, "node");
	if (verbs_config(paths, &config, err) < 0)
		return -1;
	const char *own = json_text(config, "self");
	names = verbs_peers(config);
	json_object_array_add(names, json_object_new_string(own));
	if (wanted && !json_has(names, "", wanted))
		return verbs_no_node(wanted, names, err);
	*reply = json_make("seeds:o pruned:o errors:o", json_object_new_array(), json_object_new_array(),
			   json_object_new_array());
	json_each (item, names, "") {
		const char *name = json_text(item, "");
		vmm_auto_error struct vmm_error *problem = NULL;
		if (!wanted || str_same(wanted, name))
			seeds_of(paths, name, str_same(name, own), request, *reply, &problem);
		if (problem)
			json_append(*reply, "errors", error_to_json(problem));
	}
	return 0;
}

void seeds_prune(const struct node_paths *paths)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	struct vmm_node *self;
	vmm_auto_json struct json_object *args = json_make("prune:s", "old");
	if (node_open_local(paths, &self, &problem) < 0)
		return;
	if (node_call(self, NODE_SEEDS, args, NULL, &problem) < 0)
		log_warn("seeds: %s", problem->message);
	node_close(self);
}
