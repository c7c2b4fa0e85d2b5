/* steps.c: the steps before and after the volumes and the handover: locks, hooks, shutdown on the source, settle,
 * confirm, unlock. */
#include <string.h>

#include "migration/steps.h"
#include "storage/storage.h"

/* How long the guest is watched on the target before the source gives anything up. A guest that was started anew is
 * watched for seconds, because the source removes its volumes afterwards. A guest whose memory has moved was running
 * all the time: only what the target's QEMU was given can end it (a device's state, an instruction that the CPU lacks,
 * a disk that is refused), and that shows at once; and the source gives up no more than a definition that the target
 * has as well. */
enum { SETTLE_MEMORY_MS = 250, SETTLE_RESTART_MS = 3000, SETTLE_LOOK_MS = 50 };

/* ---------------------------------------------------------------- locks */

static int lock_side(struct migration *m, enum side side, struct vmm_error **err)
{
	static const char *const role[SIDES] = {"source", "target"};
	struct json_object *args = json_make("role:s peer:s kind:s id:s name:s uuid:s generation:i", role[side],
					     side == SOURCE ? m->plan->target : m->plan->source, m->plan->kind,
					     m->plan->id, m->plan->name, m->plan->uuid, m->plan->generation - 1);
	/* The target needs these if the source is lost after the commit and an administrator decides on the target. */
	json_put(args, "runs:b autostart:b", (int)migration_runs(m), (int)m->plan->autostart);
	json_put(args, "yields:s", side == SOURCE ? m->plan->yields_source : m->plan->yields_target);
	return migration_call(m, side, NODE_LOCK, args, NULL, err);
}

int step_lock(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	return lock_side(m, SOURCE, err) < 0 || lock_side(m, TARGET, err) < 0 ? -1 : 0;
}

/* Says what the target keeps of a copy that was interrupted. */
static void log_kept(struct migration *m, struct json_object *reply)
{
	int64_t bytes = 0;
	json_each (seed, reply, "kept")
		bytes += json_number(seed, "allocated");
	if (!bytes)
		return;
	vmm_auto_free char *size = str_size(bytes);
	json_put(m->statistics, "kept_bytes:i", bytes);
	task_log(m->task, "info", "%s keeps %s of the copy: the next try goes on from there (vmmigrate seeds)",
		 m->plan->target, size);
}

int abort_on_target(struct migration *m, struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	vmm_auto_json struct json_object *reply = NULL;
	m->pending = migration_insist(m, TARGET, NODE_ABORT, NULL, &reply, &problem) < 0;
	if (!m->pending) {
		log_kept(m, reply);
		return 0;
	}
	if (error_is(problem, "committed"))
		return error_set(err, VMM_NEEDS_DECISION, "committed", "%s", problem->message);
	task_log(m->task, "warning", "%s still has what was prepared there (%s); recover removes it later",
		 m->plan->target, problem->message);
	return 0;
}

/* If the node was rebooted in the middle, it would have started the guest by autostart, but the guest record refused
 * that: start it. */
static int start_after_boot(struct migration *m, struct vmm_error **err)
{
	vmm_auto_free char *boot = NULL;
	if (!m->plan->running || !m->plan->autostart)
		return 0;
	if (file_read("/proc/sys/kernel/random/boot_id", 64, &boot, NULL, err) < 0)
		return -1;
	return str_same(boot, m->plan->boot) ? 0
					     : migration_call(m, SOURCE, NODE_START, json_make("held:b", 0), NULL, err);
}

/* The guest has gone on here after a handover though the target could not be told: if this node is lost now, somebody
 * may give the guest to the target. *told is false until the target has been asked about that, and has removed its
 * part. */
static int tell_target(struct migration *m, bool *told, struct vmm_error **err)
{
	bool chosen;
	int64_t generation;
	*told = false;
	m->pending = true;
	if (target_is_chosen(m, &chosen, &generation, NULL) < 0)
		return 0;
	if (chosen)
		return refuse_as_chosen(m, err);
	if (abort_on_target(m, err) < 0)
		return -1;
	*told = !m->pending;
	return 0;
}

/* Returns 1 where the guest stays locked until the target can be told; it may run here meanwhile, but must not be
 * started anew. */
int undo_lock(struct migration *m, struct vmm_error **err)
{
	bool defined, told, alone = phases_journal_has(m, "went-on", NULL) && !m->keep_source;
	if (alone && tell_target(m, &told, err) < 0)
		return -1;
	if (alone && !told) {
		task_log(m->task, "warning",
			 "guest %s stays locked on %s until %s can be told; if it never can: vmmigrate recover %s "
			 "--keep "
			 "source",
			 m->plan->id, m->plan->source, m->plan->target, task_id(m->task));
		return 1;
	}
	if (define_again(m, &defined, err) < 0 || (defined && start_after_boot(m, err) < 0) ||
	    (!alone && abort_on_target(m, err) < 0))
		return -1;
	return migration_call(m, SOURCE, NODE_UNLOCK, NULL, NULL, err);
}

/* A target that was restarted since the release has not started the guest by itself: its guard waits for us. */
int step_unlock(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	if ((migration_runs(m) && migration_insist(m, TARGET, NODE_RELEASE, NULL, NULL, err) < 0) ||
	    migration_insist(m, TARGET, NODE_UNLOCK, NULL, NULL, err) < 0)
		return -1;
	return migration_call(m, SOURCE, NODE_UNLOCK, NULL, NULL, err);
}

/* ---------------------------------------------------------------- hooks */

struct json_object *hooks_arguments(enum hook hook, struct json_object *about, const char *task)
{
	const char *phase = node_hooks[hook].name, *id = json_text(about, "id");
	struct json_object *environment =
		json_make("vmid:s phase:s kind:s name:s uuid:s mode:s source:s target:s task:s", id, phase,
			  json_text(about, "kind"), json_text(about, "name"), json_text(about, "uuid"),
			  json_text(about, "mode"), json_text(about, "source"), json_text(about, "target"), task);
	return json_make("phase:s id:s environment:o input:o", phase, id, environment, guest_shown(about));
}

/* Each item of a reply's list becomes a warning in the log. */
static void log_warnings(struct migration *m, struct json_object *reply, const char *list, const char *what)
{
	json_each (item, reply, list) {
		task_log(m->task, "warning", "%s: %s", what, json_text_or(item, "", "?"));
		m->warnings++;
	}
}

static int hooks_on(struct migration *m, enum side side, enum hook hook, struct vmm_error **err)
{
	vmm_auto_json struct json_object *plan = plan_write(m->plan), *reply = NULL;
	if (migration_call(m, side, NODE_HOOKS, hooks_arguments(hook, plan, task_id(m->task)), &reply, err) < 0)
		return -1;
	log_warnings(m, reply, "odd", "hook not run (odd name, or others can write it or a directory above it)");
	log_warnings(m, reply, "failed", "hook");
	return 0;
}

static int note_hooks(struct migration *m, const char *what, enum hook hook, const char *node, struct vmm_error **err)
{
	return journal_add(m->journal, json_make("what:s phase:s object:s", what, node_hooks[hook].name, node), err);
}

int step_pre_hooks(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	for (enum side side = SOURCE; side < SIDES; side++)
		if (note_hooks(m, "hooks", HOOK_PRE_MIGRATE, migration_node_name(m, side), err) < 0 ||
		    hooks_on(m, side, HOOK_PRE_MIGRATE, err) < 0)
			return -1;
	return 0;
}

int step_switch_hooks(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	return hooks_on(m, SOURCE, HOOK_PRE_SWITCH, err) < 0 || hooks_on(m, TARGET, HOOK_PRE_SWITCH, err) < 0 ? -1 : 0;
}

void hooks_end(struct migration *m, enum hook hook)
{
	/* If one node was away when the other ran its hooks, it runs those of the same phase now. */
	const char *told = json_text(phases_journal_find(m, "hooks-end", NULL, NULL), "phase");
	for (enum hook end = 0; end < HOOK_COUNT; end++)
		if (str_same(told, node_hooks[end].name))
			hook = end;
	for (enum side side = SOURCE; side < SIDES; side++) {
		vmm_auto_error struct vmm_error *problem = NULL;
		const char *node = migration_node_name(m, side);
		if (!phases_journal_find(m, "hooks", NULL, node) || phases_journal_find(m, "hooks-end", NULL, node))
			continue;
		if (hooks_on(m, side, hook, &problem) < 0 || note_hooks(m, "hooks-end", hook, node, &problem) < 0) {
			task_log(m->task, "warning", "hooks %s: %s", node_hooks[hook].name, problem->message);
			m->warnings++;
		}
	}
}

int step_post_hooks(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume, (void)err;
	hooks_end(m, HOOK_POST_MIGRATE);
	return 0;
}

/* ---------------------------------------------------------------- the guest on the source */

/* undo_stop starts the guest again only where the journal says that it was asked to stop: one that was off before was
 * turned off by somebody else. */
static int note_asked(struct migration *m, struct vmm_error **err)
{
	return journal_add(m->journal, json_make("what:s phase:s object:s", "asked", "stop", m->plan->id), err);
}

int step_stop(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	int64_t limit_s = json_number(m->request, "options.timeout");
	bool force = json_true(m->request, "options.force_stop");
	int64_t asked_ms = clock_steady_ms();
	if (check_untouched(m, false, err) < 0 || facts_ask_again(m, err) < 0 || note_asked(m, err) < 0)
		return -1;
	task_log(m->task, "info", "shutting down %s (waiting up to %lld s); it will be off for about %.1f s",
		 m->plan->id, (long long)limit_s, (double)m->plan->downtime_ms / 1000);
	if (migration_call(m, SOURCE, NODE_AUTOSTART, json_make("on:b", 0), NULL, err) < 0 ||
	    migration_call(m, SOURCE, NODE_STOP, json_make("limit_ms:i force:b", limit_s * 1000, (int)force), NULL,
			   err) < 0)
		return -1;
	m->stopped_ms = clock_steady_ms();
	json_put(m->statistics, "shutdown_ms:i", m->stopped_ms - asked_ms);
	return check_untouched(m, true, err);
}

static int restore_autostart(struct migration *m, struct vmm_error **err)
{
	return m->plan->autostart ? migration_call(m, SOURCE, NODE_AUTOSTART, json_make("on:b", 1), NULL, err) : 0;
}

/* A shutdown request cannot be withdrawn: a slow guest may still power off after the roll-back, and would stay off. So
 * it is watched for ten seconds; if it still runs then, the log says what to do should it power off later. */
static int await_late_stop(struct migration *m, struct vmm_error **err)
{
	enum { WATCH_MS = 10000, PAUSE_MS = 100 };
	int64_t end = clock_steady_ms() + (m->patience_ms ? WATCH_MS : 0);
	for (;; clock_sleep_ms(PAUSE_MS)) {
		vmm_auto_json struct json_object *state = NULL;
		if (migration_insist(m, SOURCE, NODE_STATE, NULL, &state, err) < 0)
			return -1;
		bool runs = str_same(json_text(state, "state"), "running");
		bool goes = str_same(json_text(state, "state"), "shutdown");
		if (!runs && !goes)
			return 0;
		/* A guest that is shutting down cannot be started before it is off. */
		if (clock_steady_ms() >= end + (goes ? m->patience_ms : 0))
			break;
	}
	task_log(m->task, "warning", "guest %s was asked to shut down and still runs; should it go off later, start it",
		 m->plan->id);
	return 0;
}

/* Starts the guest again on the source, which still has all of its volumes; unless somebody else has saved or moved it,
 * or removed its definition. */
int undo_stop(struct migration *m, struct vmm_error **err)
{
	vmm_auto_json struct json_object *now = NULL;
	if (!phases_journal_has(m, "asked", "stop"))
		return 0;
	if (await_late_stop(m, err) < 0 || migration_insist(m, SOURCE, NODE_INSPECT, NULL, &now, err) < 0)
		return -1;
	/* Without a definition there is nothing to start, and no autostart to set. */
	bool defined;
	if (define_again(m, &defined, err) < 0)
		return -1;
	if (!defined)
		return 0;
	if (json_true(now, "managed_save") || is_off_by_others(m, now, false))
		log_off_by_others(m, now);
	else if (migration_insist(m, SOURCE, NODE_START, json_make("held:b", 0), NULL, err) < 0)
		return -1;
	return restore_autostart(m, err);
}

/* ---------------------------------------------------------------- the guest on the target */

static void add_pairs(struct json_object *list, const char *what, struct json_object *pairs)
{
	json_each (pair, pairs, "") {
		const char *both = json_text_or(pair, "", ""), *to = strchr(both, '=');
		vmm_auto_free char *from = str_format("%.*s", to ? (int)(to - both) : 0, both);
		struct json_object *change = json_make("path:s", to ? to + 1 : "");
		json_put(change, !strcmp(what, "mount") ? "mount:s" : "network:s", from);
		json_object_array_add(list, change);
	}
}

/* The changes that the definition needs on the target: paths of volumes, sources of mounts, names of networks. */
static struct json_object *definition_changes(struct migration *m)
{
	struct json_object *list = json_object_new_array();
	plan_each_volume (volume, m->plan)
		if (volume->to && (volume->as_file || !str_same(volume->to, volume->from)))
			json_object_array_add(list, json_make("target:s path:s kind:s from:s", volume->target,
							      volume->to, volume->to_kind, volume->from));
	add_pairs(list, "mount", json_at(m->request, "options.map_mount"));
	add_pairs(list, "network", json_at(m->request, "options.map_network"));
	return list;
}

int keep_moments(struct migration *m, struct vmm_error **err)
{
	vmm_auto_json struct json_object *reply = NULL;
	if (!m->plan->moments)
		return 0;
	return migration_call(m, SOURCE, NODE_MOMENTS, NULL, &reply, err) < 0
		       ? -1
		       : task_write(m->task, "moments", reply, err);
}

int define_moments(struct migration *m, enum side side, struct vmm_error **err)
{
	vmm_auto_json struct json_object *kept = NULL;
	if (!m->plan->moments)
		return 0;
	if (task_read(m->task, "moments", &kept, err) < 0)
		return -1;
	struct json_object *changes = side == TARGET ? definition_changes(m) : json_object_new_array();
	struct json_object *args = json_make("moments:O volumes:o", json_at(kept, "moments"), changes);
	return migration_call(m, side, NODE_DEFINE_MOMENTS, args, NULL, err);
}

int step_define(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	bool replace = json_true(m->request, "options.replace") || m->plan->set_aside;
	struct json_object *args =
		json_make("definition:s volumes:o replace:b", m->plan->definition, definition_changes(m), (int)replace);
	return migration_call(m, TARGET, NODE_DEFINE, args, NULL, err) < 0 ? -1 : define_moments(m, TARGET, err);
}

static int did_not_stay(struct migration *m, struct json_object *state, struct vmm_error **err)
{
	error_set(err, VMM_NEEDS_DECISION, "did-not-stay", "guest %s is %s on %s just after it was let go", m->plan->id,
		  json_text_or(state, "state", "?"), m->plan->target);
	return error_hint(err,
			  "the source's volumes are kept; to go back: vmmigrate recover %s --keep source; to stay: "
			  "vmmigrate recover %s --keep target",
			  task_id(m->task), task_id(m->task));
}

/* Is the guest running on the target? One that went off because the target was restarted is started again by RELEASE;
 * one that has ended by itself is not. */
static int look_at_released(struct migration *m, struct json_object **state, struct vmm_error **err)
{
	if (migration_insist(m, TARGET, NODE_STATE, NULL, state, err) < 0)
		return -1;
	if (!migration_runs(m) || !str_same(json_text(*state, "state"), "shutoff"))
		return 0;
	json_object_put(*state);
	*state = NULL;
	return migration_insist(m, TARGET, NODE_RELEASE, NULL, NULL, err) < 0
		       ? -1
		       : migration_insist(m, TARGET, NODE_STATE, NULL, state, err);
}

/* A guest that was released does not go back by itself: if it ends now, an administrator decides. It is looked at until
 * the time is up, and once more then. */
int step_settle(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	int settle_ms = migration_mode(m) == MODE_RESTART ? SETTLE_RESTART_MS : SETTLE_MEMORY_MS;
	int64_t since_ms = m->released_ms ? m->released_ms : clock_steady_ms();
	int64_t end = since_ms + (m->patience_ms ? settle_ms : 0);
	bool runs = migration_runs(m);
	for (;;) {
		vmm_auto_json struct json_object *state = NULL;
		int64_t left = end - clock_steady_ms();
		if (look_at_released(m, &state, err) < 0)
			return -1;
		if (runs && !str_same(json_text(state, "state"), "running"))
			return did_not_stay(m, state, err);
		if (left <= 0)
			return 0;
		clock_sleep_ms(left < SETTLE_LOOK_MS ? (int)left : SETTLE_LOOK_MS);
	}
}

/* What is only read stays, since others may read it as well. */
static bool is_given_up(const struct plan_volume *volume)
{
	return volume->action == PLAN_COPY && !volume->readonly;
}

/* The volumes that the source gives up. Block devices are among them, but are not removed: only an administrator may do
 * that. The log says so. */
static struct json_object *volumes_given_up(struct migration *m)
{
	struct json_object *list = json_object_new_array();
	plan_each_volume (volume, m->plan) {
		const struct storage_ops *ops = storage_kind(volume->kind);
		if (!is_given_up(volume))
			continue;
		json_object_array_add(list, plan_volume_write(volume));
		if (volume->real)
			task_log(m->task, "info", "%s: %s is a link to %s; both are given up", volume->target,
				 volume->from, volume->real);
		if (ops && ops->device)
			task_log(m->task, "info", "%s: %s stays on %s with what it held", volume->target, volume->from,
				 m->plan->source);
	}
	return list;
}

/* The source gives nothing up before the target has its ownership on its disk. */
int step_confirm(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	(void)volume;
	vmm_auto_json struct json_object *left = NULL;
	vmm_auto_record struct guest_record record = {0};
	if (migration_record(m, TARGET, &record, err) < 0)
		return -1;
	if (!str_same(record.owner, m->plan->target) || record.generation < m->plan->generation)
		return error_set(err, VMM_NEEDS_DECISION, "not-committed", "node %s does not say that it owns guest %s",
				 m->plan->target, m->plan->id);
	/* Where memory moved there was no definition to record them for until now. */
	if (migration_moves_memory(m) && define_moments(m, TARGET, err) < 0)
		return -1;
	if (journal_add(m->journal, json_make("what:s", "give-up"), err) < 0)
		return -1;
	struct json_object *args = json_make("volumes:o keep_seed:b", volumes_given_up(m),
					     (int)json_true(m->request, "options.keep_seed"));
	if (migration_call(m, SOURCE, NODE_GIVE_UP, args, &left, err) < 0 ||
	    journal_add(m->journal, json_make("what:s", "given-up"), err) < 0)
		return -1;
	json_each (item, left, "left")
		json_append(m->leftovers, "left", json_object_get(item));
	return 0;
}
