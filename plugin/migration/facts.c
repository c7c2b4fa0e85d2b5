/* facts.c: what both nodes say, and what their check hooks say to the migration. */
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

/* Is the directory `here` of the source the same one as `there` of the target? A file that one node makes and the other
 * one sees proves it. */
static const char *prove_directory(struct vmm_node *source, struct vmm_node *target, const char *here,
				   const char *there)
{
	vmm_auto_json struct json_object *written = NULL, *seen = NULL, *removed = NULL;
	if (token_call(source, "write", here, NULL, &written) < 0)
		return "unproven";
	const char *token = json_text(written, "token");
	bool asked = token_call(target, "look", there, token, &seen) == 0;
	token_call(source, "remove", here, token, &removed);
	return !asked ? "unproven" : json_true(seen, "there") ? "shared" : "local";
}

/* The proofs that were made so far, by directories, so that each pair of them is asked about once. */
static const char *proof_of(struct json_object *proofs, struct vmm_node *source, struct vmm_node *target,
			    const char *here, const char *there)
{
	vmm_auto_free char *key = str_format("%s\n%s", here, there);
	if (!json_member(proofs, key))
		json_object_object_add(proofs, key,
				       json_object_new_string(prove_directory(source, target, here, there)));
	return json_text(json_member(proofs, key), "");
}

/* Of each volume: is its directory the same one on the target, and is the directory of its destination there? A copy
 * would overwrite its own source then. Of each storage: what the first of its volumes has proven. */
static void prove_sharing(struct vmm_node *source, struct vmm_node *target, struct facts *facts)
{
	vmm_auto_json struct json_object *proofs = json_object_new_object();
	json_each (volume, facts->node[SOURCE], "guest.volumes") {
		const char *storage = json_text(volume, "storage"), *path = json_text(volume, "path");
		struct json_object *list = json_at(facts->node[TARGET], "fit.volumes"),
				   *fit = list ? json_object_array_get_idx(list, volume_i) : NULL;
		const char *to = json_text(fit, "to");
		if (!storage || !path || str_same(json_text(volume, "sharing"), "network") ||
		    path_check(path, "volume", NULL) < 0)
			continue;
		vmm_auto_free char *dir = path_dir(path), *to_dir = to ? path_dir(to) : NULL;
		bool block = str_same(json_text(volume, "kind"), "block");
		const char *proof = block ? json_true(fit, "same_block") ? "shared" : "local"
					  : proof_of(proofs, source, target, dir, dir);
		if (!block)
			json_put(volume, "proof:s", proof);
		if (!block && to && path_check(to, "volume", NULL) == 0)
			json_put(fit, "to_proof:s", proof_of(proofs, source, target, dir, to_dir));
		if (!json_member(facts->sharing, storage))
			json_object_object_add(facts->sharing, storage, json_object_new_string(proof));
	}
}

/* If the target has a directory of that name for definitions: is it the source's own? */
static void prove_definition(struct vmm_node *source, struct vmm_node *target, struct facts *facts)
{
	struct json_object *guest = json_at(facts->node[SOURCE], "guest");
	const char *here = json_text(guest, "directory"), *there = json_text(facts->node[TARGET], "fit.directory");
	if (here && there)
		json_put(guest, "directory_proof:s", prove_directory(source, target, here, there));
}

/* ---------------------------------------------------------------- what is only read
 *
 * A volume that is only read stays where it is if the target has a file of its path, and so do the backing files of an
 * image. Whether the target's has the same content is found out here: by its size and, if that is equal, by a digest
 * that each node makes. */

static struct json_object *ask_content(struct vmm_node *node, const char *path, struct vmm_error **err)
{
	vmm_auto_json struct json_object *args = json_make("path:s", path);
	struct json_object *reply = NULL;
	return node_call(node, NODE_CONTENT, args, &reply, err) < 0 ? NULL : reply;
}

/* Adds to `there` "content": what is known of the target's file, compared with that of the source ("same"; "alike": it
 * is too large, and its samples are equal; "differs"; "unknown": "problem" says why). */
static void compare_content(struct vmm_node *source, struct vmm_node *target, const char *path,
			    struct json_object *here, struct json_object *there)
{
	struct json_object *size = json_at(there, "size");
	vmm_auto_error struct vmm_error *problem = NULL;
	vmm_auto_json struct json_object *ours = NULL, *theirs = NULL;
	bool tree = json_true(here, "tree");
	if (!tree && size && json_number(here, "size") != json_object_get_int64(size)) {
		json_put(there, "content:s", "differs");
		return;
	}
	ours = ask_content(source, path, &problem);
	theirs = ours ? ask_content(target, json_text_or(there, "path", path), &problem) : NULL;
	if (!theirs) {
		json_put(there, "content:s problem:s", "unknown", problem->message);
		return;
	}
	bool sampled = json_true(ours, "sampled") || json_true(theirs, "sampled"),
	     same = str_same(json_text(ours, "digest"), json_text(theirs, "digest"));
	json_put(there, "content:s", !same ? "differs" : sampled ? "alike" : "same");
}

/* The same of a file that is at that path on both nodes, unless it is on network storage, or proven to be one file. */
static void compare_if_kept(struct vmm_node *source, struct vmm_node *target, struct json_object *here,
			    struct json_object *there)
{
	const char *path = json_text(here, "path");
	if (!path || !json_true(there, "there") || str_same(json_text(here, "sharing"), "network") ||
	    str_same(json_text(here, "proof"), "shared") || json_true(there, "same_block") || json_at(here, "error"))
		return;
	compare_content(source, target, path, here, there);
}

/* Proves for each file below the volume's image whether its directory is the same one on both nodes, and compares those
 * that are not. */
static void look_below(struct vmm_node *source, struct vmm_node *target, struct json_object *proofs,
		       struct json_object *volume, struct json_object *fit)
{
	json_each (file, volume, "stands_on") {
		struct json_object *list = json_at(fit, "stands_on"),
				   *there = list ? json_object_array_get_idx(list, file_i) : NULL;
		const char *path = json_text(file, "path"), *other = json_text(there, "path");
		if (!other || path_check(path, "volume", NULL) < 0 || path_check(other, "volume", NULL) < 0)
			continue;
		vmm_auto_free char *dir = path_dir(path), *other_dir = path_dir(other);
		json_put(file, "proof:s", proof_of(proofs, source, target, dir, other_dir));
		if (str_same(json_text(file, "as"), "backing"))
			compare_if_kept(source, target, file, there);
	}
}

/* Of the files of its host that the guest reads: adds to each "content" as above, and "sizes": [here, there]. */
static void compare_needs(struct vmm_node *source, struct vmm_node *target, struct facts *facts)
{
	json_each (need, facts->node[SOURCE], "guest.needs") {
		const char *path = json_text(need, "name");
		vmm_auto_error struct vmm_error *problem = NULL;
		vmm_auto_json struct json_object *ours = NULL, *theirs = NULL;
		if (!json_text(need, "same") || path_check(path, "file", NULL) < 0)
			continue;
		ours = ask_content(source, path, &problem);
		theirs = ours ? ask_content(target, path, &problem) : NULL;
		if (!theirs)
			continue; /* it is missing there, which a check of its own says */
		bool same = str_same(json_text(ours, "digest"), json_text(theirs, "digest"));
		json_put(need, "content:s", same ? "same" : "differs");
		json_append(need, "sizes", json_object_new_int64(json_number(ours, "size")));
		json_append(need, "sizes", json_object_new_int64(json_number(theirs, "size")));
	}
}

static void compare_what_is_read(struct vmm_node *source, struct vmm_node *target, struct facts *facts)
{
	vmm_auto_json struct json_object *proofs = json_object_new_object();
	json_each (volume, facts->node[SOURCE], "guest.volumes") {
		struct json_object *list = json_at(facts->node[TARGET], "fit.volumes"),
				   *fit = list ? json_object_array_get_idx(list, volume_i) : NULL;
		if (json_true(volume, "readonly"))
			compare_if_kept(source, target, volume, fit);
		look_below(source, target, proofs, volume, fit);
	}
	compare_needs(source, target, facts);
}

/* ---------------------------------------------------------------- check hooks */

/* What a check hook reads on stdin, since there is no plan yet. */
static struct json_object *known_so_far(const struct facts *facts)
{
	struct json_object *guest = json_at(facts->node[SOURCE], "guest");
	enum mode mode = plan_mode(facts);
	return json_make("kind:s id:s name:s uuid:s mode:s source:s target:s request:O guest:O",
			 json_text(guest, "kind"), json_text(guest, "id"), json_text(guest, "name"),
			 json_text(guest, "uuid"), mode == MODE_NONE ? NULL : mode_name(mode),
			 facts_name(facts, SOURCE), facts_name(facts, TARGET), facts->request, guest);
}

static int run_check_hooks(struct vmm_node *node, struct facts *facts, enum side side, struct vmm_error **err)
{
	vmm_auto_json struct json_object *about = known_so_far(facts);
	vmm_auto_json struct json_object *args = hooks_arguments(HOOK_CHECK, about, NULL), *reply = NULL;
	if (node_call(node, NODE_HOOKS, args, &reply, err) < 0)
		return -1;
	json_put(facts->node[side], "hooks:O", reply);
	return 0;
}

/* Nobody knows whether the hooks of a target that breaks off would have refused, so it counts as one that cannot be
 * asked. */
static int ask_hooks(struct vmm_node *source, struct vmm_node *target, struct facts *facts, struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	if (!json_text(facts->request, "target"))
		return 0;
	if (run_check_hooks(source, facts, SOURCE, err) < 0)
		return -1;
	if (!facts->node[TARGET] || run_check_hooks(target, facts, TARGET, &problem) == 0)
		return 0;
	facts->target_error = error_to_json(problem);
	json_object_put(facts->node[TARGET]);
	facts->node[TARGET] = NULL;
	return 0;
}

/* ---------------------------------------------------------------- the owner that a guest record names */

/* Adds "owner_says" to the record of one side, if that names another node than the source, which has the guest. */
static void ask_owner(const struct node_paths *paths, struct vmm_node *source, struct vmm_node *target,
		      struct facts *facts, enum side side)
{
	struct vmm_node *const near[SIDES] = {source, target};
	vmm_auto_record struct guest_record record = {0};
	vmm_auto_owner struct owner owner = {0};
	struct json_object *said = json_at(facts->node[side], "record");
	if (!said || str_same(json_text(said, "owner"), source->name) || json_text(said, "task") ||
	    record_from_json(said, near[side]->name, &record, NULL) < 0)
		return;
	owner_look(paths, near, source->name, &record, &owner);
	json_put(said, "owner_says:o",
		 json_make("answer:s node:s problem:s generation:i", owner_answers[owner.answer], owner.node,
			   owner.problem, owner.generation));
}

int facts_gather(const struct node_paths *paths, struct json_object *request, struct vmm_node *source,
		 struct vmm_node *target, struct json_object *config, struct facts *facts, struct vmm_error **err)
{
	facts->request = json_object_get(request);
	facts->config = json_object_get(config);
	facts->sharing = json_object_new_object();
	if (ask_source(request, source, facts, err) < 0)
		return -1;
	ask_target(target, facts);
	if (facts->node[TARGET]) {
		prove_sharing(source, target, facts);
		prove_definition(source, target, facts);
		compare_what_is_read(source, target, facts);
		ask_owner(paths, source, target, facts, TARGET);
	}
	ask_owner(paths, source, target, facts, SOURCE);
	return ask_hooks(source, target, facts, err);
}

/* ---------------------------------------------------------------- before the stop */

static bool is_asked_again(const char *code)
{
	static const char *const again[] = {"target-maintenance", "needs-missing", "port-taken", "interface-taken",
					    "bridge-missing"};
	for (size_t i = 0; i < VMM_COUNT(again); i++)
		if (str_same(again[i], code))
			return true;
	return false;
}

int facts_ask_again(struct migration *m, struct vmm_error **err)
{
	struct facts now = m->facts; /* borrows all but what the target says */
	now.node[TARGET] = now.target_error = NULL;
	ask_target(m->node[TARGET], &now);
	vmm_auto_json struct json_object *target = now.node[TARGET], *error = now.target_error;
	if (error)
		return error_from_json(err, error);
	vmm_auto_json struct json_object *findings = checks_run(&now, m->plan->mode), *some = json_object_new_array();
	json_each (finding, findings, "")
		if (is_asked_again(json_text(finding, "code")))
			json_object_array_add(some, json_object_get(finding));
	return findings_error(some, err);
}
