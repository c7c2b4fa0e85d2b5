/* recover.c: finishes or undoes a task whose worker is gone, by its journal and by what both nodes say.
 *
 *	journal has end                            nothing to do
 *	an administrator decided that the target   the source gives the guest up
 *	  owns it, while the source was away
 *	the source has unlocked the guest          the target's clean-up alone is left
 *	journal has the commit                     forward, unless the target has ABANDONED on its disk
 *	handover begun, memory moved               forward: the commit is written now
 *	else                                       backward
 */
#include <string.h>

#include "migration/steps.h"

/* True where the target's disk says that it will never own the guest through this task. */
static int target_abandoned(struct migration *m, bool *abandoned, struct vmm_error **err)
{
	vmm_auto_record struct guest_record record = {0};
	if (migration_record(m, TARGET, &record, err) < 0)
		return -1;
	/* If the target has forgotten the task, the generation tells: only a commit raises it to the plan's, or a
	 * decision for the source. Once the source has begun to give the guest up, the target had committed. */
	if (str_same(record.task, task_id(m->task)))
		*abandoned = record.state == RECORD_ABANDONED;
	else
		*abandoned = !phases_journal_has(m, "give-up", NULL) &&
			     (record.generation < m->plan->generation || str_same(record.owner, m->plan->source));
	return 0;
}

static int finish(struct migration *m, struct vmm_error **err)
{
	m->committed = true;
	return phases_finish(m, err);
}

static int go_back(struct migration *m, struct vmm_error **err)
{
	m->committed = false;
	return phases_backward(m, err);
}

/* Writes the guest record as was decided, whatever state it is in. */
static int reclaim(struct migration *m, enum side side, const char *owner, int64_t generation, const char *state,
		   struct vmm_error **err)
{
	struct json_object *args = json_make("owner:s generation:i state:s", owner, generation, state);
	return migration_insist(m, side, NODE_RECLAIM, args, NULL, err);
}

/* The journal says that the source began to give the guest up: is all of it still there? */
static int has_everything(struct migration *m, bool *all, struct vmm_error **err)
{
	vmm_auto_json struct json_object *state = NULL;
	if (migration_insist(m, SOURCE, NODE_STATE, NULL, &state, err) < 0)
		return -1;
	*all = !str_same(json_text(state, "state"), "absent");
	plan_each_volume (volume, m->plan)
		*all &= volume->action != PLAN_COPY || !volume->from || file_there(volume->from);
	return 0;
}

static int may_keep_source(struct migration *m, struct vmm_error **err)
{
	bool all = false;
	if (!phases_journal_has(m, "give-up", NULL))
		return 0;
	if (!phases_journal_has(m, "given-up", NULL) && has_everything(m, &all, err) < 0)
		return -1;
	if (all)
		return 0;
	return error_set(err, VMM_NEEDS_DECISION, "given-up", "node %s has given up the volumes of guest %s already",
			 m->plan->source, m->plan->id);
}

/* The target has abandoned what this node had committed: the guest record here, which may name the target as the owner
 * already, gets back the owner and the generation that it had. Then all is undone. */
static int take_back(struct migration *m, struct vmm_error **err)
{
	m->committed = false;
	if (may_keep_source(m, err) < 0 ||
	    reclaim(m, SOURCE, m->plan->source, m->plan->generation - 1, "source", err) < 0)
		return -1;
	return go_back(m, err);
}

/* `unlocked`: this node had undone or finished all of its own part. */
static int after_commit(struct migration *m, bool unlocked, struct vmm_error **err)
{
	bool abandoned;
	m->committed = true;
	if (target_abandoned(m, &abandoned, err) < 0)
		return -1;
	if (!abandoned)
		return finish(m, err);
	if (!unlocked)
		return take_back(m, err);
	m->committed = false;
	return abort_on_target(m, err);
}

/* The worker died while memory moved: ends libvirt's job where it still runs, then asks both nodes. */
static int after_handover(struct migration *m, struct vmm_error **err)
{
	enum resolution resolution;
	if (migration_insist(m, SOURCE, NODE_MIGRATE_ABORT, NULL, NULL, err) < 0 || resolve(m, &resolution, err) < 0)
		return -1;
	if (resolution == RESOLVE_UNDO)
		return go_back(m, err);
	return step_commit(m, NULL, err) < 0 ? -1 : finish(m, err);
}

/* *unlocked is true where this task no longer locks the guest on the source: only the target's clean-up can be left to
 * do, and the guest may have moved on since. */
static int is_unlocked(struct migration *m, bool *unlocked, struct vmm_error **err)
{
	vmm_auto_record struct guest_record record = {0};
	if (migration_record(m, SOURCE, &record, err) < 0)
		return -1;
	*unlocked = !str_same(record.task, task_id(m->task));
	return 0;
}

/* Removes the definition here. The volumes may be newer than what the target has: they stay, and are reported as left
 * over. */
static int keep_volumes(struct migration *m, struct vmm_error **err)
{
	struct json_object *args = json_make("volumes:o keep_seed:b", json_object_new_array(), 0);
	if (migration_insist(m, SOURCE, NODE_GIVE_UP, args, NULL, err) < 0)
		return -1;
	plan_each_volume (volume, m->plan)
		if (volume->action == PLAN_COPY)
			json_append(m->leftovers, "left", json_object_new_string(volume->from));
	return 0;
}

static int give_way(struct migration *m, int64_t generation, struct vmm_error **err)
{
	const char *target = m->plan->target, *source = m->plan->source;
	vmm_auto_json struct json_object *state = NULL;
	if (migration_insist(m, SOURCE, NODE_STATE, NULL, &state, err) < 0)
		return -1;
	const char *now = json_text_or(state, "state", "?");
	if (!strcmp(now, "running") || !strcmp(now, "paused")) {
		error_set(err, VMM_NEEDS_DECISION, "runs-twice",
			  "guest %s is %s on %s, and by an administrator's decision it is %s's", m->plan->id, now,
			  source, target);
		return error_hint(err, "stop the one that is not to go on, then: vmmigrate recover %s",
				  task_id(m->task));
	}
	struct json_object *args = json_make("owner:s generation:i state:s", target, generation, "committed");
	if (migration_insist(m, SOURCE, NODE_RECLAIM, args, NULL, err) < 0 || keep_volumes(m, err) < 0 ||
	    journal_add(m->journal, json_make("what:s phase:s", "done", "unlock"), err) < 0)
		return -1;
	m->committed = true;
	task_log(m->task, "info", "by an administrator's decision guest %s is %s's; what %s has of it is kept",
		 m->plan->id, target, source);
	return migration_insist(m, SOURCE, NODE_UNLOCK, NULL, NULL, err);
}

static int recover_by_journal(struct migration *m, struct vmm_error **err)
{
	bool unlocked, chosen;
	int64_t generation;
	if (is_unlocked(m, &unlocked, err) < 0)
		return -1;
	/* Where the target does not say, each way below asks again, or knows that no decision is possible yet. */
	if (!unlocked && target_is_chosen(m, &chosen, &generation, NULL) == 0 && chosen)
		return give_way(m, generation, err);
	if (unlocked && phases_journal_has(m, "done", "unlock")) {
		m->committed = true;
		return 0;
	}
	if (phases_journal_has(m, "commit", NULL))
		return after_commit(m, unlocked, err);
	if (unlocked)
		return abort_on_target(m, err);
	if (migration_moves_memory(m) && phases_journal_has(m, "do", "handover") &&
	    !phases_journal_has(m, "undone", "handover"))
		return after_handover(m, err);
	return go_back(m, err);
}

/* ---------------------------------------------------------------- an administrator's decision */

static int may_keep_target(struct migration *m, struct vmm_error **err)
{
	vmm_auto_json struct json_object *state = NULL;
	bool unlocked;
	if (is_unlocked(m, &unlocked, err) < 0 || migration_insist(m, TARGET, NODE_STATE, NULL, &state, err) < 0)
		return -1;
	if (!arrived_by_journal(m, state))
		return error_set(err, VMM_NEEDS_DECISION, "not-there", "guest %s has not arrived on %s", m->plan->id,
				 m->plan->target);
	if (!unlocked || phases_journal_has(m, "give-up", NULL))
		return 0;
	/* The migration has been undone here, and the guest may run again: keep_target would destroy it. */
	error_set(err, VMM_NEEDS_DECISION, "unlocked",
		  "guest %s is %s's again: only what was prepared on %s is left to remove", m->plan->id,
		  m->plan->source, m->plan->target);
	return error_hint(err, "vmmigrate recover %s removes it", task_id(m->task));
}

/* The phase settle is marked as done: where the guest did not stay up, the administrator knows, and it is not watched
 * again. */
static int keep_target(struct migration *m, struct vmm_error **err)
{
	const char *target = m->plan->target, *id = m->plan->id;
	int64_t generation = m->plan->generation;
	/* It may run here after a commit too: the target had abandoned that, and this node was going back. */
	if (!phases_journal_has(m, "give-up", NULL) && migration_insist(m, SOURCE, NODE_DESTROY, NULL, NULL, err) < 0)
		return -1;
	if (!phases_journal_has(m, "commit", NULL) &&
	    journal_add(m->journal, json_make("what:s decided:s", "commit", "target"), err) < 0)
		return -1;
	m->committed = true;
	for (enum side side = SOURCE; side < SIDES; side++)
		if (!phases_journal_has(m, "done", "release") &&
		    reclaim(m, side, target, generation, "committed", err) < 0)
			return -1;
	if (!phases_journal_has(m, "done", "settle") &&
	    journal_add(m->journal, json_make("what:s phase:s object:s", "done", "settle", id), err) < 0)
		return -1;
	return finish(m, err);
}

static int record_kept(struct migration *m, const struct guest_record *record, struct vmm_error **err)
{
	if (str_same(record->owner, m->plan->target) && record->generation >= m->plan->generation)
		return refuse_as_chosen(m, err);
	return 0;
}

/* Ends the guest on the target, where that still holds it for this task: two must not run. */
static int end_there(struct migration *m, const struct guest_record *record, struct vmm_error **err)
{
	if (!str_same(record->task, task_id(m->task)))
		return record_kept(m, record, err);
	if (reclaim(m, TARGET, m->plan->source, m->plan->generation + 1, "abandoned", err) == 0 &&
	    migration_insist(m, TARGET, NODE_DESTROY, NULL, NULL, err) == 0)
		return 0;
	(*err)->exit = VMM_NEEDS_DECISION;
	return error_hint(
		err,
		"%s was reached just now, and may run guest %s: when it can be reached again, or is known to be "
		"off, say again: vmmigrate recover %s --keep source",
		m->plan->target, m->plan->id, task_id(m->task));
}

/* The guest must not run on the target any more before it goes on here. A target that gives no answer at all counts as
 * off, since the administrator says so; one that has answered, and then falls silent, does not. */
static int end_on_lost_target(struct migration *m, struct vmm_error **err)
{
	vmm_auto_record struct guest_record record = {0};
	vmm_auto_error struct vmm_error *problem = NULL;
	if (migration_record(m, TARGET, &record, &problem) == 0)
		return end_there(m, &record, err);
	if (!migration_is_silence(problem)) {
		error_take(err, problem);
		problem = NULL;
		return -1;
	}
	task_log(m->task, "warning", "%s cannot be told: %s. See to it that guest %s does not run there",
		 m->plan->target, problem->message, m->plan->id);
	return 0;
}

/* The generation is higher than any that this task gave, so that the decision still holds when the target is back. The
 * source's part is done once: after the unlock the guest is no business of this task any more. */
static int keep_source(struct migration *m, struct vmm_error **err)
{
	bool unlocked;
	if (is_unlocked(m, &unlocked, err) < 0)
		return -1;
	m->keep_source = true;
	if (unlocked)
		return abort_on_target(m, err);
	if (reclaim(m, SOURCE, m->plan->source, m->plan->generation + 1, "source", err) < 0)
		return -1;
	if (m->plan->running && migration_call(m, SOURCE, NODE_START, json_make("held:b", 0), NULL, err) < 0)
		return -1;
	return go_back(m, err);
}

/* The decision that was given last, in an earlier recover that could not carry it out to the end; or NULL. */
static const char *last_decision(struct migration *m)
{
	const char *keep = NULL;
	json_each (record, journal_records(m->journal), "")
		if (str_same(json_text(record, "what"), "decision"))
			keep = json_text(record, "keep");
	return keep;
}

static int note_decision(struct migration *m, const char *keep, struct vmm_error **err)
{
	return journal_add(m->journal, json_make("what:s keep:s", "decision", keep), err);
}

/* The decision is in the journal once the target does not have the guest any more, or counts as off. */
static int recover_for_source(struct migration *m, bool said_now, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	bool committed = m->committed;
	if (may_keep_source(m, err) < 0)
		return -1;
	m->committed = false;
	if (end_on_lost_target(m, &problem) == 0)
		return said_now && note_decision(m, "source", err) < 0 ? -1 : keep_source(m, err);
	if (!error_is(problem, "chosen") || said_now) {
		error_take(err, problem);
		return -1;
	}
	/* Somebody has decided otherwise on the target since. */
	error_clear(&problem);
	m->committed = committed;
	return recover_by_journal(m, err);
}

static int recover_as_decided(struct migration *m, const char *decision, struct vmm_error **err)
{
	const char *keep = decision ? decision : last_decision(m);
	if (!keep)
		return recover_by_journal(m, err);
	if (!str_same(keep, "target"))
		return recover_for_source(m, decision != NULL, err);
	if (may_keep_target(m, err) < 0 || (decision && note_decision(m, keep, err) < 0))
		return -1;
	return keep_target(m, err);
}

/* Recover could not finish now: the task stays open, and the next recover tries again. */
static enum vmm_exit unsettled(struct migration *m, struct vmm_error *err)
{
	err->exit = VMM_NEEDS_DECISION;
	if (!err->hint)
		error_hint(&err, "vmmigrate recover %s tries again", task_id(m->task));
	return migrate_end(m, err);
}

/* A plan that cannot be read is not guessed: the journal says what was begun, but not of what. */
static int load_plan(struct migration *m, struct vmm_error **err)
{
	vmm_auto_json struct json_object *json = NULL;
	if (task_read(m->task, "plan", &json, err) == 0 && (!json || plan_read(json, &m->plan, err) == 0))
		return 0;
	const char *dir = m->paths->state, *id = task_id(m->task);
	return error_hint(err, "nothing is recovered without it: mend %s/tasks/%s/plan, then: vmmigrate recover %s",
			  dir, id, id);
}

static int load(struct migration *m, struct vmm_error **err)
{
	if (task_read(m->task, "request", &m->request, err) < 0 || load_plan(m, err) < 0)
		return -1;
	return m->plan ? task_journal(m->task, &m->journal, err) : 0;
}

enum vmm_exit recover_run(struct migration *m, const char *keep)
{
	struct vmm_error *err = NULL;
	if (load(m, &err) < 0)
		return unsettled(m, err);
	if (!m->plan || !phases_journal_has(m, "do", "lock")) {
		error_set(&err, VMM_FAILED, "interrupted", "the worker ended before anything was touched");
		return migrate_end(m, err);
	}
	/* The task has ended: there is nothing left to decide. */
	if (phases_journal_has(m, "end", NULL))
		return VMM_DONE;
	task_log(m->task, "info", "recover: the worker is gone; finishing or undoing what it began");
	m->committed = phases_journal_has(m, "commit", NULL);
	if (recover_as_decided(m, keep, &err) < 0)
		return unsettled(m, err);
	if (!m->committed)
		error_set(&err, VMM_FAILED, "interrupted", "the migration was interrupted and has been undone");
	return migrate_end(m, err);
}
