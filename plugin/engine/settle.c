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

static int settle_tasks(const struct node_paths *paths, const char *only, const char *keep,
			struct json_object *recovered, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/tasks", paths->state);
	vmm_auto_json struct json_object *names = NULL;
	if (dir_list(dir, &names, err) < 0)
		return -1;
	json_each (name, names, "") {
		const char *id = json_text(name, "");
		if ((!only || !strcmp(only, id)) && ((keep && only) || needs_settling(paths, id)))
			settle_task(paths, id, keep, recovered);
	}
	return 0;
}

/* ---------------------------------------------------------------- guests that another node's task has locked here */

static int here(struct vmm_node *node, enum node_op op, const char *guest, const char *task, struct json_object *more,
		struct vmm_error **err)
{
	vmm_auto_json struct json_object *args = more ? more : json_object_new_object();
	json_put(args, "guest:s task:s", guest, task);
	return node_call(node, op, args, NULL, err);
}

/* The source has committed: the guest is ours. It runs if it ran; the source's own recover does what is left there. */
static int take_over(struct vmm_node *node, const char *guest, const char *task, int64_t generation,
		     struct vmm_error **err)
{
	struct json_object *args = json_make("to:s owner:s generation:i", "committed", node->name, generation);
	return here(node, NODE_ADVANCE, guest, task, args, err) < 0 ||
			       here(node, NODE_RELEASE, guest, task, NULL, err) < 0 ||
			       here(node, NODE_UNLOCK, guest, task, NULL, err) < 0
		       ? -1
		       : 0;
}

/* What the source's record says of the guest: NULL where the source does not know it. */
static int ask_source(const struct node_paths *paths, const char *source, const char *guest,
		      struct json_object **record, struct vmm_error **err)
{
	struct vmm_node *node;
	vmm_auto_json struct json_object *args = json_make("guest:s", guest), *reply = NULL;
	if (node_open_remote(paths, source, NULL, &node, err) < 0)
		return -1;
	int done = node_call(node, NODE_RECORD, args, &reply, err);
	node_close(node);
	*record = done < 0 ? NULL : json_object_get(json_at(reply, "record"));
	return done;
}

static int settle_locked(const struct node_paths *paths, struct vmm_node *self, struct json_object *mine,
			 struct json_object *recovered, struct vmm_error **err)
{
	const char *guest = json_text(mine, "guest"), *task = json_text_or(mine, "task", "");
	vmm_auto_free char *source = task_node(task);
	vmm_auto_json struct json_object *request = json_make("task:s", task), *answer = NULL, *theirs = NULL,
					 *now = NULL;
	/* First the source's own recover: it has the journal. Busy, or settled before: both are fine. */
	if (forward_verb(paths, source, "recover", request, &answer, err) < 0 && !error_is(*err, "no-such-task"))
		return -1;
	error_clear(err);
	if (ask_source(paths, source, guest, &theirs, err) < 0 || record_read(paths->state, guest, &now, err) < 0)
		return -1;
	if (!now || !str_same(json_text(now, "task"), task))
		tell(recovered, task, "settled", 0, "settled by the source");
	else if (str_same(json_text(theirs, "task"), task))
		tell(recovered, task, "unsettled", VMM_BUSY, "the source is at work on it");
	else if (str_same(json_text(theirs, "owner"), self->name)) {
		if (take_over(self, guest, task, json_number(theirs, "generation"), err) < 0)
			return -1;
		tell(recovered, task, "settled", 0, "the source has committed: the guest is this node's");
	} else {
		if (here(self, NODE_ABORT, guest, task, NULL, err) < 0)
			return -1;
		tell(recovered, task, "settled", 0, "the source has kept the guest: what was prepared here is gone");
	}
	return 0;
}

static int settle_guests(const struct node_paths *paths, const char *only_task, const char *only,
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
		if (settle_locked(paths, self, record, recovered, &problem) < 0)
			tell(recovered, task, "unsettled", VMM_NEEDS_WORD, problem->message);
	}
	node_close(self);
	return 0;
}

int settle_all(const struct node_paths *paths, const char *task, const char *guest, const char *keep,
	       struct json_object *recovered, struct vmm_error **err)
{
	if (task && name_check(task, "task", err) < 0)
		return -1;
	return settle_tasks(paths, task, keep, recovered, err) < 0 ||
			       settle_guests(paths, task, guest, recovered, err) < 0
		       ? -1
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
