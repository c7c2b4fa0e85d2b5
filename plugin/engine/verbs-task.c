/* verbs-task.c: verbs about tasks: start, tasks, status, log, follow, cancel, recover. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>

#include "engine/engine.h"

enum { FOLLOW_PAUSE_MS = 500, FOLLOW_LOST_MS = 2000, FOLLOW_ORPHAN_MS = 30000 };

int verb_start(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
	       struct vmm_error **err)
{
	bool forwarded;
	vmm_auto_json struct json_object *config = NULL, *read = NULL, *here = NULL;
	vmm_auto_free char *task = NULL;
	const char *target;
	if (json_need(request, "target", "request", &target, err) < 0)
		return -1;
	if (forward_to_guest(paths, "start", request, reply, &forwarded, err) < 0 || forwarded)
		return forwarded && *reply ? 0 : -!!*err;
	if (verbs_config(paths, &config, err) < 0 || request_read(request, config, &read, err) < 0)
		return -1;
	tasks_prune(paths, config);
	seeds_prune(paths);
	if (task_make(paths, json_text(config, "self"), read, &task, err) < 0 || worker_detach(paths, task, err) < 0)
		return -1;
	*reply = json_make("task:s node:s", task, json_text(config, "self"));
	return 0;
}

/* ---------------------------------------------------------------- what is known of a task */

static char *file_of(const struct node_paths *paths, const char *task, const char *file)
{
	return str_format("%s/tasks/%s/%s", paths->state, task, file);
}

/* The last whole line of the events that has this type, or NULL. */
static struct json_object *last_event(const struct node_paths *paths, const char *task, const char *type)
{
	vmm_auto_free char *path = file_of(paths, task, "events");
	vmm_auto_free char *text = NULL;
	struct json_object *found = NULL;
	if (file_read(path, 64 << 20, &text, NULL, NULL) < 0)
		return NULL;
	for (char *rest = text, *line; (line = strsep(&rest, "\n")) && rest;) {
		struct json_object *event = NULL;
		if (json_parse(line, -1, "event", &event, NULL) == 0 && str_same(json_text(event, "type"), type)) {
			json_object_put(found);
			found = event;
		} else {
			json_object_put(event);
		}
	}
	return found;
}

static struct json_object *describe(const struct node_paths *paths, const char *id, struct vmm_error **err)
{
	struct task *task;
	vmm_auto_json struct json_object *request = NULL, *plan = NULL, *result = NULL;
	if (task_open(paths, id, &task, err) < 0)
		return NULL;
	int done = task_read(task, "request", &request, err) < 0 || task_read(task, "plan", &plan, err) < 0 ||
				   task_read(task, "result", &result, err) < 0
			   ? -1
			   : 0;
	task_close(task);
	if (done < 0)
		return NULL;
	bool alive = task_alive(paths, id);
	vmm_auto_free char *node = task_node(id);
	const char *state = alive ? "running" : !result ? "dead" : json_true(result, "settled") ? "ended" : "unsettled";
	return json_make("task:s guest:s kind:s target:s source:s mode:s state:s started:i result:O", id,
			 json_text_or(plan, "id", json_text(request, "guest")),
			 json_text_or(plan, "kind", json_text(request, "kind")), json_text(request, "target"), node,
			 json_text(plan, "mode"), state, task_began_us(id), result);
}

static void gather_peers(const struct node_paths *paths, struct json_object *request, struct json_object *reply)
{
	vmm_auto_json struct json_object *config = NULL, *peers = NULL;
	if (json_true(request, "forwarded") || verbs_config(paths, &config, NULL) < 0)
		return;
	peers = verbs_peers(config);
	json_each (name, peers, "") {
		vmm_auto_json struct json_object *theirs = NULL;
		vmm_auto_error struct vmm_error *problem = NULL;
		if (forward_verb(paths, json_text(name, ""), "tasks", request, &theirs, &problem) < 0)
			json_append(reply, "errors", error_to_json(problem));
		json_each (task, theirs, "tasks")
			json_append(reply, "tasks", json_object_get(task));
	}
}

/* A task that ended before it had a plan may not know its guest's kind: then the id alone decides. */
static bool is_about(struct json_object *task, struct json_object *who)
{
	const char *kind = json_text(who, "kind"), *theirs = json_text(task, "kind");
	return str_same(json_text(who, "guest"), json_text(task, "guest")) &&
	       (!kind || !theirs || str_same(kind, theirs));
}

int verb_tasks(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
	       struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/tasks", paths->state);
	vmm_auto_json struct json_object *names = NULL, *who = NULL;
	if (json_at(request, "guest") && request_guest(request, who = json_object_new_object(), err) < 0)
		return -1;
	if (dir_list(dir, &names, err) < 0)
		return -1;
	*reply = json_make("tasks:o", json_object_new_array());
	json_each (name, names, "") {
		struct json_object *task = describe(paths, json_text(name, ""), NULL);
		if (task && (!who || is_about(task, who)))
			json_append(*reply, "tasks", task);
		else
			json_object_put(task);
	}
	if (json_true(request, "all"))
		gather_peers(paths, request, *reply);
	return 0;
}

/* A guest's newest task, and its record. */
static int status_of_guest(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
			   struct vmm_error **err)
{
	vmm_auto_json struct json_object *who = json_object_new_object(), *tasks = NULL;
	vmm_auto_record struct guest_record record = {0};
	struct json_object *newest = NULL;
	if (request_guest(request, who, err) < 0 || verb_tasks(paths, who, &tasks, err) < 0)
		return -1;
	const char *guest = json_text(who, "guest"), *kind = json_text(who, "kind");
	json_each (task, tasks, "tasks")
		if (!newest || json_number(task, "started") >= json_number(newest, "started"))
			newest = task;
	if (record_find(paths->state, guest, kind, &record, err) < 0)
		return -1;
	if (!newest && !record.guest) {
		error_set(err, VMM_NOT_FOUND, "no-such-task",
			  "there is no task %s, and no guest of that name was migrated from or to this node", guest);
		return error_hint(err, "see where it is: vmmigrate list");
	}
	*reply = json_make("task:O record:o", newest, record_to_json(&record));
	return 0;
}

int verb_status(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		struct vmm_error **err)
{
	bool forwarded;
	if (forward_to_task(paths, "status", request, reply, &forwarded, err) < 0 || forwarded)
		return forwarded && *reply ? 0 : -!!*err;
	const char *id = json_text(request, "task");
	if (!id && json_at(request, "guest"))
		return status_of_guest(paths, request, reply, err);
	if (json_need(request, "task", "request", &id, err) < 0)
		return -1;
	struct json_object *task = describe(paths, id, err);
	if (!task)
		return -1;
	*reply = json_make("task:o progress:o result:O", task, last_event(paths, id, "progress"),
			   json_at(task, "result"));
	return 0;
}

int verb_log(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
	     struct vmm_error **err)
{
	bool forwarded;
	const char *id;
	struct task *task;
	if (forward_to_task(paths, "log", request, reply, &forwarded, err) < 0 || forwarded)
		return forwarded && *reply ? 0 : -!!*err;
	if (json_need(request, "task", "request", &id, err) < 0 || task_open(paths, id, &task, err) < 0)
		return -1;
	task_close(task);
	vmm_auto_free char *path = file_of(paths, id, "log");
	vmm_auto_free char *text = NULL;
	if (file_read(path, 16 << 20, &text, NULL, err) < 0)
		return -1;
	*reply = json_make("log:s", text);
	return 0;
}

int verb_cancel(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		struct vmm_error **err)
{
	bool forwarded;
	const char *id;
	struct task *task;
	if (forward_to_task(paths, "cancel", request, reply, &forwarded, err) < 0 || forwarded)
		return forwarded && *reply ? 0 : -!!*err;
	if (json_need(request, "task", "request", &id, err) < 0 || task_open(paths, id, &task, err) < 0)
		return -1;
	task_close(task);
	if (!task_alive(paths, id)) {
		error_set(err, VMM_FAILED, "not-running", "task %s is not at work", id);
		return error_hint(err, "see: vmmigrate status %s", id);
	}
	vmm_auto_free char *path = file_of(paths, id, "cancel");
	*reply = json_object_new_object();
	return file_write(path, "", 0, 0600, err);
}

/* ---------------------------------------------------------------- follow */

struct follower {
	const struct node_paths *paths;
	const char *task;
	int64_t from, next; /* sequence numbers: of the first event that is wanted, and of the next one to come */
	off_t at;
	int news; /* inotify on the file of events; -1: the file is read every FOLLOW_PAUSE_MS */
	bool over;
};

/* Reads the whole lines that are new, and writes those that were asked for to stdout. */
static int write_new_events(struct follower *f, const char *path)
{
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	vmm_auto_text struct text text = {0};
	char block[16384];
	ssize_t got;
	if (fd < 0)
		return 0;
	while ((got = pread(fd, block, sizeof(block), f->at + (off_t)text.length)) > 0)
		text_add_bytes(&text, block, (size_t)got);
	char *line = text.data;
	for (char *end; line && (end = strchr(line, '\n')); line = end + 1) {
		vmm_auto_json struct json_object *event = NULL;
		size_t length = (size_t)(end - line) + 1;
		f->at += (off_t)length;
		if (json_parse(line, (ssize_t)length - 1, "event", &event, NULL) < 0)
			continue;
		f->next = json_number(event, "seq") + 1;
		if (f->next <= f->from)
			continue;
		if (fd_write_all(1, line, length) < 0)
			return -1;
		f->over |= str_same(json_text(event, "type"), "result");
	}
	return 0;
}

/* Waits for new events, for FOLLOW_PAUSE_MS at most. True where nobody reads our stdout any more. */
static bool reader_gone(const struct follower *f)
{
	struct pollfd set[] = {{1, 0, 0}, {f->news, POLLIN, 0}};
	char heard[4096];
	if (poll(set, VMM_COUNT(set), FOLLOW_PAUSE_MS) <= 0)
		return false;
	while (set[1].revents && read(f->news, heard, sizeof(heard)) > 0)
		;
	return set[0].revents & (POLLERR | POLLHUP);
}

/* A task on a full disk cannot write its last event, but has its result: the event is made from that. */
static bool write_result_event(struct follower *f)
{
	struct task *task;
	vmm_auto_json struct json_object *result = NULL;
	if (task_open(f->paths, f->task, &task, NULL) < 0)
		return false;
	task_read(task, "result", &result, NULL);
	task_close(task);
	if (!result)
		return false;
	json_put(result, "api:d seq:i time:i type:s", 1, f->next, clock_now_us(), "result");
	vmm_auto_free char *line = str_format("%s\n", json_line(result));
	return fd_write_all(1, line, strlen(line)) == 0;
}

/* Ends with the result, or with an error where the worker is gone and nobody has recovered the task for half a minute.
 */
int verb_follow(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		struct vmm_error **err)
{
	bool forwarded;
	const char *id;
	struct task *task;
	(void)reply;
	if (forward_to_task(paths, "follow", request, NULL, &forwarded, err) < 0 || forwarded)
		return forwarded ? 0 : -1;
	if (json_need(request, "task", "request", &id, err) < 0 || task_open(paths, id, &task, err) < 0)
		return -1;
	task_close(task);
	signal(SIGPIPE, SIG_IGN);
	vmm_auto_free char *path = file_of(paths, id, "events");
	vmm_auto_close int news = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	inotify_add_watch(news, path, IN_MODIFY);
	struct follower f = {.paths = paths, .task = id, .from = json_number(request, "from"), .news = news};
	int64_t alive_ms = clock_steady_ms();
	for (off_t seen = 0; write_new_events(&f, path) == 0; seen = f.at) {
		if (f.over)
			break;
		/* A worker that has written an event is alive: its lock is not looked at. */
		if (f.at != seen || task_alive(paths, id))
			alive_ms = clock_steady_ms();
		int64_t dead_ms = clock_steady_ms() - alive_ms;
		if (dead_ms > FOLLOW_LOST_MS && write_result_event(&f))
			return 0;
		if (dead_ms > FOLLOW_ORPHAN_MS) {
			error_set(err, VMM_NEEDS_DECISION, "worker-gone", "task %s has no worker and no result", id);
			return error_hint(err, "run: vmmigrate recover %s", id);
		}
		if (reader_gone(&f))
			return 0;
	}
	return 0;
}

/* ---------------------------------------------------------------- recover */

static int may_not_forget(const struct guest_record *record, const struct owner *owner, struct vmm_error **err)
{
	const char *guest = record_label(record), *problem = owner->problem ? owner->problem : "?";
	if (owner->answer == OWNER_HAS) {
		error_set(err, VMM_BLOCKED, "record-owner", "the record of guest %s stays: %s has the guest", guest,
			  owner->node);
		return error_hint(err, "migrate it from %s, or remove it there first", owner->node);
	}
	if (owner->answer == OWNER_BUSY) {
		error_set(err, VMM_BUSY, "guest-locked", "the record of guest %s stays: on %s task %s moves the guest",
			  guest, owner->node, problem);
		return error_hint(err, "wait for it: vmmigrate status %s; if its worker is dead: vmmigrate recover %s",
				  problem, problem);
	}
	error_set(err, VMM_BLOCKED, "owner-silent",
		  "the record of guest %s stays: %s cannot be asked whether it has the guest (%s)", guest, owner->node,
		  problem);
	return error_hint(
		err,
		"try again when it answers; if it is lost for good, take it out of the cluster first: vmmigrate "
		"node remove %s",
		owner->node);
}

/* A node that was taken out of the cluster cannot be asked, and does not have to be. */
static bool is_no_member(struct json_object *config, const struct owner *owner)
{
	return owner->answer == OWNER_SILENT && !json_member(json_at(config, "node"), owner->node);
}

/* Lets go of this node's record of a guest, whose owner has no such guest any more. */
static int forget_record(const struct node_paths *paths, struct vmm_node *self, struct json_object *config,
			 const struct guest_record *record, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_owner struct owner owner = {0};
	vmm_auto_json struct json_object *done = NULL;
	struct vmm_node *const near[SIDES] = {self, NULL};
	if (record->task) {
		error_set(err, VMM_BUSY, "guest-locked", "the record of guest %s stays: task %s moves the guest",
			  record_label(record), record->task);
		return error_hint(err, "if its worker is dead: vmmigrate recover %s", record->task);
	}
	owner_look(paths, near, self->name, record, &owner);
	bool own = str_same(owner.node, self->name), gone = owner.answer == OWNER_GONE || is_no_member(config, &owner);
	if (!gone && !(own && owner.answer == OWNER_HAS))
		return may_not_forget(record, &owner, err);
	vmm_auto_json struct json_object *args =
		json_make("guest:s owner:s generation:i", record->guest, record->owner, owner.generation);
	if (!(own && !gone) && node_call(self, NODE_FORGET, args, &done, err) < 0)
		return -1;
	json_append(*reply, "recovered",
		    json_make("task:s outcome:s exit:d message:s guest:s", NULL, "settled", 0,
			      own && !gone		? "this node has the guest, and its record says so"
			      : json_true(done, "here") ? "the guest is this node's now: it may be started and moved"
							: "the record is gone",
			      record_label(record)));
	return 0;
}

/* The record of the guest that is called so on this node now; if there is none here, of one that was called so when it
 * was moved. */
static int find_record(const struct node_paths *paths, struct vmm_node *self, struct json_object *who,
		       struct guest_record *record, struct vmm_error **err)
{
	const char *name = json_text(who, "guest"), *kind = json_text(who, "kind");
	vmm_auto_json struct json_object *reply = NULL;
	if (node_call(self, NODE_GUESTS, NULL, &reply, err) < 0)
		return -1;
	json_each (guest, reply, "guests") {
		if ((kind && !str_same(kind, json_text(guest, "kind"))) || !forward_answers_to(guest, name))
			continue;
		vmm_auto_free char *named = guest_record_name(guest);
		return record_read(paths->state, named, record, err);
	}
	return record_find(paths->state, name, kind, record, err);
}

static int recover_forget(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
			  struct vmm_error **err)
{
	vmm_auto_json struct json_object *who = json_object_new_object(), *config = NULL;
	vmm_auto_record struct guest_record record = {0};
	struct vmm_node *self;
	if (request_guest(request, who, err) < 0 || verbs_config(paths, &config, err) < 0 ||
	    node_open_local(paths, &self, err) < 0)
		return -1;
	int result = find_record(paths, self, who, &record, err);
	if (result == 0 && record.guest) {
		result = forget_record(paths, self, config, &record, reply, err);
	} else if (result == 0) {
		result = error_set(err, VMM_NOT_FOUND, "no-such-record", "this node has no record of a guest %s",
				   json_text(who, "guest"));
		error_hint(err, "say it on the node whose record is in the way: vmmigrate check %s names it",
			   json_text(who, "guest"));
	}
	node_close(self);
	return result;
}

int verb_recover(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		 struct vmm_error **err)
{
	bool forwarded;
	const char *keep = json_text(request, "keep");
	if (keep && strcmp(keep, "source") && strcmp(keep, "target"))
		return error_set(err, VMM_USAGE, "usage", "--keep takes source or target, not \"%s\"", keep);
	if (keep && !json_text(request, "task"))
		return error_set(err, VMM_USAGE, "usage", "--keep needs the task that it is about");
	if (!(keep && recover_is_ours_to_decide(paths, json_text(request, "task"))) &&
	    (forward_to_task(paths, "recover", request, reply, &forwarded, err) < 0 || forwarded))
		return forwarded && *reply ? 0 : -!!*err;
	*reply = json_make("recovered:o", json_object_new_array());
	if (json_true(request, "forget"))
		return recover_forget(paths, request, reply, err);
	if (!json_text(request, "task"))
		seeds_prune(paths);
	return recover_all(paths, json_text(request, "task"), json_text(request, "guest"), keep, *reply, err);
}
