/* settle.c: what was left behind, on this node - tasks of ours whose worker is gone, and guests that are locked here for a task of
 * another node.
 *
 * A target decides nothing by itself: it asks the source, whose record says whose the guest is. Unknown is doubt, and doubt
 * changes nothing.
 */
#include <string.h>

#include "engine/verbs.h"
#include "engine/worker.h"

static void tell(struct json_object *recovered, const char *task, const char *outcome, int exit, const char *message)
{
	json_append(recovered, "recovered",
		    json_make("task:s outcome:s exit:d message:s", task, outcome, exit, message));
}

/* ---------------------------------------------------------------- our own tasks */

/* A task that was asked for just now may not have its worker yet. */
static bool is_newborn(const struct node_paths *paths, const char *id)
{
	enum { NEWBORN_US = 60 * 1000000 };
	vmm_auto_free char *worker = str_format("%s/tasks/%s/worker", paths->state, id);
	const char *time = strrchr(id, '-');
	return time && !file_there(worker) && clock_now_us() - (int64_t)strtoull(time + 1, NULL, 16) < NEWBORN_US;
}

/* Nobody is at work on it, and it has not come to an end that is one. */
static bool needs_settling(const struct node_paths *paths, const char *id)
{
	struct task *task;
	vmm_auto_json struct json_object *result = NULL;
	if (is_newborn(paths, id) || task_alive(paths, id) || task_open(paths, id, &task, NULL) < 0)
		return false;
	bool unknown = task_read(task, "result", &result, NULL) < 0 || !result || !json_true(result, "settled");
	task_close(task);
	return unknown;
}

static void settle_task(const struct node_paths *paths, const char *id, const char *keep, struct json_object *recovered)
{
	vmm_auto_error struct vmm_error *err = NULL;
	vmm_auto_json struct json_object *result = NULL;
	if (worker_recover(paths, id, keep, &result, &err) < 0)
		tell(recovered, id, "unsettled", (int)err->exit, err->message);
	else
		tell(recovered, id, json_true(result, "settled") ? "settled" : "unsettled",
		     (int)json_number(result, "exit"), json_text_or(result, "message", ""));
}

/* Is the task about the guest of that id, name or UUID? */
static bool is_about(const struct node_paths *paths, const char *id, const char *guest)
{
	struct task *task;
	vmm_auto_json struct json_object *request = NULL, *plan = NULL;
	if (task_open(paths, id, &task, NULL) < 0)
		return false;
	/* What cannot be read may be about any. */
	bool about = task_read(task, "request", &request, NULL) < 0 || task_read(task, "plan", &plan, NULL) < 0 ||
		     str_same(json_text(request, "guest"), guest) || str_same(json_text(plan, "id"), guest) ||
		     str_same(json_text(plan, "name"), guest) || str_same(json_text(plan, "uuid"), guest);
	task_close(task);
	return about;
}

static int settle_tasks(const struct node_paths *paths, const char *only, const char *guest, const char *keep,
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
		    ((keep && only && file_there(request)) || needs_settling(paths, id)))
			settle_task(paths, id, keep, recovered);
	}
	return 0;
}

/* ---------------------------------------------------------------- guests that another node's task has locked here */

static int ask(struct vmm_node *node, enum node_op op, const char *guest, const char *task, struct json_object *more,
	       struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *args = more ? more : json_object_new_object();
	json_put(args, "guest:s task:s", guest, task);
	return node_call(node, op, args, reply, err);
}

int settle_take_over(struct vmm_node *self, struct json_object *mine, int64_t generation, struct vmm_error **err)
{
	const char *guest = json_text(mine, "guest"), *task = json_text(mine, "task");
	struct json_object *args = json_make("to:s owner:s generation:i", "committed", self->name, generation);
	if (ask(self, NODE_ADVANCE, guest, task, args, NULL, err) < 0 ||
	    (json_number(mine, "runs") && ask(self, NODE_RELEASE, guest, task, NULL, NULL, err) < 0) ||
	    (json_number(mine, "autostart") &&
	     ask(self, NODE_AUTOSTART, guest, task, json_make("on:b", 1), NULL, err) < 0))
		return -1;
	return ask(self, NODE_UNLOCK, guest, task, NULL, NULL, err);
}

static int in_doubt(struct vmm_node *self, const char *guest, const char *source, const char *task,
		    struct vmm_error **err)
{
	error_set(err, VMM_NEEDS_DECISION, "unresolved",
		  "guest %s is locked on %s by task %s, which %s does not know any more", guest, self->name, task,
		  source);
	return error_hint(err, "nothing is started or removed here: see where its newest volumes are");
}

/* By what the source's record says. Its task may be gone there, though its record is not: that has to be unlocked then. */
static int settle_by(struct vmm_node *self, struct vmm_node *source, struct json_object *mine, bool task_gone,
		     struct json_object *recovered, struct vmm_error **err)
{
	const char *guest = json_text(mine, "guest"), *task = json_text(mine, "task");
	vmm_auto_json struct json_object *reply = NULL;
	if (ask(source, NODE_RECORD, guest, task, NULL, &reply, err) < 0)
		return -1;
	struct json_object *theirs = json_at(reply, "record");
	bool held = str_same(json_text(theirs, "task"), task), ours = str_same(json_text(theirs, "owner"), self->name);
	if (held && !task_gone) {
		tell(recovered, task, "unsettled", VMM_BUSY, "the source is at work on it");
	} else if (ours) {
		if (settle_take_over(self, mine, json_number(theirs, "generation"), err) < 0 ||
		    (held && ask(source, NODE_UNLOCK, guest, task, NULL, NULL, err) < 0))
			return -1;
		tell(recovered, task, "settled", 0, "the source has committed: the guest is this node's");
	} else if (!theirs || held) {
		return in_doubt(self, guest, source->name, task, err);
	} else {
		if (ask(self, NODE_ABORT, guest, task, NULL, NULL, err) < 0)
			return -1;
		tell(recovered, task, "settled", 0, "the source has kept the guest: what was prepared here is gone");
	}
	return 0;
}

static int obey(struct vmm_node *self, struct json_object *mine, const char *keep, struct json_object *recovered,
		struct vmm_error **err)
{
	if (word_given(self, mine, keep, err) < 0)
		return -1;
	tell(recovered, json_text(mine, "task"), "settled", 0,
	     !strcmp(keep, "target") ? "by your word the guest is this node's"
				     : "by your word the guest is the source's: what was prepared here is gone");
	return 0;
}

static int settle_locked(const struct node_paths *paths, struct vmm_node *self, struct json_object *mine,
			 struct json_object *recovered, struct vmm_error **err)
{
	const char *guest = json_text(mine, "guest"), *task = json_text_or(mine, "task", "");
	vmm_auto_free char *name = task_node(task);
	vmm_auto_json struct json_object *request = json_make("task:s", task), *answer = NULL, *now = NULL;
	struct vmm_error *problem = NULL;
	struct vmm_node *source;
	/* First the source's own recover: it has the journal. Busy, or settled before: both are fine. */
	forward_verb(paths, name, "recover", request, &answer, &problem);
	bool task_gone = error_is(problem, "no-such-task");
	if (problem && !task_gone) {
		error_take(err, problem);
		return error_context(
			err, "guest %s waits for %s (if that is off and stays off: vmmigrate recover %s --keep target)",
			guest, name, task);
	}
	error_clear(&problem);
	if (record_read(paths->state, guest, &now, err) < 0)
		return -1;
	if (!now || !str_same(json_text(now, "task"), task)) {
		tell(recovered, task, "settled", 0, "settled by the source");
		return 0;
	}
	if (node_open_remote(paths, name, NULL, &source, err) < 0)
		return -1;
	int done = settle_by(self, source, now, task_gone, recovered, err);
	node_close(source);
	return done;
}

static int settle_guests(const struct node_paths *paths, const char *only_task, const char *only, const char *keep,
			 struct json_object *recovered, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/guests", paths->state);
	vmm_auto_json struct json_object *names = NULL;
	struct vmm_node *self;
	if (dir_list(dir, &names, err) < 0 || node_open_local(paths, &self, err) < 0)
		return -1;
	json_each (name, names, "") {
		vmm_auto_json struct json_object *record = NULL;
		vmm_auto_error struct vmm_error *problem = NULL;
		if (record_read(paths->state, json_text(name, ""), &record, NULL) < 0 || !json_text(record, "task"))
			continue;
		const char *task = json_text(record, "task");
		vmm_auto_free char *node = task_node(task);
		if (str_same(node, self->name) || (only_task && strcmp(only_task, task)) ||
		    (only && !str_same(only, json_text(record, "id"))))
			continue;
		if ((keep ? obey(self, record, keep, recovered, &problem)
			  : settle_locked(paths, self, record, recovered, &problem)) < 0)
			tell(recovered, task, "unsettled", VMM_NEEDS_DECISION, problem->message);
	}
	node_close(self);
	return 0;
}

int settle_all(const struct node_paths *paths, const char *task, const char *guest, const char *keep,
	       struct json_object *recovered, struct vmm_error **err)
{
	if (task && name_check(task, "task", err) < 0)
		return -1;
	if (settle_tasks(paths, task, guest, keep, recovered, err) < 0 ||
	    settle_guests(paths, task, guest, keep, recovered, err) < 0)
		return -1;
	vmm_auto_free char *request = task ? str_format("%s/tasks/%s/request", paths->state, task) : NULL;
	return request && !json_count(recovered, "recovered") && !file_there(request)
		       ? error_set(err, VMM_NOT_FOUND, "no-such-task", "no task %s on this node", task)
		       : 0;
}

/* ---------------------------------------------------------------- old tasks */

void tasks_prune(const struct node_paths *paths, struct json_object *config)
{
	enum { DAY_S = 86400, KEEP_DAYS = 30 };
	int64_t days = json_number(config, "migration.keep_tasks");
	int64_t before = clock_now_us() - (days > 0 ? days : KEEP_DAYS) * DAY_S * 1000000LL;
	vmm_auto_free char *dir = str_format("%s/tasks", paths->state);
	vmm_auto_json struct json_object *names = NULL;
	if (dir_list(dir, &names, NULL) < 0)
		return;
	json_each (name, names, "") {
		const char *id = json_text(name, ""), *time = strrchr(id, '-');
		vmm_auto_free char *path = str_format("%s/%s", dir, id), *request = str_format("%s/request", path);
		if (time && (int64_t)strtoull(time + 1, NULL, 16) < before && file_there(request) &&
		    !needs_settling(paths, id) && !task_alive(paths, id))
			dir_remove(path, NULL);
	}
}
