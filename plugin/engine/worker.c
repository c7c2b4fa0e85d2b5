/* worker.c: the processes of a task: the worker that carries it out, and the supervisor that starts recover when the
 * worker ends badly. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "engine/engine.h"

/* Recovers earlier tasks of the same guest that could not be recovered yet, because their target was away: they still
 * lock the guest, and this migration would be refused as busy. */
static void recover_earlier(const struct node_paths *paths, const char *guest)
{
	vmm_auto_json struct json_object *recovered = json_object_new_object();
	vmm_auto_error struct vmm_error *problem = NULL;
	if (recover_all(paths, NULL, guest, NULL, recovered, &problem) < 0)
		log_warn("%s", problem->message);
}

int worker_run(const struct node_paths *paths, const char *task, struct vmm_error **err)
{
	struct migration m = {0};
	int done = migration_open(&m, paths, task, err);
	if (done == 0) {
		recover_earlier(paths, json_text(m.request, "guest"));
		migrate_run(&m);
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

/* Without systemd this does what a transient unit with ExecStopPost does: runs the worker, then recover if it ended
 * badly. */
static void supervise(const char *task)
{
	if (!ended_well(run_engine("worker", task)))
		ended_well(run_engine("recover-task", task));
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
		str_format("--property=ExecStopPost=%s/vmmigrate-engine recover-task %s", VMM_LIBEXEC, task);
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
