/* phases.c: the phases of a migration in one table. They are performed forward, up to the commit and after it; on a
 * failure before the commit they are undone backward. The journal gets a record before and after each step, so that
 * recover can go on from it when the process that began is gone. */
#include <string.h>

#include "migration/steps.h"

enum { MODES_MEMORY = MODE_LIVE | MODE_PAUSED, MODES_ALL = MODES_MEMORY | MODE_RESTART | MODE_OFFLINE };

const struct phase phases[] = {
	{"lock", "guest records on both nodes; a second task gets busy", MODES_ALL, .perform = step_lock,
	 .undo = undo_lock},
	{"pre-hooks", "hooks pre-migrate on both nodes; may veto", MODES_ALL, .perform = step_pre_hooks},
	{"prepare", "the target's volumes, under temporary names", MODES_ALL, .per_volume = true,
	 .perform = step_prepare},
	{"precopy", "volumes cross while the guest runs", MODE_RESTART, .per_volume = true, .perform = step_precopy},
	{"rounds", "what was written meanwhile crosses, round by round", MODE_RESTART, .perform = step_rounds},
	{"switch-hooks", "hooks pre-switch; may veto", MODES_ALL, .perform = step_switch_hooks},
	{"stop", "autostart off, orderly shutdown, the definition read again", MODE_RESTART, .perform = step_stop,
	 .undo = undo_stop},
	{"copy", "what differs crosses", MODES_ALL, .per_volume = true, .perform = step_copy},
	{"verify", "read back on the target and compared", MODES_ALL, .per_volume = true, .perform = step_verify},
	{"publish", "volumes get their names on the target", MODES_ALL, .per_volume = true, .perform = step_publish},
	{"define", "the definition on the target", MODE_RESTART | MODE_OFFLINE, .perform = step_define},
	{"handover", "both nodes note it; memory moves, or the target starts the guest held",
	 MODES_MEMORY | MODE_RESTART, .perform = step_handover, .undo = undo_handover},
	{"commit", "the guest is the target's from here on", MODES_ALL, .commit = true, .perform = step_commit},
	{"release", "the target notes that it owns the guest, and lets it go", MODES_ALL, .perform = step_release},
	{"settle", "it stays up: a moment where it never stopped, else a few seconds", MODES_MEMORY | MODE_RESTART,
	 .perform = step_settle},
	{"confirm", "the target has COMMITTED on its disk; the source gives up what moved", MODES_ALL,
	 .perform = step_confirm},
	{"post-hooks", "hooks post-migrate on both nodes", MODES_ALL, .perform = step_post_hooks},
	{"unlock", "records are idle again", MODES_ALL, .perform = step_unlock},
};
const size_t phase_count = VMM_COUNT(phases);

static int note(struct migration *m, const char *what, const char *phase, const char *object, struct vmm_error **err)
{
	return journal_add(m->journal, json_make("what:s phase:s object:s", what, phase, object), err);
}

struct json_object *phases_journal_find(struct migration *m, const char *what, const char *phase, const char *object)
{
	json_each (record, journal_records(m->journal), "")
		if (str_same(json_text(record, "what"), what) &&
		    (!phase || str_same(json_text(record, "phase"), phase)) &&
		    (!object || str_same(json_text(record, "object"), object)))
			return record;
	return NULL;
}

bool phases_journal_has(struct migration *m, const char *what, const char *phase)
{
	return phases_journal_find(m, what, phase, NULL);
}

static int perform_once(struct migration *m, const struct phase *phase, struct plan_volume *volume,
			struct vmm_error **err)
{
	const char *object = volume ? volume->target : m->plan->id;
	if (phases_journal_find(m, "done", phase->name, object))
		return 0;
	task_phase(m->task, phase->name, "begin", object);
	/* The commit writes one record of its own, which is both intent and deed. */
	if (!phase->commit && note(m, "do", phase->name, object, err) < 0)
		return -1;
	if (phase->perform(m, volume, err) < 0)
		return error_context(err, "%s %s", phase->name, object);
	task_phase(m->task, phase->name, "done", object);
	return phase->commit ? 0 : note(m, "done", phase->name, object, err);
}

static int perform(struct migration *m, const struct phase *phase, struct vmm_error **err)
{
	if (!(phase->modes & migration_mode(m)))
		return 0;
	if (!phase->per_volume)
		return perform_once(m, phase, NULL, err);
	plan_each_volume (volume, m->plan)
		if (volume->action == PLAN_COPY && perform_once(m, phase, volume, err) < 0)
			return -1;
	return 0;
}

int phases_forward(struct migration *m, struct vmm_error **err)
{
	for (const struct phase *phase = phases; !m->committed; phase++) {
		/* Whether the commit can still be cancelled depends on the mode: step_commit decides. */
		if (!phase->commit && task_cancelled(m->task))
			return error_set(err, VMM_CANCELLED, "cancelled", "cancelled before %s", phase->name);
		if (perform(m, phase, err) < 0)
			return -1;
	}
	return 0;
}

static const struct phase *first_after_commit(void)
{
	const struct phase *phase = phases;
	while (!phase->commit)
		phase++;
	return phase + 1;
}

int phases_finish(struct migration *m, struct vmm_error **err)
{
	for (const struct phase *phase = first_after_commit(); phase < phases + phase_count; phase++)
		if (perform(m, phase, err) < 0)
			return -1;
	return 0;
}

int phases_backward(struct migration *m, struct vmm_error **err)
{
	sessions_drop(m);
	for (const struct phase *phase = first_after_commit() - 1; phase-- > phases;) {
		if (!phase->undo || !phases_journal_has(m, "do", phase->name) ||
		    phases_journal_has(m, "undone", phase->name))
			continue;
		task_phase(m->task, phase->name, "undo", m->plan->id);
		int done = phase->undo(m, err);
		if (done < 0)
			return error_context(err, "undo %s", phase->name);
		if (done > 0)
			continue;
		/* If the journal cannot be written, the roll-back goes on all the same: each undo can be repeated. */
		struct vmm_error *problem = NULL;
		if (note(m, "undone", phase->name, NULL, &problem) < 0)
			task_log(m->task, "warning", "%s", problem->message);
		error_clear(&problem);
	}
	return 0;
}
