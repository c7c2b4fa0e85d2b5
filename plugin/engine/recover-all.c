/* recover-all.c: finishes or undoes what dead workers have left on this node: our own tasks, and guests that a task of
 * another node has locked here.
 *
 * A target does not decide by itself whose the guest is: it asks the source, whose guest record says so. If the source
 * cannot be asked, nothing changes, unless an administrator decides.
 */
#include <string.h>

#include "engine/engine.h"

static void report(struct json_object *recovered, const char *task, const char *outcome, int exit, const char *message)
{
	json_append(recovered, "recovered",
		    json_make("task:s outcome:s exit:d message:s", task, outcome, exit, message));
}

/* ---------------------------------------------------------------- our own tasks */

/* A task that was made less than a minute ago may not have its worker yet. */
static bool is_starting(const struct node_paths *paths, const char *id)
{
	enum { STARTING_US = 60 * 1000000 };
	vmm_auto_free char *worker = str_format("%s/tasks/%s/worker", paths->state, id);
	int64_t began_us = task_began_us(id);
	return began_us && !file_there(worker) && clock_now_us() - began_us < STARTING_US;
}

/* True where no worker lives and the task has not ended for good. */
static bool is_left_behind(const struct node_paths *paths, const char *id)
{
	struct task *task;
	vmm_auto_json struct json_object *result = NULL;
	if (is_starting(paths, id) || task_alive(paths, id) || task_open(paths, id, &task, NULL) < 0)
		return false;
	bool unknown = task_read(task, "result", &result, NULL) < 0 || !result || !json_true(result, "settled");
	task_close(task);
	return unknown;
}

static int recover_task(const struct node_paths *paths, const char *id, const char *keep, struct json_object **result,
			struct vmm_error **err)
{
	struct migration m = {0};
	int done = migration_open(&m, paths, id, err);
	if (done == 0) {
		json_object_put(m.request);
		m.request = NULL;
		recover_run(&m, keep);
		done = task_read(m.task, "result", result, err);
	}
	migration_close(&m);
	return done;
}

static void recover_and_report(const struct node_paths *paths, const char *id, const char *keep,
			       struct json_object *recovered)
{
	vmm_auto_error struct vmm_error *err = NULL;
	vmm_auto_json struct json_object *result = NULL;
	if (recover_task(paths, id, keep, &result, &err) < 0)
		report(recovered, id, "unsettled", (int)err->exit, err->message);
	else
		report(recovered, id, json_true(result, "settled") ? "settled" : "unsettled",
		       (int)json_number(result, "exit"), json_text_or(result, "message", ""));
}

/* True where the task is about the guest of that id, name or UUID; also where its files cannot be read. */
static bool is_about(const struct node_paths *paths, const char *id, const char *guest)
{
	struct task *task;
	vmm_auto_json struct json_object *request = NULL, *plan = NULL;
	if (task_open(paths, id, &task, NULL) < 0)
		return false;
	bool about = task_read(task, "request", &request, NULL) < 0 || task_read(task, "plan", &plan, NULL) < 0 ||
		     str_same(json_text(request, "guest"), guest) || str_same(json_text(plan, "id"), guest) ||
		     str_same(json_text(plan, "name"), guest) || str_same(json_text(plan, "uuid"), guest);
	task_close(task);
	return about;
}

static int recover_own_tasks(const struct node_paths *paths, const char *only, const char *guest, const char *keep,
			     struct json_object *recovered, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/tasks", paths->state);
	vmm_auto_json struct json_object *names = NULL;
	if (dir_list(dir, &names, err) < 0)
		return -1;
	json_each (name, names, "") {
		const char *id = json_text(name, "");
		vmm_auto_free char *request = str_format("%s/%s/request", dir, id);
		if ((!only || !strcmp(only, id)) && (!guest || is_about(paths, id, guest)) &&
		    ((keep && only && file_there(request)) || is_left_behind(paths, id)))
			recover_and_report(paths, id, keep, recovered);
	}
	return 0;
}

/* ---------------------------------------------------------------- guests that another node's task has locked here
 *
 * `record` is the guest record that this node, the target, has of the guest. */

static int call(struct vmm_node *node, const struct guest_record *record, enum node_op op, struct json_object *more,
		struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *args = more ? more : json_object_new_object();
	json_put(args, "guest:s task:s", record->guest, record->task);
	return node_call(node, op, args, reply, err);
}

/* The source has committed, or an administrator has decided so: the guest is this node's, which releases it if it ran
 * before. */
static int take_over(struct vmm_node *self, const struct guest_record *record, int64_t generation,
		     struct vmm_error **err)
{
	struct json_object *args = json_make("to:s owner:s generation:i", "committed", self->name, generation);
	if (call(self, record, NODE_ADVANCE, args, NULL, err) < 0 ||
	    (record->runs && call(self, record, NODE_RELEASE, NULL, NULL, err) < 0) ||
	    (record->autostart && call(self, record, NODE_AUTOSTART, json_make("on:b", 1), NULL, err) < 0))
		return -1;
	return call(self, record, NODE_UNLOCK, NULL, NULL, err);
}

static int in_doubt(struct vmm_node *self, const struct guest_record *record, const char *source,
		    struct vmm_error **err)
{
	error_set(err, VMM_NEEDS_DECISION, "unresolved",
		  "guest %s is locked on %s by task %s, which %s does not know any more", record_label(record),
		  self->name, record->task, source);
	return error_hint(err, "nothing is started or removed here: see where its newest volumes are");
}

/* Does what the source's guest record says. The task may be gone there while the record is still locked by it
 * (`task_gone`): then it is unlocked as well. */
static int follow_source(struct vmm_node *self, struct vmm_node *source, const struct guest_record *record,
			 bool task_gone, struct json_object *recovered, struct vmm_error **err)
{
	const char *task = record->task;
	vmm_auto_json struct json_object *reply = NULL;
	vmm_auto_record struct guest_record theirs = {0};
	if (call(source, record, NODE_RECORD, NULL, &reply, err) < 0 ||
	    record_from_json(json_at(reply, "record"), source->name, &theirs, err) < 0)
		return -1;
	bool held = str_same(theirs.task, task), ours = str_same(theirs.owner, self->name);
	if (held && !task_gone) {
		report(recovered, task, "unsettled", VMM_BUSY, "the source is at work on it");
	} else if (ours) {
		if (take_over(self, record, theirs.generation, err) < 0 ||
		    (held && call(source, record, NODE_UNLOCK, NULL, NULL, err) < 0))
			return -1;
		report(recovered, task, "settled", 0, "the source has committed: the guest is this node's");
	} else if (!theirs.guest || held) {
		return in_doubt(self, record, source->name, err);
	} else {
		if (call(self, record, NODE_ABORT, NULL, NULL, err) < 0)
			return -1;
		report(recovered, task, "settled", 0, "the source has kept the guest: what was prepared here is gone");
	}
	return 0;
}

static int recover_locked_guest(const struct node_paths *paths, struct vmm_node *self,
				const struct guest_record *record, struct json_object *recovered,
				struct vmm_error **err)
{
	const char *guest = record->guest, *task = record->task;
	vmm_auto_free char *name = task_node(task);
	vmm_auto_json struct json_object *request = json_make("task:s", task), *answer = NULL;
	vmm_auto_record struct guest_record now = {0};
	struct vmm_error *problem = NULL;
	struct vmm_node *source;
	/* The source recovers first, since it has the journal. If it is busy or has recovered before, its record still
	 * tells. */
	forward_verb(paths, name, "recover", request, &answer, &problem);
	bool task_gone = error_is(problem, "no-such-task");
	if (problem && !task_gone) {
		error_take(err, problem);
		return error_context(
			err, "guest %s waits for %s (if that is off and stays off: vmmigrate recover %s --keep target)",
			record_label(record), name, task);
	}
	error_clear(&problem);
	if (record_read(paths->state, guest, &now, err) < 0)
		return -1;
	if (!str_same(now.task, task)) {
		report(recovered, task, "settled", 0, "settled by the source");
		return 0;
	}
	if (node_open_remote(paths, name, NULL, &source, err) < 0)
		return -1;
	int done = follow_source(self, source, &now, task_gone, recovered, err);
	node_close(source);
	return done;
}

/* ---------------------------------------------------------------- an administrator decides on the target
 *
 * The source has lost its power and may never be back: nothing else lets a target decide. The decision outranks the
 * source's journal: it gives the guest a generation higher than any that the task gave. A source that comes back finds
 * that (migration/recover.c) and gives the guest up. */

static int keep_here(struct vmm_node *self, const struct guest_record *record, struct vmm_error **err)
{
	vmm_auto_json struct json_object *state = NULL;
	if (call(self, record, NODE_STATE, NULL, &state, err) < 0)
		return -1;
	if (!arrived_by_record(record, state)) {
		error_set(err, VMM_NEEDS_DECISION, "not-there",
			  "guest %s has not arrived whole on %s: it cannot run here", record_label(record), self->name);
		return error_hint(err, "to remove what came of it: vmmigrate recover %s --keep source", record->task);
	}
	/* A commit gives peer_generation + 1. */
	int64_t generation = record->peer_generation + 2;
	struct json_object *args = json_make("owner:s generation:i state:s", self->name, generation, "committed");
	return call(self, record, NODE_RECLAIM, args, NULL, err) < 0 ? -1 : take_over(self, record, generation, err);
}

static int recover_as_decided(struct vmm_node *self, const struct guest_record *record, const char *keep,
			      struct json_object *recovered, struct vmm_error **err)
{
	bool target = !strcmp(keep, "target");
	if ((target ? keep_here(self, record, err) : call(self, record, NODE_ABORT, NULL, NULL, err)) < 0)
		return -1;
	report(recovered, record->task, "settled", 0,
	       target ? "by your decision the guest is this node's"
		      : "by your decision the guest is the source's: what was prepared here is gone");
	return 0;
}

bool recover_is_ours_to_decide(const struct node_paths *paths, const char *task)
{
	vmm_auto_free char *dir = str_format("%s/guests", paths->state), *name = task_node(task);
	vmm_auto_json struct json_object *names = NULL;
	vmm_auto_error struct vmm_error *silence = NULL;
	bool held = false;
	if (dir_list(dir, &names, NULL) < 0)
		return false;
	json_each (entry, names, "") {
		vmm_auto_record struct guest_record record = {0};
		record_read(paths->state, json_text(entry, ""), &record, NULL);
		held |= str_same(record.task, task) && str_same(record.peer, name);
	}
	struct vmm_node *source;
	if (!held || node_open_remote(paths, name, NULL, &source, &silence) == 0) {
		if (held)
			node_close(source);
		return false;
	}
	return true;
}

/* ---------------------------------------------------------------- everything */

static int recover_locked_guests(const struct node_paths *paths, const char *only_task, const char *only,
				 const char *keep, struct json_object *recovered, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/guests", paths->state);
	vmm_auto_json struct json_object *names = NULL;
	struct vmm_node *self;
	if (dir_list(dir, &names, err) < 0 || node_open_local(paths, &self, err) < 0)
		return -1;
	json_each (name, names, "") {
		vmm_auto_record struct guest_record record = {0};
		vmm_auto_error struct vmm_error *problem = NULL;
		if (record_read(paths->state, json_text(name, ""), &record, NULL) < 0 || !record.task)
			continue;
		const char *task = record.task;
		vmm_auto_free char *node = task_node(task);
		if (str_same(node, self->name) || (only_task && strcmp(only_task, task)) ||
		    (only && !str_same(only, record.id) && !str_same(only, record.name) &&
		     !str_same(only, record.uuid)))
			continue;
		if ((keep ? recover_as_decided(self, &record, keep, recovered, &problem)
			  : recover_locked_guest(paths, self, &record, recovered, &problem)) < 0)
			report(recovered, task, "unsettled", VMM_NEEDS_DECISION, problem->message);
	}
	node_close(self);
	return 0;
}

int recover_all(const struct node_paths *paths, const char *task, const char *guest, const char *keep,
		struct json_object *recovered, struct vmm_error **err)
{
	if (task && name_check(task, "task", err) < 0)
		return -1;
	if (recover_own_tasks(paths, task, guest, keep, recovered, err) < 0 ||
	    recover_locked_guests(paths, task, guest, keep, recovered, err) < 0)
		return -1;
	vmm_auto_free char *request = task ? str_format("%s/tasks/%s/request", paths->state, task) : NULL;
	return request && !json_count(recovered, "recovered") && !file_there(request)
		       ? error_set(err, VMM_NOT_FOUND, "no-such-task", "no task %s on this node", task)
		       : 0;
}

/* ---------------------------------------------------------------- old tasks */

void tasks_prune(const struct node_paths *paths, struct json_object *config)
{
	enum { KEEP_S = 30 * 86400 };
	int64_t keep_s = json_at(config, "migration.keep_tasks") ? json_number(config, "migration.keep_tasks") : KEEP_S;
	int64_t before = clock_now_us() - keep_s * 1000000;
	vmm_auto_free char *dir = str_format("%s/tasks", paths->state);
	vmm_auto_json struct json_object *names = NULL;
	if (dir_list(dir, &names, NULL) < 0)
		return;
	json_each (name, names, "") {
		const char *id = json_text(name, "");
		int64_t began_us = task_began_us(id);
		vmm_auto_free char *path = str_format("%s/%s", dir, id), *request = str_format("%s/request", path);
		if (began_us && began_us < before && file_there(request) && !is_left_behind(paths, id) &&
		    !task_alive(paths, id))
			dir_remove(path, NULL);
	}
}
