/* word.c: an administrator's word, said on the target of a task whose source cannot be asked - it has lost its power, and may never
 * be back. Nothing else lets a target decide by itself.
 *
 * The word outranks what the source's journal says: the guest's generation is above any that the task gave. A source that comes
 * back finds it so (recover.c) and gives way.
 */
#include <string.h>

#include "engine/verbs.h"

static int ask(struct vmm_node *self, struct json_object *mine, enum node_op op, struct json_object *more,
	       struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *args = more ? more : json_object_new_object();
	json_put(args, "guest:s task:s", json_text(mine, "guest"), json_text(mine, "task"));
	return node_call(self, op, args, reply, err);
}

/* All of the guest is here: its memory, or its volumes and its definition. */
static bool has_arrived(struct json_object *mine, struct json_object *state)
{
	const char *now = json_text_or(state, "state", "absent");
	if (!strcmp(now, "absent"))
		return false;
	if (!strcmp(now, "running") || str_same(json_text(mine, "state"), "committed"))
		return true;
	if (!strcmp(now, "paused"))
		return json_true(state, "complete");
	/* One that was off when it was moved has no handover: up to the commit its source may let go of it alone. */
	return str_same(json_text(mine, "state"), "handover");
}

static int keep_here(struct vmm_node *self, struct json_object *mine, struct vmm_error **err)
{
	vmm_auto_json struct json_object *state = NULL;
	if (ask(self, mine, NODE_STATE, NULL, &state, err) < 0)
		return -1;
	if (!has_arrived(mine, state)) {
		error_set(err, VMM_NEEDS_DECISION, "not-there",
			  "guest %s has not arrived whole on %s: it cannot run here", json_text(mine, "guest"),
			  self->name);
		return error_hint(err, "to remove what came of it: vmmigrate recover %s --keep source",
				  json_text(mine, "task"));
	}
	/* One above what a commit gives. */
	int64_t generation = json_number(mine, "peer_generation") + 2;
	struct json_object *args = json_make("owner:s generation:i state:s", self->name, generation, "committed");
	return ask(self, mine, NODE_RECLAIM, args, NULL, err) < 0 ? -1 : settle_take_over(self, mine, generation, err);
}

int word_given(struct vmm_node *self, struct json_object *mine, const char *keep, struct vmm_error **err)
{
	if (!strcmp(keep, "target"))
		return keep_here(self, mine, err);
	return ask(self, mine, NODE_ABORT, NULL, NULL, err);
}

bool word_is_ours(const struct node_paths *paths, const char *task)
{
	vmm_auto_free char *dir = str_format("%s/guests", paths->state), *name = task_node(task);
	vmm_auto_json struct json_object *names = NULL;
	vmm_auto_error struct vmm_error *silence = NULL;
	bool held = false;
	if (dir_list(dir, &names, NULL) < 0)
		return false;
	json_each (entry, names, "") {
		vmm_auto_json struct json_object *record = NULL;
		record_read(paths->state, json_text(entry, ""), &record, NULL);
		held |= str_same(json_text(record, "task"), task) && str_same(json_text(record, "peer"), name);
	}
	struct vmm_node *source;
	if (!held || node_open_remote(paths, name, NULL, &source, &silence) == 0) {
		if (held)
			node_close(source);
		return false;
	}
	return true;
}
