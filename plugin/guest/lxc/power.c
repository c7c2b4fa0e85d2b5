/* power.c: starts and stops containers (guest_ops->start, release, stop, destroy). Starts go through the command
 * lxc-start: the container's monitor is then a process of its own, and not a child of ours. */
#include <string.h>

#include "lxc.h"

#ifndef VMM_LIBEXEC
#define VMM_LIBEXEC "/usr/libexec/vmmigrate"
#endif
#define HOLD VMM_LIBEXEC "/lxc-hold"

enum {
	START_MS = 120000,
	HELD_S = 60,  /* limit for the container to be set up */
	HOLD_S = 120, /* limit of the hook's wait for our answer */
	RELEASE_MS = 30000,
	POLL_MS = 25,	    /* until we notice that it is off, which is downtime */
	STOPPED_MS = 30000, /* within which it has to be off after its init was killed */
};

/* ------------------------------------------------------------------ start */

/* The first error in lxc-start's log, or NULL. Lines are like "lxc-start 200 20260301120000.000 ERROR    conf -
 * ../src/lxc/conf.c:mount_entry:2195 - No such file ..."; the message comes after the position in LXC's source. */
static char *first_error(const char *id)
{
	vmm_auto_free char *path = lxc_hold_file(id, "log"), *text = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0)
		return NULL;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		char *error = strstr(line, " ERROR "), *position = error ? strstr(error, " - ") : NULL;
		char *message = position ? strstr(position + 3, " - ") : NULL;
		if (position)
			return str_copy(message ? message + 3 : position + 3);
	}
	return NULL;
}

/* Replaces *err, which says only that lxc-start failed, by what its log says. */
static int start_failed(const char *id, struct vmm_error **err)
{
	vmm_auto_free char *logged = first_error(id), *message = str_copy((*err)->message);
	error_clear(err);
	error_set(err, VMM_FAILED, "start-failed", "container %s cannot be started: %s", id, logged ? logged : message);
	return error_hint(err, "see more: lxc-start -n %s -F -l DEBUG -o /dev/stderr", id);
}

/* The line of a config that holds the container's start. It stays in the memory of the container's monitor, which runs
 * it again at each reboot from inside, also when this package is gone: so once the container was released, the line
 * asks nothing of our program. LXC gives it to a shell, behind the word "exec", and adds arguments of its own. */
static char *hold_line(const char *id)
{
	vmm_auto_free char *released = lxc_hold_file(id, "go");
	return str_format("lxc.hook.start-host=/bin/sh -c '[ -e %s ] || exec %s wait %d %llu %d' lxc-hold", released,
			  HOLD, (int)getpid(), (unsigned long long)process_started(getpid()), HOLD_S);
}

int lxc_start(struct guest_host *host, const char *id, bool held, struct vmm_error **err)
{
	vmm_auto_free char *config = lxc_present_config(host, id);
	vmm_auto_free char *log = lxc_hold_file(id, "log");
	vmm_auto_free char *hook = hold_line(id);
	vmm_auto_free char *limit = str_format("%d", HELD_S);
	const char *argv[] = {
		HOLD, "start", id,   limit, "lxc-start", "-n",	  id,	"-P", ((struct lxc_host *)host)->path,
		"-f", config,  "-o", log,   "-l",	 "ERROR", "-d", "-s", hook,
		NULL};
	if (!config || name_check(id, "container", err) < 0)
		return config ? -1
			      : error_set(err, VMM_NOT_FOUND, "no-such-guest", "there is no container %s here", id);
	if (lxc_hold_reset(id, err) < 0)
		return -1;
	enum { PLAIN_BEGIN = 4, PLAIN_END = 16 }; /* the part of argv that starts it without holding it */
	if (!held)
		argv[PLAIN_END] = NULL;
	struct run_result result;
	if (run_checked(&(struct run){.argv = held ? argv : argv + PLAIN_BEGIN, .limit_ms = START_MS}, &result, err) <
	    0)
		return start_failed(id, err);
	run_result_free(&result);
	return 0;
}

int lxc_release(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	if (lxc_load(host, id, &c, err) < 0)
		return -1;
	if (lxc_hold_answer(id, "go", err) < 0)
		return -1;
	for (int64_t end = clock_steady_ms() + RELEASE_MS; clock_steady_ms() < end; clock_sleep_ms(POLL_MS)) {
		const char *state = lxc_state_of(c);
		if (str_same(state, "running"))
			return 0;
		if (str_same(state, "shutoff"))
			break;
	}
	error_set(err, VMM_FAILED, "start-failed", "container %s was released, but does not run", id);
	return start_failed(id, err);
}

/* ------------------------------------------------------------------ stop */

static bool is_off(struct lxc_container *c)
{
	return str_same(lxc_state_of(c), "shutoff");
}

static int await_off(struct lxc_container *c, struct vmm_error **err)
{
	for (int64_t end = clock_steady_ms() + STOPPED_MS; !is_off(c); clock_sleep_ms(POLL_MS))
		if (clock_steady_ms() > end)
			return error_set(err, VMM_FAILED, "guest-state",
					 "container %s still runs %d s after it was killed", c->name,
					 STOPPED_MS / 1000);
	return lxc_await_loop(c, err);
}

static int kill_it(struct lxc_container *c, struct vmm_error **err)
{
	if (lxc_is_held(c->name) && lxc_hold_answer(c->name, "end", err) < 0)
		return -1;
	if (!lxc_is_held(c->name) && !is_off(c))
		c->stop(c);
	return await_off(c, err);
}

int lxc_stop(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
	     void *context, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	if (lxc_load(host, id, &c, err) < 0)
		return -1;
	int64_t end = clock_steady_ms() + limit_ms;
	if (!is_off(c))
		c->shutdown(c, 0); /* sends its halt signal, once; the loop below waits */
	for (; !is_off(c); clock_sleep_ms(POLL_MS)) {
		if (cancelled && cancelled(context))
			return error_set(err, VMM_CANCELLED, "cancelled", "shutdown of container %s: cancelled", id);
		if (clock_steady_ms() < end)
			continue;
		if (force)
			return kill_it(c, err);
		error_set(err, VMM_FAILED, "shutdown-timeout", "container %s did not shut down within %d s", id,
			  limit_ms / 1000);
		return error_hint(err, "shut it down from within, allow more time (--timeout), or give --force-stop");
	}
	return lxc_await_loop(c, err);
}

int lxc_destroy(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	struct vmm_error *problem = NULL;
	if (lxc_load(host, id, &c, &problem) == 0)
		return kill_it(c, err);
	if (error_is(problem, "no-such-guest")) {
		error_clear(&problem);
		return 0;
	}
	error_take(err, problem);
	return -1;
}
