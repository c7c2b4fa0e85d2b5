/* resolve.c: after HANDOVER a return code proves nothing; both nodes are asked which of them has the guest.
 *
 *	the target has ABANDONED on its disk                      undo: that outranks what the guests look like
 *	guest runs on the target                                  commit
 *	guest is alive on the source (running or paused)          undo: it is destroyed on the target
 *	gone on the source, paused on the target, memory whole    commit
 *	gone on the source, incomplete on the target              undo: the guest ended by itself
 *	target cannot be asked, guest runs on the source          undo: without our commit the target cannot release it
 *	target cannot be asked, guest does not run on the source  an administrator has to decide
 */
#include <string.h>

#include "migration/migration.h"

static bool is(struct json_object *state, const char *what)
{
	return str_same(json_text(state, "state"), what);
}

static int cannot_decide(struct migration *m, struct vmm_error *why, struct vmm_error **err)
{
	error_set(err, VMM_NEEDS_DECISION, "unresolved", "guest %s does not run on %s, and %s cannot be asked: %s",
		  m->plan->id, m->plan->source, m->plan->target, why->message);
	return error_hint(
		err, "when %s is back: vmmigrate recover %s; if it never will be: vmmigrate recover %s --keep source",
		m->plan->target, task_id(m->task), task_id(m->task));
}

int target_is_chosen(struct migration *m, bool *chosen, int64_t *generation, struct vmm_error **err)
{
	vmm_auto_record struct guest_record record = {0};
	if (migration_record(m, TARGET, &record, err) < 0)
		return -1;
	*generation = record.generation;
	*chosen = str_same(record.owner, m->plan->target) && record.generation > m->plan->generation;
	return 0;
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
		return is(source, "running") ? 0 : cannot_decide(m, silence, err);
	task_log(m->task, "info", "%s: guest is %s; %s: guest is %s%s", m->plan->source,
		 json_text_or(source, "state", "?"), m->plan->target, json_text_or(target, "state", "?"),
		 is(target, "paused")
			 ? json_true(target, "complete") ? " with all its memory" : " with part of its memory"
			 : "");
	if (is(target, "running") && is(source, "running"))
		return error_set(err, VMM_NEEDS_DECISION, "runs-twice", "guest %s is running on both nodes",
				 m->plan->id);
	/* An undo has been here before, and was interrupted: the source's guest was alive then. */
	vmm_auto_record struct guest_record record = {0};
	if (migration_record(m, TARGET, &record, &silence) < 0)
		return is(source, "running") ? 0 : cannot_decide(m, silence, err);
	if (record.state == RECORD_ABANDONED && str_same(record.task, task_id(m->task)))
		return 0;
	if (is(target, "running") || (!alive && is(target, "paused") && json_true(target, "complete")))
		*resolution = RESOLVE_COMMIT;
	return 0;
}

/* ---------------------------------------------------------------- has it arrived? */

bool arrived_by_journal(struct migration *m, struct json_object *state)
{
	if (is(state, "absent"))
		return false;
	if (phases_journal_has(m, "commit", NULL) || phases_journal_has(m, "done", "handover"))
		return true;
	if (migration_moves_memory(m))
		return is(state, "running") || json_true(state, "complete");
	/* A guest that is off has no handover: its definition is the last thing that arrives. */
	return migration_mode(m) == MODE_OFFLINE && phases_journal_has(m, "done", "define");
}

bool arrived_in_memory(struct migration *m)
{
	vmm_auto_json struct json_object *target = NULL;
	return migration_call(m, TARGET, NODE_STATE, NULL, &target, NULL) == 0 && is(target, "paused") &&
	       json_true(target, "complete");
}

bool arrived_by_record(const struct guest_record *record, struct json_object *state)
{
	if (!state || is(state, "absent"))
		return false;
	if (is(state, "running") || record->state == RECORD_COMMITTED)
		return true;
	if (is(state, "paused"))
		return json_true(state, "complete");
	/* A guest that is off has no handover: before the commit its source alone may give it up. */
	return record->state == RECORD_HANDOVER;
}
