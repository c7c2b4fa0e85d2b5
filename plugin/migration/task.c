/* task.c: a task's directory: the request, the events and the log, the result. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "migration/migration.h"

enum {
	TASK_FILE_LIMIT = 16 << 20,
	RESULT_ROOM = 8 << 10,
	PROBE_MS = 200, /* task_alive takes the lock for a moment: a worker that starts just then waits this long */
};

struct task {
	char *id, *dir;
	int lock;   /* the worker's, or -1 */
	int events; /* append only */
	int log;
	int64_t sequence;
	/* of the phase that is being performed */
	char *phase;
	int64_t began_ms, said_ms;
	double percent, base; /* of the whole task: now, and when the phase began */
};

static char *task_path(const struct task *task, const char *file)
{
	return str_format("%s/%s", task->dir, file);
}

int task_make(const struct node_paths *paths, const char *node, struct json_object *request, char **id,
	      struct vmm_error **err)
{
	*id = str_format("%s-%d-%llx", node, (int)getpid(), (unsigned long long)clock_now_us());
	vmm_auto_free char *dir = str_format("%s/tasks/%s", paths->state, *id), *path = str_format("%s/request", dir);
	vmm_auto_free char *result = str_format("%s/result", dir);
	const char *line = json_line(request);
	/* Room for the result is reserved, so that it can be written even if the disk is full by then. */
	if (dir_make(dir, 0700, err) == 0 && file_reserve(result, RESULT_ROOM, err) == 0 &&
	    file_write(path, line, strlen(line), 0600, err) == 0)
		return 0;
	dir_remove(dir, NULL);
	free(*id);
	*id = NULL;
	return -1;
}

/* Counts the events in the file, so that sequence numbers go on after a recover. */
static int64_t count_events(const char *path)
{
	vmm_auto_free char *text = NULL;
	int64_t count = 0;
	if (file_read(path, TASK_FILE_LIMIT, &text, NULL, NULL) < 0)
		return 0;
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		count++;
	return count;
}

int task_open(const struct node_paths *paths, const char *id, struct task **task, struct vmm_error **err)
{
	if (name_check(id, "task", err) < 0)
		return -1;
	vmm_auto_free char *dir = str_format("%s/tasks/%s", paths->state, id), *request = str_format("%s/request", dir);
	if (!file_there(request))
		return error_set(err, VMM_NOT_FOUND, "no-such-task", "no task %s on this node", id);
	struct task *t = mem_zero(sizeof(*t));
	t->id = str_copy(id);
	t->dir = str_copy(dir);
	t->lock = -1;
	vmm_auto_free char *events = task_path(t, "events"), *log = task_path(t, "log");
	t->sequence = count_events(events);
	t->events = open(events, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	t->log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	*task = t;
	return 0;
}

void task_close(struct task *task)
{
	if (!task)
		return;
	vmm_cleanup_close(&task->lock);
	vmm_cleanup_close(&task->events);
	vmm_cleanup_close(&task->log);
	free(task->phase);
	free(task->id);
	free(task->dir);
	free(task);
}

const char *task_id(const struct task *task)
{
	return task->id;
}

char *task_node(const char *id)
{
	const char *time = strrchr(id, '-');
	const char *pid = time ? memrchr(id, '-', (size_t)(time - id)) : NULL;
	return pid ? str_format("%.*s", (int)(pid - id), id) : str_copy("");
}

int64_t task_began_us(const char *id)
{
	const char *time = strrchr(id, '-');
	return time ? (int64_t)strtoull(time + 1, NULL, 16) : 0;
}

int task_read(struct task *task, const char *file, struct json_object **json, struct vmm_error **err)
{
	vmm_auto_free char *path = task_path(task, file);
	vmm_auto_free char *text = NULL;
	*json = NULL;
	if (!file_there(path))
		return 0;
	return file_read(path, TASK_FILE_LIMIT, &text, NULL, err) < 0 ? -1 : json_parse(text, -1, path, json, err);
}

int task_write(struct task *task, const char *file, struct json_object *json, struct vmm_error **err)
{
	vmm_auto_free char *path = task_path(task, file);
	const char *line = json_line(json);
	return file_write(path, line, strlen(line), 0600, err);
}

int task_journal(struct task *task, struct journal **journal, struct vmm_error **err)
{
	vmm_auto_free char *path = task_path(task, "journal");
	return journal_open(path, true, journal, err);
}

int task_take(struct task *task, struct vmm_error **err)
{
	vmm_auto_free char *lock = task_path(task, "worker.lock"), *worker = task_path(task, "worker");
	task->lock = file_lock(lock, PROBE_MS, err);
	if (task->lock < 0)
		return error_is(*err, "locked") ? (error_clear(err), error_set(err, VMM_BUSY, "busy",
									       "task %s is being worked on", task->id))
						: -1;
	vmm_auto_free char *line =
		str_format("%d %llu\n", (int)getpid(), (unsigned long long)process_started(getpid()));
	return file_write(worker, line, strlen(line), 0600, err);
}

bool task_alive(const struct node_paths *paths, const char *id)
{
	vmm_auto_free char *path = str_format("%s/tasks/%s/worker.lock", paths->state, id);
	if (!file_there(path))
		return false;
	vmm_auto_error struct vmm_error *err = NULL;
	vmm_auto_close int lock = file_lock(path, 0, &err);
	return lock < 0 && error_is(err, "locked");
}

bool task_cancelled(struct task *task)
{
	vmm_auto_free char *path = task_path(task, "cancel");
	return file_there(path);
}

/* ---------------------------------------------------------------- events */

/* Takes `event`. One write, so that a reader sees whole lines. */
static void emit(struct task *task, const char *type, struct json_object *event)
{
	json_put(event, "api:d seq:i time:i type:s", 1, task->sequence++, clock_now_us(), type);
	vmm_auto_free char *line = str_format("%s\n", json_line(event));
	if (task->events < 0 || write(task->events, line, strlen(line)) < 0)
		log_debug("event lost: %s", strerror(errno));
	json_object_put(event);
}

void task_phase(struct task *task, const char *phase, const char *state, const char *object)
{
	str_replace(&task->phase, phase);
	task->began_ms = clock_steady_ms();
	task->said_ms = 0;
	task->base = task->percent;
	emit(task, "phase", json_make("phase:s state:s object:s", phase, state, object));
}

void task_log(struct task *task, const char *level, const char *format, ...)
{
	va_list args;
	char *message, stamp[32];
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		abort();
	va_end(args);
	time_t now = time(NULL);
	struct tm local;
	strftime(stamp, sizeof(stamp), "%F %T", localtime_r(&now, &local));
	vmm_auto_free char *line =
		str_format("%s %s%s\n", stamp, strcmp(level, "info") ? level : "", strcmp(level, "info") ? ": " : "");
	vmm_auto_free char *whole = str_format("%.*s%s\n", (int)strlen(line) - 1, line, message);
	if (task->log < 0 || write(task->log, whole, strlen(whole)) < 0)
		log_debug("log line lost: %s", strerror(errno));
	emit(task, "log", json_make("level:s message:s", level, message));
	free(message);
}

/* How far the whole task is when this phase is done, in per cent: most of the bytes cross in the first that has any. */
static double share_end(const char *phase)
{
	static const struct {
		const char *phase;
		double end;
	} shares[] = {{"precopy", 90}, {"rounds", 92}, {"copy", 95}, {"verify", 97}, {"handover", 98}};
	for (size_t i = 0; i < VMM_COUNT(shares); i++)
		if (!strcmp(shares[i].phase, phase))
			return shares[i].end;
	return 100;
}

void task_progress(struct task *task, const char *phase, const char *object, uint64_t done, uint64_t total,
		   struct json_object *more)
{
	int64_t now = clock_steady_ms();
	bool last = done >= total;
	if (now - task->said_ms < 200 && !last) {
		json_object_put(more);
		return;
	}
	task->said_ms = now;
	double seconds = (double)(now - task->began_ms) / 1000;
	double rate = seconds > 0.05 ? (double)done / seconds : 0;
	double part = total ? (double)done / (double)total : 0, end = share_end(phase);
	double percent = task->base + (end - task->base) * (part > 1 ? 1 : part);
	if (percent > task->percent)
		task->percent = percent;
	struct json_object *event = more ? more : json_object_new_object();
	json_put(event, "phase:s object:s done:i total:i percent:f rate:i", phase, object, (int64_t)done,
		 (int64_t)total, task->percent, (int64_t)rate);
	if (rate > 0 && !last)
		json_put(event, "eta_s:i", (int64_t)((double)(total - done) / rate + 0.5));
	emit(task, "progress", event);
}

void task_end(struct task *task, struct json_object *result)
{
	struct vmm_error *err = NULL;
	if (task_write(task, "result", result, &err) < 0) {
		log_warn("%s", err->message);
		error_clear(&err);
	}
	vmm_auto_free char *line = str_format("%s\n", json_text_or(result, "message", "TASK ERROR"));
	if (task->log < 0 || write(task->log, line, strlen(line)) < 0)
		log_debug("log line lost: %s", strerror(errno));
	emit(task, "result", json_copy(result));
}
