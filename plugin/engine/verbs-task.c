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
	for (size_t i = 0; guest_kinds[i] && !record.guest; i++) {
		if (kind && strcmp(kind, guest_kinds[i]->kind))
			continue;
		vmm_auto_free char *key = str_format("%s-%s", guest_kinds[i]->kind, guest);
		if (record_read(paths->state, key, &record, err) < 0)
			return -1;
	}
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
	if (!json_text(request, "task"))
		seeds_prune(paths);
	return recover_all(paths, json_text(request, "task"), json_text(request, "guest"), keep, *reply, err);
}
