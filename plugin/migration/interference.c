/* interference.c: what somebody else has done to the guest on the source since the plan was made. An administrator, a
 * hook or the guest itself may start, stop, save, snapshot, edit or move it at any time. The guest is looked at again
 * just before it is stopped or its memory moves, after the stop, and before the commit; what differs from the plan, and
 * was not this task's order, aborts the migration before anything is given up. What the others did stands.
 */
#include <string.h>

#include "migration/steps.h"

static int changed(struct migration *m, const char *code, const char *what, const char *hint, struct vmm_error **err)
{
	error_set(err, VMM_FAILED, code, "guest %s %s during the migration", m->plan->id, what);
	return error_hint(err, "%s; then begin again", hint);
}

/* Only the order of this task ends a guest with one of these reasons. Kinds that do not know a reason say "user". */
static bool is_our_stop(struct migration *m, const char *reason)
{
	if (!strcmp(reason, "destroyed"))
		return json_true(m->request, "options.force_stop");
	return !strcmp(reason, "shutdown") || !strcmp(reason, "user") || !strcmp(reason, "unknown");
}

static bool is_among(struct json_object *moments, struct json_object *moment)
{
	json_each (other, moments, "")
		if (json_object_equal(other, moment))
			return true;
	return false;
}

/* The order of two that have one parent is libvirtd's, and another one after it was restarted. */
static bool same_moments(struct json_object *now, struct json_object *then)
{
	json_each (moment, now, "")
		if (!is_among(then, moment))
			return false;
	return json_count(now, "") == json_count(then, "");
}

static int check_state(struct migration *m, bool stopped, struct json_object *now, struct vmm_error **err)
{
	const char *state = json_text(now, "state"), *reason = json_text_or(now, "reason", "unknown");
	const char *wanted = stopped ? "shutoff" : m->plan->state;
	bool ours = !stopped || m->plan->mode != MODE_RESTART || is_our_stop(m, reason);
	if (!strcmp(state, wanted) && ours)
		return 0;
	error_set(err, VMM_FAILED, "guest-state", "guest %s is %s (%s) and was %s: that was not this migration",
		  m->plan->id, state, reason, m->plan->state);
	return error_hint(err, "see who did it, and begin again: vmmigrate check %s", m->plan->id);
}

int check_untouched(struct migration *m, bool stopped, struct vmm_error **err)
{
	vmm_auto_json struct json_object *now = NULL;
	if (migration_call(m, SOURCE, NODE_INSPECT, NULL, &now, err) < 0)
		return -1;
	if (str_same(json_text(now, "state"), "absent"))
		return changed(m, "guest-gone", "was undefined", "define it again on the source", err);
	if (!stopped && json_text(now, "job")) {
		error_set(err, VMM_FAILED, "guest-job-active", "guest %s is busy: %s has begun during the migration",
			  m->plan->id, json_text(now, "job"));
		return error_hint(err, "wait until it is done; then begin again");
	}
	if (json_true(now, "managed_save"))
		return changed(m, "managed-save", "was saved (managed save)",
			       "start it, so that its memory is not lost", err);
	if (!str_same(json_text(now, "definition"), m->plan->definition))
		return changed(m, "definition-changed", "had its definition changed", "see that it is as it should be",
			       err);
	if (json_number(now, "snapshots") != m->plan->snapshots ||
	    !same_moments(json_at(now, "moments"), m->plan->moments))
		return changed(m, "snapshots", "had a snapshot or checkpoint made, removed or reverted to",
			       "see that no tool makes more of them meanwhile", err);
	return check_state(m, stopped, now, err);
}

/* Did somebody else turn it off in a way that must not be answered by a start: saved, so that its memory would be lost;
 * moved to another node, where it runs; killed by hand? `moved_by_us`: its memory may have been moved by this task. */
bool is_off_by_others(struct migration *m, struct json_object *state, bool moved_by_us)
{
	const char *reason = json_text_or(state, "reason", "unknown");
	if (!str_same(json_text(state, "state"), "shutoff"))
		return false;
	return !strcmp(reason, "saved") || !strcmp(reason, "from-snapshot") ||
	       (!strcmp(reason, "migrated") && !moved_by_us) ||
	       (!strcmp(reason, "destroyed") && !json_true(m->request, "options.force_stop"));
}

void log_off_by_others(struct migration *m, struct json_object *state)
{
	task_log(m->task, "warning", "guest %s is off on %s (%s), which was not this migration: it stays off",
		 m->plan->id, m->plan->source, json_text_or(state, "reason", "unknown"));
	m->warnings++;
}

/* ---------------------------------------------------------------- undefined meanwhile */

/* The first of the guest's own volumes that is gone from here, or NULL. */
static const char *volume_gone(struct migration *m)
{
	plan_each_volume (volume, m->plan)
		if (volume->action == PLAN_COPY && volume->from && !file_there(volume->from))
			return volume->from;
	return NULL;
}

/* Is the guest this task's, and was it off when it was undefined? One that ran, and is not defined any more, may have
 * been moved to another node; one that another task has locked was moved by that. */
static int is_ours_to_define(struct migration *m, bool *ours, struct vmm_error **err)
{
	vmm_auto_record struct guest_record record = {0};
	if (migration_record(m, SOURCE, &record, err) < 0)
		return -1;
	*ours = str_same(record.task, task_id(m->task)) &&
		(m->plan->mode == MODE_OFFLINE || phases_journal_has(m, "asked", "stop"));
	return 0;
}

static void log_stays_undefined(struct migration *m, const char *why)
{
	task_log(m->task, "warning", "guest %s was undefined on %s, which was not this migration, and stays so: %s",
		 m->plan->id, m->plan->source, why);
	m->warnings++;
}

static int set_as_planned(struct migration *m, struct vmm_error **err)
{
	struct json_object *args =
		json_make("definition:s volumes:o replace:b", m->plan->definition, json_object_new_array(), 0);
	if (migration_insist(m, SOURCE, NODE_DEFINE, args, NULL, err) < 0 || define_moments(m, SOURCE, err) < 0)
		return -1;
	return migration_insist(m, SOURCE, NODE_AUTOSTART, json_make("on:b", (int)m->plan->autostart), NULL, err);
}

int define_again(struct migration *m, bool *defined, struct vmm_error **err)
{
	vmm_auto_json struct json_object *state = NULL;
	vmm_auto_error struct vmm_error *problem = NULL;
	if (migration_insist(m, SOURCE, NODE_STATE, NULL, &state, err) < 0)
		return -1;
	bool ours = false;
	*defined = !str_same(json_text(state, "state"), "absent");
	if (!*defined && is_ours_to_define(m, &ours, err) < 0)
		return -1;
	if (!ours)
		return 0;
	const char *gone = volume_gone(m);
	if (gone) {
		vmm_auto_free char *why = str_format("its volume %s is gone as well", gone);
		log_stays_undefined(m, why);
		return 0;
	}
	*defined = set_as_planned(m, &problem) == 0;
	if (!*defined) {
		log_stays_undefined(m, problem->message);
		return 0;
	}
	task_log(m->task, "warning", "guest %s was undefined on %s, which was not this migration: it is defined again",
		 m->plan->id, m->plan->source);
	m->warnings++;
	return 0;
}
