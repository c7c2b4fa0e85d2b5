/* worker.c: the processes of a task - the worker that carries it out, the supervisor that sees the worker end badly. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "engine/engine.h"
#include "engine/verbs.h"
#include "engine/worker.h"

enum { PATIENCE_MS = 60000 };

static int connect_target(struct migration *m, struct vmm_error **err)
{
	const char *target = json_text(m->request, "target");
	if (str_same(target, m->node[SOURCE]->name))
		return error_set(err, VMM_BLOCKED, "target-is-source", "the guest is on node %s already", target);
	return node_open_remote(m->paths, target, task_id(m->task), &m->node[TARGET], err);
}

void migration_close(struct migration *m)
{
	for (size_t i = 0; m->leaves && i < json_count(m->plan, "volumes"); i++)
		copy_leaves_free(&m->leaves[i]);
	free(m->leaves);
	for (size_t i = 0; m->frozen && i < json_count(m->plan, "volumes"); i++)
		track_close(&m->frozen[i]);
	free(m->frozen);
	facts_free(&m->facts);
	journal_close(m->journal);
	node_close(m->node[TARGET]);
	node_close(m->node[SOURCE]);
	task_close(m->task);
	json_object_put(m->config);
	json_object_put(m->request);
	json_object_put(m->plan);
	json_object_put(m->statistics);
	json_object_put(m->leftovers);
}

int migration_open(struct migration *m, const struct node_paths *paths, const char *task, struct vmm_error **err)
{
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", paths->etc);
	m->paths = paths;
	m->patience_ms = PATIENCE_MS;
	m->connect = connect_target;
	m->statistics = json_object_new_object();
	m->leftovers = json_object_new_object();
	if (cluster_load(conf, &m->config, err) < 0 || task_open(paths, task, &m->task, err) < 0 ||
	    task_take(m->task, err) < 0 || task_read(m->task, "request", &m->request, err) < 0)
		return -1;
	return node_open_local(paths, &m->node[SOURCE], err);
}

/* An earlier task of the same guest that could not be settled yet (its target was away) is settled first: a second try must not
 * stumble over the first. */
static void settle_earlier(const struct node_paths *paths, const char *guest)
{
	vmm_auto_json struct json_object *recovered = json_object_new_object();
	vmm_auto_error struct vmm_error *problem = NULL;
	if (settle_all(paths, NULL, guest, NULL, recovered, &problem) < 0)
		log_warn("%s", problem->message);
}

int worker_run(const struct node_paths *paths, const char *task, struct vmm_error **err)
{
	struct migration m = {0};
	int done = migration_open(&m, paths, task, err);
	if (done == 0) {
		settle_earlier(paths, json_text(m.request, "guest"));
		migrate_run(&m);
	}
	migration_close(&m);
	return done;
}

int worker_recover(const struct node_paths *paths, const char *task, const char *keep, struct json_object **result,
		   struct vmm_error **err)
{
	struct migration m = {0};
	int done = migration_open(&m, paths, task, err);
	if (done == 0) {
		json_object_put(m.request);
		m.request = NULL;
		recover_run(&m, keep);
		done = task_read(m.task, "result", result, err);
	}
	migration_close(&m);
	return done;
}

/* ---------------------------------------------------------------- detached */

static pid_t run_engine(const char *verb, const char *task)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	execl(VMM_LIBEXEC "/vmmigrate-engine", "vmmigrate-engine", verb, task, NULL);
	_exit(127);
}

static bool ended_well(pid_t pid)
{
	int status = 0;
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Where there is no systemd this stands in for a transient unit with ExecStopPost: worker, then recover if it ended badly. */
static void supervise(const char *task)
{
	if (!ended_well(run_engine("worker", task)))
		ended_well(run_engine("settle", task));
	_exit(0);
}

static void to_files(const struct node_paths *paths, const char *task)
{
	vmm_auto_free char *log = str_format("%s/tasks/%s/stderr", paths->state, task);
	int null = open("/dev/null", O_RDWR), out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(null, 0);
	dup2(out < 0 ? null : out, 1);
	dup2(out < 0 ? null : out, 2);
	close_range(3, ~0U, 0);
}

static int detach_plain(const struct node_paths *paths, const char *task, struct vmm_error **err)
{
	pid_t pid = fork();
	if (pid < 0)
		return error_errno(err, errno, "start the worker");
	if (pid == 0) {
		setsid();
		to_files(paths, task);
		if (fork() == 0)
			supervise(task);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

static int detach_systemd(const char *task, struct vmm_error **err)
{
	vmm_auto_free char *unit = str_format("--unit=vmmigrate-%s", task);
	vmm_auto_free char *post =
		str_format("--property=ExecStopPost=%s/vmmigrate-engine settle %s", VMM_LIBEXEC, task);
	const char *const argv[] = {"systemd-run",
				    "--quiet",
				    "--collect",
				    unit,
				    "--property=KillMode=process",
				    post,
				    VMM_LIBEXEC "/vmmigrate-engine",
				    "worker",
				    task,
				    NULL};
	struct run_result result;
	if (run_checked(&(struct run){.argv = argv, .limit_ms = 30000}, &result, err) < 0)
		return -1;
	run_result_free(&result);
	return 0;
}

int worker_detach(const struct node_paths *paths, const char *task, struct vmm_error **err)
{
	return file_there("/run/systemd/system") ? detach_systemd(task, err) : detach_plain(paths, task, err);
}
