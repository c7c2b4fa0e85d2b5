/* verbs-ask.c: verbs that change nothing: info, guests, nodes, check, targets, plan. */
#include <string.h>

#include "engine/engine.h"

static struct json_object *phases_to_json(void)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < phase_count; i++)
		json_object_array_add(list, json_make("name:s help:s", phases[i].name, phases[i].help));
	return list;
}

static struct json_object *hooks_to_json(void)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < HOOK_COUNT; i++)
		json_object_array_add(list, json_make("name:s help:s veto:b limit_ms:d", node_hooks[i].name,
						      node_hooks[i].help, (int)(node_hooks[i].failure != HOOK_WARNS),
						      node_hooks[i].limit_ms));
	return list;
}

static struct json_object *verbs_to_json(void)
{
	struct json_object *list = json_object_new_array();
	for (size_t i = 0; i < verb_count; i++)
		if (verbs[i].help)
			json_object_array_add(list, json_make("name:s help:s", verbs[i].name, verbs[i].help));
	return list;
}

int verb_info(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
	      struct vmm_error **err)
{
	(void)request, (void)err;
	vmm_auto_json struct json_object *config = NULL;
	if (verbs_config(paths, &config, NULL) < 0)
		config = NULL;
	*reply = json_make("version:s protocol:d node:s verbs:o options:o checks:o phases:o hooks:o", VMM_VERSION,
			   VMM_PROTOCOL_MAJOR, json_text(config, "self"), verbs_to_json(), options_to_json(),
			   checks_to_json(), phases_to_json(), hooks_to_json());
	return 0;
}

/* ---------------------------------------------------------------- guests, nodes */

static int guests_of(const struct node_paths *paths, const char *node, bool self, struct json_object **guests,
		     struct vmm_error **err)
{
	struct vmm_node *opened;
	if ((self ? node_open_local(paths, &opened, err) : node_open_remote(paths, node, NULL, &opened, err)) < 0)
		return -1;
	int done = node_call(opened, NODE_GUESTS, NULL, guests, err);
	node_close(opened);
	return done;
}

/* Adds a node's guests, and an error for each of its hypervisors that does not answer. */
static void add_guests(struct json_object *reply, const char *node, struct json_object *said)
{
	json_each (guest, said, "guests")
		json_append(reply, "guests", json_object_get(guest));
	json_each (error, said, "errors") {
		vmm_auto_error struct vmm_error *problem = NULL;
		error_from_json(&problem, error);
		error_on_node(&problem, node);
		json_append(reply, "errors", error_to_json(problem));
	}
}

/* Numbers in names are compared as numbers: 9 before 10. */
static int by_id(const void *a, const void *b)
{
	return strverscmp(json_text(*(struct json_object *const *)a, "id"),
			  json_text(*(struct json_object *const *)b, "id"));
}

/* All nodes' guests, or one node's; a node that does not answer is in "errors", not an error. */
int verb_guests(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		struct vmm_error **err)
{
	vmm_auto_json struct json_object *config = NULL, *names = NULL;
	const char *wanted = json_text(request, "node");
	if (verbs_config(paths, &config, err) < 0)
		return -1;
	names = verbs_peers(config);
	json_object_array_add(names, json_object_new_string(json_text(config, "self")));
	*reply = json_make("guests:o errors:o", json_object_new_array(), json_object_new_array());
	bool known = false;
	json_each (item, names, "") {
		const char *name = json_text(item, "");
		vmm_auto_json struct json_object *some = NULL;
		vmm_auto_error struct vmm_error *problem = NULL;
		if (wanted && strcmp(wanted, name))
			continue;
		known = true;
		if (guests_of(paths, name, str_same(name, json_text(config, "self")), &some, &problem) < 0)
			json_append(*reply, "errors", error_to_json(problem));
		add_guests(*reply, name, some);
	}
	json_object_array_sort(json_at(*reply, "guests"), by_id);
	if (known)
		return 0;
	return verbs_no_node(wanted, names, err);
}

static struct json_object *node_to_json(const struct node_paths *paths, struct json_object *config, const char *name)
{
	bool self = str_same(name, json_text(config, "self"));
	struct json_object *section = json_member(json_at(config, "node"), name);
	struct json_object *node =
		json_make("name:s address:s self:b reachable:b maintenance:b introduced_by:s", name,
			  json_text(section, "address"), (int)self, (int)self, (int)json_true(section, "maintenance"),
			  json_text(section, "introduced_by"));
	vmm_auto_error struct vmm_error *problem = NULL;
	struct vmm_node *opened = NULL;
	if (self)
		return node;
	if (node_open_remote(paths, name, NULL, &opened, &problem) < 0)
		json_put(node, "error:o", error_to_json(problem));
	else
		json_put(node, "reachable:b", 1);
	node_close(opened);
	return node;
}

int verb_nodes(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
	       struct vmm_error **err)
{
	(void)request;
	vmm_auto_json struct json_object *config = NULL, *peers = NULL;
	if (verbs_config(paths, &config, err) < 0)
		return -1;
	peers = verbs_peers(config);
	*reply = json_make("nodes:o", json_object_new_array());
	json_append(*reply, "nodes", node_to_json(paths, config, json_text(config, "self")));
	json_each (name, peers, "")
		json_append(*reply, "nodes", node_to_json(paths, config, json_text(name, "")));
	return 0;
}

/* ---------------------------------------------------------------- check, targets, plan */

struct question {
	const struct node_paths *paths;
	struct json_object *config, *request;
	struct vmm_node *source;
};

static void question_close(struct question *q)
{
	json_object_put(q->config);
	json_object_put(q->request);
	node_close(q->source);
}

static int question_open(const struct node_paths *paths, struct json_object *request, struct question *q,
			 struct vmm_error **err)
{
	*q = (struct question){.paths = paths};
	if (verbs_config(paths, &q->config, err) == 0 && request_read(request, q->config, &q->request, err) == 0)
		return node_open_local(paths, &q->source, err);
	return -1;
}

/* Facts for one target; a target that cannot be reached is a fact too. */
static int ask_about(struct question *q, const char *target, struct facts *facts, struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *unreached = NULL;
	struct vmm_node *node = NULL;
	json_put(q->request, "target:s", target);
	if (str_same(target, q->source->name))
		error_set(&unreached, VMM_BLOCKED, "target-is-source", "the guest is on node %s already", target);
	else
		node_open_remote(q->paths, target, NULL, &node, &unreached);
	if (unreached)
		facts->target_error = error_to_json(unreached);
	int done = facts_gather(q->paths, q->request, q->source, node, q->config, facts, err);
	node_close(node);
	return done;
}

/* For a running guest that could move in three modes: appends the eligible ones to `modes`, and returns the findings of
 * the first one that is eligible, or of the first one where none is. */
static struct json_object *check_modes(const struct facts *facts, struct text *modes)
{
	static const enum mode all[] = {MODE_LIVE, MODE_PAUSED, MODE_RESTART};
	struct json_object *kept = NULL;
	for (size_t i = 0; i < VMM_COUNT(all); i++) {
		struct json_object *findings = checks_run(facts, all[i]);
		bool open = !findings_refuse(findings);
		if (!kept || (open && !modes->length)) {
			json_object_put(kept);
			kept = json_object_get(findings);
		}
		if (open)
			text_add(modes, "%s%s", modes->length ? ", " : "", mode_name(all[i]));
		json_object_put(findings);
	}
	return kept;
}

static int check_target(struct question *q, const char *target, struct json_object *reply, struct vmm_error **err)
{
	struct facts facts = {0};
	vmm_auto_text struct text modes = {0};
	int done = ask_about(q, target, &facts, err);
	if (done == 0) {
		enum mode mode = plan_mode(&facts);
		struct json_object *findings =
			mode == MODE_NONE ? check_modes(&facts, &modes) : checks_run(&facts, mode);
		json_append(reply, "targets",
			    json_make("node:s eligible:b exit:d mode:s findings:o", target,
				      (int)!findings_refuse(findings), (int)findings_exit(findings),
				      modes.length ? modes.data : mode_name(mode), findings));
		struct json_object *guest = json_at(facts.node[SOURCE], "guest");
		json_put(guest, "node:s", q->source->name);
		json_put(reply, "guest:o", guest_shown(guest));
	}
	facts_free(&facts);
	return done;
}

/* Without any other node there is no target to check, but a guest that does not exist is still an error. */
static int is_here(struct question *q, struct vmm_error **err)
{
	struct facts facts = {0};
	int done = facts_gather(q->paths, q->request, q->source, NULL, q->config, &facts, err);
	facts_free(&facts);
	return done;
}

static int check_some(const struct node_paths *paths, const char *verb, struct json_object *request,
		      struct json_object **reply, struct vmm_error **err)
{
	bool forwarded;
	if (forward_to_guest(paths, verb, request, reply, &forwarded, err) < 0 || forwarded)
		return forwarded && *reply ? 0 : -!!*err;
	struct question q;
	int done = question_open(paths, request, &q, err);
	*reply = json_make("targets:o", json_object_new_array());
	const char *target = json_text(request, "target");
	if (done == 0 && target && strcmp(verb, "targets"))
		done = check_target(&q, target, *reply, err);
	else if (done == 0) {
		vmm_auto_json struct json_object *peers = verbs_peers(q.config);
		done = is_here(&q, err);
		json_each (name, peers, "")
			if (done == 0)
				done = check_target(&q, json_text(name, ""), *reply, err);
	}
	question_close(&q);
	return done;
}

int verb_check(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
	       struct vmm_error **err)
{
	return check_some(paths, "check", request, reply, err);
}

int verb_targets(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		 struct vmm_error **err)
{
	return check_some(paths, "targets", request, reply, err);
}

int verb_plan(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
	      struct vmm_error **err)
{
	bool forwarded;
	const char *target;
	if (json_need(request, "target", "request", &target, err) < 0)
		return -1;
	if (forward_to_guest(paths, "plan", request, reply, &forwarded, err) < 0 || forwarded)
		return forwarded && *reply ? 0 : -!!*err;
	struct question q;
	struct facts facts = {0};
	struct plan *plan = NULL;
	int done = question_open(paths, request, &q, err);
	if (done == 0 && (done = ask_about(&q, target, &facts, err)) == 0) {
		struct json_object *findings = checks_run(&facts, plan_mode(&facts));
		if (findings_refuse(findings))
			done = findings_error(findings, err);
		else
			done = plan_make(&facts, "dry-run", &plan, err);
		vmm_auto_json struct json_object *planned = plan ? plan_write(plan) : NULL;
		*reply = json_make("plan:o findings:o", guest_shown(planned), findings);
	}
	plan_free(plan);
	facts_free(&facts);
	question_close(&q);
	return done;
}
