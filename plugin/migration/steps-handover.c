/* steps-handover.c: the guest changes its owner: handover, commit, release. */
#include <string.h>

#include "migration/steps.h"

/* Writes the state on both disks before anything moves: a node that comes back alone then knows that it has to ask the
 * other one. */
static int advance_both(struct migration *m, const char *to, struct vmm_error **err)
{
	return migration_call(m, TARGET, NODE_ADVANCE, json_make("to:s", to), NULL, err) < 0 ||
			       migration_call(m, SOURCE, NODE_ADVANCE, json_make("to:s", to), NULL, err) < 0
		       ? -1
		       : 0;
}

/* ---------------------------------------------------------------- handover */

static bool on_progress(void *context, const struct guest_progress *p)
{
	struct migration *m = context;
	struct json_object *more = json_make("iteration:d dirty_rate:i", p->iteration, (int64_t)p->dirty_rate);
	if (p->downtime_ms >= 0)
		json_put(more, "downtime_ms:i", p->downtime_ms);
	task_progress(m->task, "handover", "memory", p->done, p->total, more);
	return !task_cancelled(m->task);
}

static int move_memory(struct migration *m, struct vmm_error **err)
{
	m->moved = (struct guest_statistics){.downtime_ms = -1, .total_ms = -1};
	m->moving = (struct guest_migration){
		.paused = migration_mode(m) == MODE_PAUSED,
		.rate_limit = (uint64_t)json_number(m->request, "options.bwlimit") * 1024,
		.max_downtime_ms = json_number(m->request, "options.max_downtime"),
		.suspend_on_stall = str_same(json_text(m->request, "options.on_stall"), "suspend"),
		.unsafe = json_true(m->request, "options.unsafe") || facts_vouch_for_storage(&m->facts),
		.progress = on_progress,
		.context = m,
		.statistics = &m->moved,
	};
	vmm_auto_json struct json_object *options = json_copy(json_at(m->request, "options"));
	json_put(options, "guest:s memory_address:s", m->plan->guest, facts_memory_address(&m->facts, TARGET));
	int done = m->node[SOURCE]->ops->migrate(m->node[SOURCE], m->node[TARGET], task_id(m->task), &m->moving,
						 options, err);
	m->stopped_ms = m->moved.stopped_ms ? m->moved.stopped_ms : clock_steady_ms();
	return done;
}

/* Waits for the hypervisor's end of the migration of memory. Its return code is only a hint: resolve asks both nodes.
 */
static int end_move(struct migration *m, struct vmm_error **err)
{
	int done = m->node[SOURCE]->ops->migrate_end(m->node[SOURCE], err);
	json_put(m->statistics, "memory_bytes:i", (int64_t)m->moved.memory);
	return done;
}

static int hand_over_memory(struct migration *m, struct vmm_error **err)
{
	bool replace = json_true(m->request, "options.replace") || m->plan->set_aside;
	if (check_untouched(m, false, err) < 0 || advance_both(m, "handover", err) < 0 ||
	    migration_call(m, SOURCE, NODE_AUTOSTART, json_make("on:b", 0), NULL, err) < 0 ||
	    migration_call(m, TARGET, NODE_PERMIT, json_make("replace:b", (int)replace), NULL, err) < 0)
		return -1;
	struct vmm_error *hint = NULL;
	enum resolution resolution;
	/* From here on a guest that is off because it was migrated may have been moved by this task. */
	if (journal_add(m->journal, json_make("what:s phase:s object:s", "moving", "handover", m->plan->id), err) < 0)
		return -1;
	if (move_memory(m, &hint) == 0 && arrived_in_memory(m))
		return 0;
	vmm_auto_error struct vmm_error *verdict = NULL;
	end_move(m, hint ? &verdict : &hint);
	if (resolve(m, &resolution, err) < 0) {
		error_clear(&hint);
		return -1;
	}
	if (resolution == RESOLVE_COMMIT) {
		error_clear(&hint);
		return 0;
	}
	if (hint)
		error_take(err, hint);
	else
		error_set(err, VMM_FAILED, "migration-failed", "guest %s stayed on %s", m->plan->id, m->plan->source);
	return -1;
}

int step_handover(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	if (migration_moves_memory(m))
		return hand_over_memory(m, err);
	/* From the guest's shutdown until now: the last round, its verification, and the final paths. */
	if (m->stopped_ms)
		json_put(m->statistics, "last_round_ms:i", clock_steady_ms() - m->stopped_ms);
	return advance_both(m, "handover", err) < 0 ||
			       migration_call(m, TARGET, NODE_START, json_make("held:b", 1), NULL, err) < 0
		       ? -1
		       : 0;
}

int refuse_as_chosen(struct migration *m, struct vmm_error **err)
{
	error_set(err, VMM_NEEDS_DECISION, "chosen", "by an administrator's decision guest %s is %s's", m->plan->id,
		  m->plan->target);
	return error_hint(err, "vmmigrate recover %s removes what is left of it on %s", task_id(m->task),
			  m->plan->source);
}

/* Destroys the guest on the target before it goes on here. If the target cannot be told, the guest goes on here only if
 * it never stopped: otherwise an administrator may have decided on the target meanwhile, and both nodes have to be seen
 * first. */
static int end_on_target(struct migration *m, bool source_runs, struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	if (migration_insist(m, TARGET, NODE_ADVANCE, json_make("to:s", "abandoned"), NULL, &problem) == 0 &&
	    migration_insist(m, TARGET, NODE_DESTROY, NULL, NULL, &problem) == 0)
		return 0;
	/* The target has no record of this task: it was told before, or never knew; or an administrator has decided
	 * there. A target that says no more is in doubt like one that has said nothing. */
	if (error_is(problem, "wrong-state")) {
		bool chosen;
		int64_t generation;
		error_clear(&problem);
		if (target_is_chosen(m, &chosen, &generation, &problem) == 0)
			return chosen ? refuse_as_chosen(m, err) : 0;
	}
	if (error_is(problem, "committed"))
		return error_set(err, VMM_NEEDS_DECISION, "committed", "%s", problem->message);
	if (m->keep_source || source_runs) {
		m->pending = true;
		/* undo_lock keeps the guest locked then. */
		return m->keep_source ? 0 : journal_add(m->journal, json_make("what:s", "went-on"), err);
	}
	error_set(err, VMM_NEEDS_DECISION, "unresolved", "node %s may still hold guest %s: %s", m->plan->target,
		  m->plan->id, problem->message);
	return error_hint(
		err, "when %s is back: vmmigrate recover %s; if it never will be: vmmigrate recover %s --keep source",
		m->plan->target, task_id(m->task), task_id(m->task));
}

/* A guest that was paused for the move goes on here. A guest whose memory has moved, and was lost on the target, is
 * started anew. A guest that ended by itself, or that somebody else has moved away, stays off; one without a persistent
 * definition is gone then. */
static int go_on_here(struct migration *m, struct json_object *state, struct vmm_error **err)
{
	if (is_off_by_others(m, state, phases_journal_has(m, "moving", "handover"))) {
		log_off_by_others(m, state);
		return 0;
	}
	if (str_same(json_text(state, "state"), "absent")) {
		task_log(m->task, "warning",
			 "guest %s is gone from %s: it has ended, and has no persistent definition there", m->plan->id,
			 m->plan->source);
		m->warnings++;
		return 0;
	}
	if (str_same(json_text(state, "state"), "shutoff") && str_same(json_text(state, "reason"), "migrated"))
		return migration_call(m, SOURCE, NODE_START, json_make("held:b", 0), NULL, err);
	bool stands = str_same(json_text(state, "state"), "paused") && !str_same(m->plan->state, "paused");
	return stands ? migration_call(m, SOURCE, NODE_RELEASE, NULL, NULL, err) : 0;
}

/* Whatever failed: if the target has the memory and the source has not, there is no way back. */
static int has_way_back(struct migration *m, struct vmm_error **err)
{
	enum resolution resolution;
	if (m->keep_source)
		return 0;
	if (resolve(m, &resolution, err) < 0)
		return -1;
	if (resolution == RESOLVE_UNDO)
		return 0;
	error_set(err, VMM_NEEDS_DECISION, "memory-moved", "the memory of guest %s is on %s already", m->plan->id,
		  m->plan->target);
	return error_hint(err, "vmmigrate recover %s lets it go on there", task_id(m->task));
}

int undo_handover(struct migration *m, struct vmm_error **err)
{
	if (!migration_moves_memory(m))
		return end_on_target(m, false, err);
	vmm_auto_json struct json_object *state = NULL, *now = NULL;
	if (migration_insist(m, SOURCE, NODE_MIGRATE_ABORT, NULL, NULL, err) < 0 || has_way_back(m, err) < 0 ||
	    migration_insist(m, SOURCE, NODE_STATE, NULL, &state, err) < 0 ||
	    end_on_target(m, str_same(json_text(state, "state"), "running"), err) < 0 ||
	    migration_insist(m, SOURCE, NODE_STATE, NULL, &now, err) < 0 || go_on_here(m, now, err) < 0)
		return -1;
	/* Without a definition there is no autostart to set. */
	bool defined = !str_same(json_text(now, "state"), "absent");
	return m->plan->autostart && defined
		       ? migration_call(m, SOURCE, NODE_AUTOSTART, json_make("on:b", 1), NULL, err)
		       : 0;
}

/* ---------------------------------------------------------------- commit */

/* The commit could not be written, but may have reached the disk all the same: it is in doubt. It is undone only after
 * the target has written ABANDONED to its own disk. A guest whose memory is on the target already cannot be undone at
 * all. */
static int commit_in_doubt(struct migration *m, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	if (!migration_moves_memory(m) &&
	    migration_insist(m, TARGET, NODE_ADVANCE, json_make("to:s", "abandoned"), NULL, &problem) == 0)
		return -1;
	error_clear(&problem);
	(*err)->exit = VMM_NEEDS_DECISION;
	return error_hint(
		err,
		"the commit could not be written and may or may not be on the disk; mend the disk, then: vmmigrate "
		"recover %s",
		task_id(m->task));
}

int step_commit(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	if (task_cancelled(m->task) && !migration_moves_memory(m))
		return error_set(err, VMM_CANCELLED, "cancelled", "cancelled just before the commit");
	/* A guest that somebody has started or edited here since it was copied would be lost. */
	if (!migration_moves_memory(m) && check_untouched(m, true, err) < 0)
		return -1;
	struct json_object *record =
		json_make("what:s owner:s generation:i", "commit", m->plan->target, m->plan->generation);
	if (journal_add(m->journal, record, err) < 0)
		return commit_in_doubt(m, err);
	m->committed = true;
	return 0;
}

/* The guest runs on the target: the hypervisor here removes what is left of it. */
static void end_move_here(struct migration *m)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	if (migration_moves_memory(m) && end_move(m, &problem) < 0)
		task_log(m->task, "info", "%s on its end of the migration: %s", m->plan->source, problem->message);
}

/* Both nodes write who owns the guest to their disks before it runs its first instruction on the target. */
int step_release(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	for (enum side side = SOURCE; side < SIDES; side++) {
		struct json_object *args =
			json_make("to:s owner:s generation:i", "committed", m->plan->target, m->plan->generation);
		if (migration_insist(m, side, NODE_ADVANCE, args, NULL, err) < 0)
			return -1;
	}
	if (migration_runs(m) && migration_insist(m, TARGET, NODE_RELEASE, NULL, NULL, err) < 0)
		return -1;
	m->released_ms = clock_steady_ms();
	end_move_here(m);
	return m->plan->autostart ? migration_insist(m, TARGET, NODE_AUTOSTART, json_make("on:b", 1), NULL, err) : 0;
}
