/* resolve.c: after HANDOVER nothing is what a return code says; both nodes are asked.
 *
 *	target runs                                            commit
 *	source's guest is alive (running or standing)          undo: the target's is destroyed
 *	source's is gone, target stands with complete memory   commit
 *	source's is gone, target has nothing whole             undo: the guest ended by itself
 *	target cannot be asked, source runs                    undo: the target's can never be let go without our commit
 *	target cannot be asked, source does not run            nobody may decide: an administrator's word
 */
#include <string.h>

#include "engine/engine.h"

static bool is(struct json_object *state, const char *what)
{
	return str_same(json_text(state, "state"), what);
}

static int nobody_knows(struct migration *m, struct vmm_error *why, struct vmm_error **err)
{
	error_set(err, VMM_NEEDS_DECISION, "unresolved", "guest %s does not run on %s, and %s cannot be asked: %s",
		  json_text(m->plan, "id"), json_text(m->plan, "source"), json_text(m->plan, "target"), why->message);
	return error_hint(
		err, "when %s is back: vmmigrate recover %s; if it never will be: vmmigrate recover %s --keep source",
		json_text(m->plan, "target"), task_id(m->task), task_id(m->task));
}

bool target_is_chosen(struct migration *m, int64_t *generation)
{
	vmm_auto_json struct json_object *reply = NULL;
	if (migration_insist(m, TARGET, NODE_RECORD, NULL, &reply, NULL) < 0)
		return false;
	*generation = json_number(reply, "record.generation");
	return str_same(json_text(reply, "record.owner"), json_text(m->plan, "target")) &&
	       *generation > json_number(m->plan, "generation");
}

int resolve(struct migration *m, enum resolution *resolution, struct vmm_error **err)
{
	vmm_auto_json struct json_object *source = NULL, *target = NULL;
	vmm_auto_error struct vmm_error *silence = NULL;
	if (migration_insist(m, SOURCE, NODE_STATE, NULL, &source, err) < 0) {
		(*err)->exit = VMM_NEEDS_DECISION;
		return -1;
	}
	*resolution = RESOLVE_UNDO;
	bool alive = !is(source, "shutoff") && !is(source, "absent") && !is(source, "crashed");
	if (migration_insist(m, TARGET, NODE_STATE, NULL, &target, &silence) < 0)
		return is(source, "running") ? 0 : nobody_knows(m, silence, err);
	task_log(m->task, "info", "%s: guest is %s; %s: guest is %s%s", json_text(m->plan, "source"),
		 json_text_or(source, "state", "?"), json_text(m->plan, "target"), json_text_or(target, "state", "?"),
		 is(target, "paused")
			 ? json_true(target, "complete") ? " with all its memory" : " with part of its memory"
			 : "");
	if (is(target, "running") && is(source, "running"))
		return error_set(err, VMM_NEEDS_DECISION, "runs-twice", "guest %s is running on both nodes",
				 json_text(m->plan, "id"));
	if (is(target, "running") || (!alive && is(target, "paused") && json_true(target, "complete")))
		*resolution = RESOLVE_COMMIT;
	return 0;
}
