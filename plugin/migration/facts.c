/* facts.c: what both nodes say. Changes nothing, but for one token file in a directory whose sharing is to be proven.
 */
#include <string.h>

#include "migration/migration.h"

/* If a hypervisor does not answer, it may have the guest: the error says so in place of "no such guest". */
static int not_found(const char *who, struct vmm_node *source, struct json_object *hosts, struct vmm_error **err)
{
	if (hosts) {
		json_object_object_foreach(hosts, kind, host)
		{
			(void)kind;
			if (json_true(host, "up") || !json_at(host, "error"))
				continue;
			error_from_json(err, json_at(host, "error"));
			(*err)->exit = VMM_BLOCKED;
			return error_context(err, "guest %s cannot be looked for on %s", who, source->name);
		}
	}
	error_set(err, VMM_NOT_FOUND, "no-such-guest", "no guest %s on %s", who, source->name);
	return error_hint(err, "see the guests of all nodes: vmmigrate list");
}

static int ask_source(struct json_object *request, struct vmm_node *source, struct facts *facts, struct vmm_error **err)
{
	const char *who = json_text_or(request, "guest", "");
	vmm_auto_json struct json_object *args = json_make("guest:s kind:s", who, json_text(request, "kind"));
	if (node_call(source, NODE_FACTS, args, &facts->node[SOURCE], err) < 0)
		return -1;
	if (json_at(facts->node[SOURCE], "guest"))
		return 0;
	return not_found(who, source, json_at(facts->node[SOURCE], "host"), err);
}

/* The target read its clock at some time between `asked` and `answered` (our clock). Only what lies outside of these
 * two is a real difference, so that a slow answer is not taken for a wrong clock. */
static void compare_clocks(struct facts *facts, int64_t asked, int64_t answered)
{
	struct json_object *node = json_at(facts->node[TARGET], "node");
	int64_t theirs = json_number(node, "time_us"), ours = json_number(facts->node[SOURCE], "node.time_us");
	int64_t ahead = theirs > answered ? theirs - answered : theirs < asked ? theirs - asked : 0;
	if (node)
		json_put(node, "time_us:i", ours + ahead);
}

static void ask_target(struct vmm_node *target, struct facts *facts)
{
	vmm_auto_json struct json_object *guest = json_copy(json_at(facts->node[SOURCE], "guest"));
	json_each (mount, guest, "mounts")
		if (!json_true(mount, "fixed"))
			json_put(mount, "source:s",
				 facts_mapped(facts, "map_mount", json_text_or(mount, "source", "")));
	vmm_auto_json struct json_object *args =
		json_make("fit:O targetstorage:O", guest, json_at(facts->request, "options.targetstorage"));
	vmm_auto_error struct vmm_error *problem = NULL;
	int64_t asked = clock_now_us();
	if (target && node_call(target, NODE_FACTS, args, &facts->node[TARGET], &problem) < 0)
		facts->target_error = error_to_json(problem);
	compare_clocks(facts, asked, clock_now_us());
}

static int token_call(struct vmm_node *node, const char *what, const char *dir, const char *token,
		      struct json_object **reply)
{
	vmm_auto_json struct json_object *args = json_make("do:s dir:s token:s", what, dir, token);
	vmm_auto_error struct vmm_error *problem = NULL;
	int done = node_call(node, NODE_TOKEN, args, reply, &problem);
	if (done < 0)
		log_debug("token: %s", problem->message);
	return done;
}

/* A file that one node makes and the other one sees proves that the directory is the same one. */
static const char *prove(struct vmm_node *source, struct vmm_node *target, const char *dir)
{
	vmm_auto_json struct json_object *placed = NULL, *seen = NULL, *removed = NULL;
	if (token_call(source, "place", dir, NULL, &placed) < 0)
		return "unproven";
	const char *token = json_text(placed, "token");
	bool asked = token_call(target, "look", dir, token, &seen) == 0;
	token_call(source, "remove", dir, token, &removed);
	return !asked ? "unproven" : json_true(seen, "there") ? "shared" : "local";
}

static void prove_sharing(struct vmm_node *source, struct vmm_node *target, struct facts *facts)
{
	json_each (volume, facts->node[SOURCE], "guest.volumes") {
		const char *storage = json_text(volume, "storage"), *path = json_text(volume, "path");
		vmm_auto_free char *same = str_format("fit.volumes.%zu.same_block", volume_i);
		if (!storage || !path || str_same(json_text(volume, "sharing"), "network") ||
		    json_member(facts->sharing, storage) || path_check(path, "volume", NULL) < 0)
			continue;
		vmm_auto_free char *dir = path_dir(path);
		const char *proof = !str_same(json_text(volume, "kind"), "block") ? prove(source, target, dir)
				    : json_true(facts->node[TARGET], same)	  ? "shared"
										  : "local";
		json_object_object_add(facts->sharing, storage, json_object_new_string(proof));
	}
}

int facts_gather(struct json_object *request, struct vmm_node *source, struct vmm_node *target,
		 struct json_object *config, struct facts *facts, struct vmm_error **err)
{
	facts->request = json_object_get(request);
	facts->config = json_object_get(config);
	facts->sharing = json_object_new_object();
	if (ask_source(request, source, facts, err) < 0)
		return -1;
	ask_target(target, facts);
	if (facts->node[TARGET])
		prove_sharing(source, target, facts);
	return 0;
}
