/* migrate.c: the story of a migration on one page.
 *
 *	request → facts (both nodes) → checks → plan → phases → result
 */
#include <string.h>

#include "migration/steps.h"

/* ---------------------------------------------------------------- from facts to a plan */

static int learn(struct migration *m, struct vmm_error **err)
{
	struct vmm_error *unreached = NULL;
	if (!m->node[TARGET] && m->connect(m, &unreached) < 0) {
		m->facts.target_error = error_to_json(unreached);
		error_clear(&unreached);
	}
	migration_listen(m);
	if (facts_gather(m->paths, m->request, m->node[SOURCE], m->node[TARGET], m->config, &m->facts, err) < 0)
		return -1;
	return task_cancelled(m->task) ? error_set(err, VMM_CANCELLED, "cancelled", "cancelled before it began") : 0;
}

/* All findings go into the log, except a single refusal: it becomes the last line. */
static int judge(struct migration *m, struct vmm_error **err)
{
	vmm_auto_json struct json_object *findings = checks_run(&m->facts, plan_mode(&m->facts));
	int refusals = 0;
	json_each (finding, findings, "")
		refusals += finding_refuses(finding);
	json_each (finding, findings, "") {
		bool refusal = finding_refuses(finding);
		m->warnings += !refusal;
		if (!refusal || refusals > 1)
			task_log(m->task, refusal ? "error" : "warning", "%s: %s%s%s",
				 json_text_or(finding, "code", "?"), json_text_or(finding, "message", "?"),
				 json_text(finding, "hint") ? " - " : "", json_text_or(finding, "hint", ""));
	}
	return refusals ? findings_error(findings, err) : 0;
}

/* Writes the plan to the task's directory, with what recover needs if this process dies. A plan that recover could not
 * read is refused now, before anything is touched. */
static int keep_plan(struct migration *m, struct vmm_error **err)
{
	struct json_object *guest = json_at(m->facts.node[SOURCE], "guest");
	const char *definition, *state;
	struct plan *as_read = NULL;
	if (json_need(guest, "definition", "guest facts", &definition, err) < 0 ||
	    json_need(guest, "state", "guest facts", &state, err) < 0 ||
	    file_read("/proc/sys/kernel/random/boot_id", 64, &m->plan->boot, NULL, err) < 0)
		return -1;
	m->plan->definition = str_copy(definition);
	m->plan->state = str_copy(state);
	m->plan->moments = json_object_get(json_at(guest, "moments"));
	m->plan->snapshots = json_number(guest, "snapshots");
	m->plan->autostart = json_true(guest, "autostart");
	vmm_auto_json struct json_object *json = plan_write(m->plan);
	if (plan_read(json, &as_read, err) < 0)
		return -1;
	plan_free(as_read);
	return task_write(m->task, "plan", json, err);
}

static int prepare(struct migration *m, struct vmm_error **err)
{
	if (learn(m, err) < 0 || judge(m, err) < 0 || plan_make(&m->facts, task_id(m->task), &m->plan, err) < 0 ||
	    keep_plan(m, err) < 0 || keep_moments(m, err) < 0)
		return -1;
	task_log(m->task, "info", "%s of %s %s (%s) from %s to %s", mode_name(m->plan->mode),
		 facts_ops(&m->facts)->label, m->plan->id, m->plan->name ? m->plan->name : "no name", m->plan->source,
		 m->plan->target);
	return task_journal(m->task, &m->journal, err);
}

/* ---------------------------------------------------------------- the result */

static bool was_touched(struct migration *m)
{
	return m->journal && phases_journal_has(m, "do", "lock");
}

/* "guest 101 is running on node1", as the node says it. */
static char *whereabouts(struct migration *m, enum vmm_exit status, struct json_object *result)
{
	vmm_auto_json struct json_object *state = NULL;
	/* Without a plan a migration has touched nothing; but recover may have found one that it cannot read. */
	if (!m->plan)
		return str_copy(status == VMM_NEEDS_DECISION ? "recover has touched nothing" : "nothing was touched");
	enum side side = m->committed ? TARGET : SOURCE;
	const char *node = migration_node_name(m, side);
	json_put(result, "node:s", node);
	if (migration_call(m, side, NODE_STATE, NULL, &state, NULL) < 0)
		return str_format("guest %s is %s's", m->plan->id, node);
	json_put(result, "guest_state:s", json_text(state, "state"));
	return str_format("guest %s is %s on %s", m->plan->id, json_text_or(state, "state", "?"), node);
}

/* A task that waits for an administrator's decision has not ended yet: no hooks. */
static void run_end_hooks(struct migration *m, const struct vmm_error *err)
{
	if (err && err->exit != VMM_NEEDS_DECISION && !m->committed && m->journal)
		hooks_end(m, err->exit == VMM_CANCELLED ? HOOK_CANCELLED : HOOK_FAILED);
}

static void put_statistics(struct migration *m, struct json_object *result)
{
	if (m->stopped_ms && m->released_ms && m->plan->running)
		json_put(m->statistics, "downtime_ms:i", m->released_ms - m->stopped_ms);
	json_put(result, "statistics:O leftovers:O", m->statistics, json_at(m->leftovers, "left"));
}

static enum vmm_exit exit_of(struct migration *m, const struct vmm_error *err)
{
	if (err && m->committed)
		return err->exit == VMM_NEEDS_DECISION ? VMM_NEEDS_DECISION : VMM_LEFTOVERS;
	if (err)
		return err->exit;
	return json_count(m->leftovers, "left") ? VMM_LEFTOVERS : VMM_DONE;
}

/* False where recover has something left to do. */
static bool is_settled(struct migration *m, enum vmm_exit status)
{
	return status != VMM_NEEDS_DECISION && !m->pending &&
	       !(m->committed && status == VMM_LEFTOVERS && !phases_journal_has(m, "done", "unlock"));
}

/* True where the guest was released and does not run any more, though we did not stop it. */
static bool was_lost(struct migration *m, struct json_object *result)
{
	const char *now = json_text(result, "guest_state");
	return m->committed && m->released_ms && now && !str_same(now, "running") && migration_runs(m);
}

/* The last line of the log: what went wrong, where the guest is now, what to do. */
static char *last_line(struct migration *m, enum vmm_exit status, const struct vmm_error *err,
		       struct json_object *result)
{
	vmm_auto_free char *where = whereabouts(m, status, result);
	bool lost = was_lost(m, result);
	int warnings = m->warnings + (int)json_count(m->leftovers, "left") + lost;
	if (err)
		return str_format("TASK %s: %s; %s%s%s", status == VMM_LEFTOVERS ? "WARNINGS: 1" : "ERROR",
				  err->message, where, err->hint ? " - " : "", err->hint ? err->hint : "");
	task_log(m->task, lost ? "warning" : "info", "%s%s", where, lost ? ", though it was let go there" : "");
	return warnings ? str_format("TASK WARNINGS: %d", warnings) : str_copy("TASK OK");
}

static bool was_released(struct migration *m)
{
	return m->released_ms || phases_journal_has(m, "done", "release");
}

/* The guest is the target's, and the target has not let it go, or does not say how it is: it may run nowhere, which is
 * no mere leftover. */
static void explain_after_commit(struct migration *m, struct vmm_error **err)
{
	const char *target = m->plan->target, *task = task_id(m->task);
	bool silent = migration_is_silence(*err);
	if (!silent && (was_released(m) || !migration_runs(m)))
		return;
	(*err)->exit = VMM_NEEDS_DECISION;
	vmm_auto_free char *forward =
		str_format(silent ? "when %s is back: vmmigrate recover %s" : "to start it on %s: vmmigrate recover %s",
			   target, task);
	vmm_auto_free char *back = phases_journal_has(m, "give-up", NULL)
					   ? str_copy("")
					   : str_format("; %s: vmmigrate recover %s --keep source",
							silent ? "if it never will be" : "to go back", task);
	error_hint(err, "the guest belongs to %s now; %s%s", target, forward, back);
}

enum vmm_exit migrate_end(struct migration *m, struct vmm_error *err)
{
	if (err && m->committed && m->plan)
		explain_after_commit(m, &err);
	vmm_auto_error struct vmm_error *held = err;
	vmm_auto_json struct json_object *result = json_object_new_object();
	enum vmm_exit status = exit_of(m, held);
	run_end_hooks(m, held);
	put_statistics(m, result);
	json_each (left, m->leftovers, "left")
		task_log(m->task, "warning", "left over: %s", json_text_or(left, "", "?"));
	vmm_auto_free char *line = last_line(m, status, held, result);
	json_put(result, "exit:d message:s settled:b error:o", (int)status, line, (int)is_settled(m, status),
		 held ? error_to_json(held) : NULL);
	/* The record "end" comes last: a journal that has it has a result beside it. */
	task_end(m->task, result);
	struct vmm_error *problem = NULL;
	if (m->journal && is_settled(m, status) && was_touched(m) &&
	    journal_add(m->journal, json_make("what:s exit:d", "end", (int)status), &problem) < 0)
		log_warn("%s", problem->message);
	error_clear(&problem);
	return status;
}

/* ---------------------------------------------------------------- the story */

/* Before the commit: undoes everything. The error is the first cause, unless the roll-back itself fails. */
static int go_back(struct migration *m, struct vmm_error **err)
{
	if (!was_touched(m) || (*err)->exit == VMM_NEEDS_DECISION)
		return -1;
	task_log(m->task, "error", "%s; undoing", (*err)->message);
	struct vmm_error *problem = NULL;
	if (phases_backward(m, &problem) == 0)
		return -1;
	task_log(m->task, "error", "%s", problem->message);
	problem->exit = VMM_NEEDS_DECISION;
	if (!problem->hint)
		error_hint(&problem, "vmmigrate recover %s tries again", task_id(m->task));
	error_context(&problem, "%s", (*err)->message);
	error_clear(err);
	*err = problem;
	return -1;
}

static int carry_out(struct migration *m, struct vmm_error **err)
{
	m->may_cancel = true;
	if (prepare(m, err) < 0)
		return -1;
	int done = phases_forward(m, err);
	m->may_cancel = false;
	if (done < 0)
		return go_back(m, err);
	return phases_finish(m, err);
}

enum vmm_exit migrate_run(struct migration *m)
{
	struct vmm_error *err = NULL;
	carry_out(m, &err);
	return migrate_end(m, err);
}
