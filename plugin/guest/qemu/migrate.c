/* migrate.c: moves a running guest's memory, peer-to-peer, so that it goes on or is undone by libvirtd whether we live
 * or not.
 *
 * The call that migrates blocks until the end and runs in a thread of its own; the caller's looks at QEMU's figures
 * meanwhile. The call returns a fifth of a second after QEMU has ended here (events.c): so that end is watched itself. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "qemu.h"

enum {
	LOOK_MS = 200,
	SWITCH_MS = 1000,	 /* a guest just stopped is not looked at: libvirtd would answer when all is over */
	ABORT_LIMIT_MS = 180000, /* longer than libvirtd waits for a peer that does not answer */
};

#define LINK_HINT "look at the migration network between the nodes"

enum give_up { GO_ON, CANCELLED, REBOOTED, STALLED, LINK_LOST };

struct qemu_moving {
	const struct guest_migration *order;
	virDomainPtr domain;
	const char *name;
	unsigned flags;
	virTypedParameterPtr values;
	int count, room;

	struct qemu_events *events;
	struct converge converge;
	struct bandwidth speed;
	unsigned long allowed;		    /* MiB a second; 0: no limit */
	unsigned long long former_downtime; /* 0: not known */
	unsigned long former_speed;	    /* 0: it has not been changed */
	enum give_up give_up;
	bool suspended;

	pthread_t thread;
	int process; /* pidfd of QEMU, or -1 */
	int over;    /* eventfd: the thread is done, and these are its: */
	int result;
	struct vmm_error *problem;
};

/* ------------------------------------------------------------------ what libvirt is told */

static unsigned flags_of(const struct guest_migration *order)
{
	/* PAUSED: the target's guest is let go by the engine, when it is sure that the source's is gone. The source's
	 * definition is the engine's to remove as well, so never UNDEFINE_SOURCE. */
	unsigned flags =
		VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_PAUSED | VIR_MIGRATE_ABORT_ON_ERROR;
	if (!order->paused)
		flags |= VIR_MIGRATE_LIVE | VIR_MIGRATE_AUTO_CONVERGE;
	return order->unsafe ? flags | VIR_MIGRATE_UNSAFE : flags;
}

static void tell(struct qemu_moving *m, const char *key, const char *value)
{
	if (value && virTypedParamsAddString(&m->values, &m->count, &m->room, key, value) < 0)
		abort();
}

/* The places that differ between `order->definition` and the persistent definition of now, as definition_rewrite wants
 * them, for the live one. Where that names another place already (a snapshot or a change that is not persistent),
 * nobody knows what is meant. */
static int moved_volumes(struct json_object *now, struct json_object *live, struct json_object *later,
			 struct json_object *moved, struct vmm_error **err)
{
	json_each (volume, now, "volumes") {
		const char *target = json_text(volume, "target"), *from = json_text(volume, "path");
		const char *to = NULL, *running = NULL;
		json_each (other, later, "volumes")
			if (str_same(json_text(other, "target"), target))
				to = json_text(other, "path");
		json_each (other, live, "volumes")
			if (str_same(json_text(other, "target"), target))
				running = json_text(other, "path");
		if (!to || !running || str_same(from, to))
			continue;
		if (!str_same(from, running))
			return error_set(err, VMM_FAILED, "definition-differs",
					 "volume %s is at %s while the guest runs, at %s in its definition", target,
					 running, from ? from : "no path");
		json_object_array_add(moved, json_make("target:s path:s", target, to));
	}
	return 0;
}

/* The running guest as the target shall have it, where the new definition moves volumes; else NULL: libvirt knows best.
 */
static int live_definition(virDomainPtr domain, const char *definition, char **xml, struct vmm_error **err)
{
	vmm_auto_json struct json_object *now = NULL, *live = NULL, *later = NULL, *moved = json_object_new_array();
	vmm_auto_free char *persistent = NULL, *running = NULL;
	*xml = NULL;
	if (qemu_definition(domain, &persistent, err) < 0)
		return -1;
	running = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE);
	if (!running)
		return qemu_failed(err, "definition of VM %s", virDomainGetName(domain));
	if (definition_facts(persistent, &now, err) < 0 || definition_facts(running, &live, err) < 0 ||
	    definition_facts(definition, &later, err) < 0 || moved_volumes(now, live, later, moved, err) < 0)
		return -1;
	return json_count(moved, "") ? definition_rewrite(running, moved, xml, err) : 0;
}

static int prepare(struct qemu_moving *m, struct vmm_error **err)
{
	const struct guest_migration *order = m->order;
	vmm_auto_free char *live = NULL;
	m->flags = flags_of(order);
	if (order->definition && live_definition(m->domain, order->definition, &live, err) < 0)
		return -1;
	tell(m, VIR_MIGRATE_PARAM_URI, order->data_uri);
	tell(m, VIR_MIGRATE_PARAM_DEST_XML, live);
	tell(m, VIR_MIGRATE_PARAM_PERSIST_XML, order->definition);
	m->speed.limit = order->rate_limit;
	m->allowed = bandwidth_first(&m->speed);
	if (m->allowed &&
	    virTypedParamsAddULLong(&m->values, &m->count, &m->room, VIR_MIGRATE_PARAM_BANDWIDTH, m->allowed) < 0)
		abort();
	return 0;
}

/* ------------------------------------------------------------------ downtime */

static void allow_downtime(struct qemu_moving *m, int64_t ms)
{
	if (virDomainMigrateSetMaxDowntime(m->domain, (unsigned long long)ms, 0) < 0)
		log_debug("downtime of VM %s: %s", m->name, virGetLastErrorMessage());
}

/* Set before the migration begins: a small guest's is over before one has looked for the first time. */
static void begin_downtime(struct qemu_moving *m)
{
	converge_begin(&m->converge, m->order->max_downtime_ms, clock_steady_ms());
	if (virDomainMigrateGetMaxDowntime(m->domain, &m->former_downtime, 0) < 0)
		m->former_downtime = 0;
	if (!m->order->paused)
		allow_downtime(m, m->converge.downtime_ms);
}

/* ------------------------------------------------------------------ speed */

/* libvirt remembers the speed that it is told while a migration is under way: so what it was before is kept. */
static void allow_speed(struct qemu_moving *m, unsigned long mib)
{
	if (mib == m->allowed)
		return;
	if ((!m->former_speed && virDomainMigrateGetMaxSpeed(m->domain, &m->former_speed, 0) < 0) ||
	    virDomainMigrateSetMaxSpeed(m->domain, mib, 0) < 0)
		log_debug("speed of VM %s: %s", m->name, virGetLastErrorMessage());
	else
		m->allowed = mib;
}

/* ------------------------------------------------------------------ the thread that migrates */

static void rename_error(struct vmm_error *err, const char *code)
{
	snprintf(err->code, sizeof(err->code), "%s", code);
}

/* A failure of libvirt's remote protocol is our own libvirtd that is gone, or its word about the way to the other one. */
static void set_problem(struct qemu_moving *m)
{
	const virError *last = virGetLastError();
	bool remote = last && (last->domain == VIR_FROM_RPC || last->domain == VIR_FROM_REMOTE);
	qemu_failed(&m->problem, "migrate VM %s", m->name);
	if (virConnectIsAlive(virDomainGetConnect(m->domain)) != 1) {
		rename_error(m->problem, "libvirt-lost");
	} else if (remote) {
		rename_error(m->problem, "link-lost");
		error_hint(&m->problem, LINK_HINT);
	} else if (error_is(m->problem, "libvirt")) {
		rename_error(m->problem, "migration-failed");
	}
}

static void *run(void *argument)
{
	struct qemu_moving *m = argument;
	m->result = virDomainMigrateToURI3(m->domain, m->order->target_uri, m->values, (unsigned)m->count, m->flags);
	if (m->result < 0)
		set_problem(m);
	eventfd_write(m->over, 1);
	return NULL;
}

enum news { NONE, OVER, GONE };

/* Wakes up at once when QEMU is gone: the target's guest stands still. */
static enum news wait_a_little(struct qemu_moving *m)
{
	struct pollfd fds[] = {{m->over, POLLIN, 0}, {m->process, POLLIN, 0}};
	if (poll(fds, VMM_COUNT(fds), LOOK_MS) <= 0)
		return NONE;
	return fds[0].revents ? OVER : GONE;
}

/* ------------------------------------------------------------------ figures */

struct figures {
	unsigned long long total, remaining, processed, rate, dirty_pages, page_size, iteration, downtime, elapsed;
	bool has_downtime, has_elapsed;
};

static void read_figures(virTypedParameterPtr values, int count, struct figures *f)
{
	*f = (struct figures){.page_size = 4096};
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_TOTAL, &f->total);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_REMAINING, &f->remaining);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_PROCESSED, &f->processed);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_BPS, &f->rate);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, &f->dirty_pages);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, &f->page_size);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_ITERATION, &f->iteration);
	f->has_downtime = virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_DOWNTIME, &f->downtime) == 1;
	f->has_elapsed = virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_TIME_ELAPSED, &f->elapsed) == 1;
}

/* False where there is no job (yet, or any more). */
static bool look(virDomainPtr domain, unsigned flags, struct figures *figures)
{
	virTypedParameterPtr values = NULL;
	int type = VIR_DOMAIN_JOB_NONE, count = 0;
	if (virDomainGetJobStats(domain, &type, &values, &count, flags) < 0)
		return false;
	read_figures(values, count, figures);
	virTypedParamsFree(values, count);
	return type != VIR_DOMAIN_JOB_NONE;
}

static bool report(const struct qemu_moving *m, const struct figures *f)
{
	const struct guest_progress progress = {
		.done = f->total > f->remaining ? f->total - f->remaining : 0,
		.total = f->total,
		.rate = f->rate,
		.dirty_rate = f->dirty_pages * f->page_size,
		.iteration = (int)f->iteration,
		.downtime_ms = f->has_downtime ? (int64_t)f->downtime : -1,
	};
	return !m->order->progress || m->order->progress(m->order->context, &progress);
}

static void tell_statistics(const struct qemu_moving *m)
{
	struct guest_statistics *out = m->order->statistics;
	struct figures f;
	if (!out)
		return;
	out->downtime_ms = out->total_ms = -1;
	if (!look(m->domain, VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED, &f))
		return;
	out->downtime_ms = f.has_downtime ? (int64_t)f.downtime : -1;
	out->total_ms = f.has_elapsed ? (int64_t)f.elapsed : -1;
	out->memory = f.processed;
	out->iterations = (int)f.iteration;
}

/* ------------------------------------------------------------------ decisions */

static void stalled(struct qemu_moving *m)
{
	if (!m->order->suspend_on_stall) {
		m->give_up = STALLED;
	} else if (!m->suspended) {
		log_info("migrate VM %s: writes outrun the link, the guest is suspended", m->name);
		m->suspended = virDomainSuspend(m->domain) == 0;
	}
}

static void steer(struct qemu_moving *m, const struct figures *f)
{
	if (f->processed)
		allow_speed(m, bandwidth_next(&m->speed, f->processed, clock_steady_ms()));
	const struct converge_sample sample = {
		.now_ms = clock_steady_ms(),
		.iteration = (int)f->iteration,
		.processed = f->processed,
		.remaining = f->remaining,
		.rate = f->rate,
		.dirty_rate = f->dirty_pages * f->page_size,
	};
	switch (converge_look(&m->converge, &sample)) {
	case CONVERGE_WAIT:
		break;
	case CONVERGE_ALLOW:
		if (!m->order->paused)
			allow_downtime(m, m->converge.downtime_ms);
		break;
	case CONVERGE_STALLED:
		stalled(m);
		break;
	case CONVERGE_LINK_LOST:
		m->give_up = LINK_LOST;
		break;
	}
}

static bool just_stopped(struct qemu_moving *m)
{
	int64_t at_ms = m->order->paused ? 0 : qemu_events_stopped(m->events);
	return at_ms && clock_steady_ms() - at_ms < SWITCH_MS;
}

static enum news watch(struct qemu_moving *m)
{
	struct figures figures = {0};
	enum news news;
	while ((news = wait_a_little(m)) == NONE) {
		if (just_stopped(m))
			continue;
		bool known = look(m->domain, 0, &figures);
		if (!report(m, &figures) && m->give_up == GO_ON)
			m->give_up = CANCELLED;
		if (qemu_events_rebooted(m->events) && m->give_up == GO_ON)
			m->give_up = REBOOTED;
		if (known && m->give_up == GO_ON)
			steer(m, &figures);
		/* Refused while libvirtd still prepares, and when the guest is about to change sides: so it is asked
		 * each time. */
		if (m->give_up != GO_ON && virDomainAbortJob(m->domain) < 0)
			log_debug("abort the migration of VM %s: %s", m->name, virGetLastErrorMessage());
	}
	return news;
}

/* ------------------------------------------------------------------ the end */

static int failed(struct qemu_moving *m, struct vmm_error **err)
{
	const char *why = m->problem ? m->problem->message : "";
	bool active = virDomainIsActive(m->domain) == 1;
	if (active && m->former_downtime)
		allow_downtime(m, (int64_t)m->former_downtime);
	if (active && m->former_speed)
		allow_speed(m, m->former_speed);
	switch (m->give_up) {
	case CANCELLED:
		error_set(err, VMM_CANCELLED, "cancelled", "migrate VM %s: cancelled", m->name);
		break;
	case REBOOTED:
		error_set(err, VMM_FAILED, "guest-rebooted", "migrate VM %s: the guest has rebooted", m->name);
		error_hint(err, "migrate it when it is up again");
		break;
	case STALLED:
		error_set(err, VMM_FAILED, "does-not-converge",
			  "migrate VM %s: the guest writes memory faster than it crosses, at a downtime of %lld ms",
			  m->name, (long long)m->converge.downtime_ms);
		error_hint(err,
			   "raise --max-downtime, or let it stand for the rest: --on-stall=suspend, or --non-live");
		break;
	case LINK_LOST:
		error_set(err, VMM_FAILED, "link-lost", "migrate VM %s: nothing has crossed for 150 s (%s)", m->name,
			  why);
		error_hint(err, LINK_HINT);
		break;
	case GO_ON:
		error_take(err, m->problem);
		m->problem = NULL;
	}
	error_clear(&m->problem);
	return -1;
}

static void moving_free(struct qemu_moving *m)
{
	qemu_events_end(m->events);
	vmm_cleanup_close(&m->process);
	vmm_cleanup_close(&m->over);
	virTypedParamsFree(m->values, m->count);
	qemu_cleanup_domain(&m->domain);
	free(m);
}

static struct qemu_moving *moving_new(const struct guest_migration *order, virDomainPtr domain)
{
	struct qemu_moving *m = mem_zero(sizeof(*m));
	m->order = order;
	m->domain = domain;
	m->name = virDomainGetName(domain);
	m->events = qemu_events_watch(domain);
	m->process = qemu_process(domain);
	m->over = eventfd(0, EFD_CLOEXEC);
	return m;
}

static int begin(struct qemu_moving *m, struct vmm_error **err)
{
	if (m->over < 0)
		return error_errno(err, errno, "migrate VM %s", m->name);
	if (prepare(m, err) < 0)
		return -1;
	begin_downtime(m);
	int problem = pthread_create(&m->thread, NULL, run, m);
	return problem ? error_errno(err, problem, "migrate VM %s", m->name) : 0;
}

int qemu_migrate(struct guest_host *host, const struct guest_migration *migration, struct vmm_error **err)
{
	struct qemu_host *qemu = (struct qemu_host *)host;
	virDomainPtr domain = NULL;
	if (qemu_find(host, migration->id, &domain, err) < 0)
		return -1;
	struct qemu_moving *m = moving_new(migration, domain);
	if (begin(m, err) < 0) {
		moving_free(m);
		return -1;
	}
	qemu->moving = m;
	enum news news = watch(m);
	if (migration->statistics)
		migration->statistics->stopped_ms = qemu_events_stopped(m->events);
	return news == GONE ? 0 : qemu_migrate_end(host, err);
}

int qemu_migrate_end(struct guest_host *host, struct vmm_error **err)
{
	struct qemu_host *qemu = (struct qemu_host *)host;
	struct qemu_moving *m = qemu->moving;
	if (!m)
		return 0;
	qemu->moving = NULL;
	pthread_join(m->thread, NULL);
	int result = m->result < 0 ? failed(m, err) : 0;
	if (result == 0)
		tell_statistics(m);
	moving_free(m);
	return result;
}

/* ------------------------------------------------------------------ guest_ops->migrate_abort */

int qemu_migrate_abort(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_domain virDomainPtr domain = NULL;
	if (qemu_find(host, id, &domain, err) < 0)
		return -1;
	for (int64_t end = clock_steady_ms() + ABORT_LIMIT_MS;; clock_sleep_ms(LOOK_MS)) {
		vmm_auto_free char *job = NULL;
		if (qemu_job_of(domain, &job, err) < 0)
			return -1;
		if (!job)
			return 0;
		if (clock_steady_ms() >= end)
			return error_set(err, VMM_BUSY, "guest-job-active", "VM %s: %s does not end",
					 virDomainGetName(domain), job);
		/* Somebody else's job is waited for, not ended. */
		if (!strcmp(job, "migration") && virDomainAbortJob(domain) < 0)
			log_debug("abort the migration: %s", virGetLastErrorMessage());
	}
}
