/* verbs-node.c: verbs about the cluster's nodes. */
#include "engine/engine.h"

int verb_node_add(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		  struct vmm_error **err)
{
	const char *name, *address;
	if (json_need(request, "name", "request", &name, err) < 0 ||
	    json_need(request, "address", "request", &address, err) < 0)
		return -1;
	return cluster_join(paths->etc, name, address, json_true(request, "accept"), reply, err);
}

/* Both nodes answer; do their hypervisors take them for two hosts? */
static int test_hosts(const struct node_paths *paths, struct vmm_node *other, struct vmm_error **err)
{
	vmm_auto_json struct json_object *here = NULL, *there = NULL;
	struct vmm_node *self = NULL;
	int done = node_open_local(paths, &self, err);
	if (done == 0)
		done = node_call(self, NODE_FACTS, NULL, &here, err);
	node_close(self);
	return done < 0 || node_call(other, NODE_FACTS, NULL, &there, err) < 0 ||
			       facts_distinct_hosts(here, there, err) < 0
		       ? -1
		       : 0;
}

int verb_node_test(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		   struct vmm_error **err)
{
	const char *only = json_text(request, "name");
	vmm_auto_json struct json_object *config = NULL, *peers = NULL;
	if (verbs_config(paths, &config, err) < 0)
		return -1;
	peers = verbs_peers(config);
	*reply = json_make("tests:o", json_object_new_array());
	int done = 0;
	json_each (item, peers, "") {
		const char *name = json_text(item, "");
		vmm_auto_error struct vmm_error *problem = NULL;
		vmm_auto_json struct json_object *back = NULL, *query = json_make("name:s", json_text(config, "self"));
		struct vmm_node *node = NULL;
		if (only && !str_same(only, name))
			continue;
		if (node_open_remote(paths, name, NULL, &node, &problem) == 0 && !json_true(request, "forwarded") &&
		    forward_verb(paths, name, "node-test", query, &back, &problem) == 0)
			test_hosts(paths, node, &problem);
		node_close(node);
		json_append(*reply, "tests",
			    json_make("from:s to:s ok:b error:o", json_text(config, "self"), name, (int)!problem,
				      problem ? error_to_json(problem) : NULL));
		json_each (test, back, "tests")
			json_append(*reply, "tests", json_object_get(test));
	}
	if (only && !json_count(*reply, "tests"))
		done = verbs_no_node(only, peers, err);
	return done;
}

/* Has the other nodes remove it too, and says of each how that went. */
static void remove_elsewhere(const struct node_paths *paths, struct json_object *peers, const char *name,
			     struct json_object *reply)
{
	json_each (item, peers, "") {
		const char *peer = json_text(item, "");
		vmm_auto_json struct json_object *query = json_make("name:s", name), *answer = NULL;
		vmm_auto_error struct vmm_error *problem = NULL;
		if (str_same(peer, name))
			continue;
		if (forward_verb(paths, peer, "node-remove", query, &answer, &problem) < 0 &&
		    error_is(problem, "target-unknown"))
			error_clear(&problem);
		json_append(
			reply, "removed",
			json_make("from:s ok:b error:o", peer, (int)!problem, problem ? error_to_json(problem) : NULL));
	}
}

int verb_node_remove(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		     struct vmm_error **err)
{
	const char *name;
	vmm_auto_json struct json_object *config = NULL, *peers = NULL;
	if (json_need(request, "name", "request", &name, err) < 0 || verbs_config(paths, &config, err) < 0)
		return -1;
	peers = verbs_peers(config);
	if (!json_member(json_at(config, "node"), name))
		return verbs_no_node(name, peers, err);
	if (cluster_remove(paths->etc, name, err) < 0)
		return -1;
	*reply = json_make("removed:o", json_object_new_array());
	json_append(*reply, "removed", json_make("from:s ok:b", json_text(config, "self"), 1));
	if (!json_true(request, "forwarded"))
		remove_elsewhere(paths, peers, name, *reply);
	return 0;
}

int verb_node_accept(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		     struct vmm_error **err)
{
	return cluster_accept(paths->etc, request, reply, err);
}
