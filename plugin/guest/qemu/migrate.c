/* migrate.c: moves a running guest's memory (guest_ops->migrate, migrate_end, migrate_abort). The migration is
 * peer-to-peer: libvirtd completes or undoes it, even if our process ends.
 *
 * libvirt's call blocks until the end, so it runs in a thread of its own; the caller's thread reads QEMU's statistics
 * meanwhile and tunes the migration. The call returns up to a fifth of a second after QEMU has ended on the source,
 * so the end of that process is watched as well (events.c). */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

#include "qemu.h"

enum {
	LOOK_MS = 200,
	/* So long no statistics are asked for after the guest was stopped: libvirtd would answer only at the end. */
	SWITCH_MS = 1000,
	ABORT_LIMIT_MS = 180000, /* libvirtd itself waits less for a peer that does not answer */
};

#define LINK_HINT "check the migration network between the nodes"

/* Why the migration is being aborted. */
enum abort_reason { NOT_ABORTED, CANCELLED, REBOOTED, STALLED, LINK_LOST };

struct qemu_migration {
	const struct guest_migration *order;
	virDomainPtr domain;
	const char *name; /* the domain's */

	/* The arguments of libvirt's call. */
	unsigned flags;
	virTypedParameterPtr values;
	int count, room;

	struct qemu_events *events;
	struct converge converge;
	struct bandwidth bandwidth;
	unsigned long allowed; /* MiB a second, as libvirt was told last; 0: no limit */
	/* Both stay set after a failed migration: so what they were before is set again. */
	unsigned long long former_downtime; /* ms; 0: not known */
	unsigned long former_bandwidth;	    /* MiB a second; 0: we have not changed it */
	enum abort_reason abort_reason;
	bool suspended; /* by us, because it stalled */

	pthread_t thread;
	int process;  /* pidfd of QEMU, or -1 */
	int returned; /* eventfd: libvirt's call has returned. The thread signals it after it has set these: */
	int result;
	struct vmm_error *problem;
};

/* ------------------------------------------------------------------ flags and parameters */

/* A transient domain stays one on the target. */
static unsigned flags_of(const struct guest_migration *order, virDomainPtr domain)
{
	/* PAUSED: the engine releases the target's guest when it is sure that the source's is gone. Never
	 * UNDEFINE_SOURCE: the engine removes the source's definition, after the commit. */
	unsigned flags = VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PAUSED | VIR_MIGRATE_ABORT_ON_ERROR;
	if (virDomainIsPersistent(domain) == 1)
		flags |= VIR_MIGRATE_PERSIST_DEST;
	if (!order->paused)
		flags |= VIR_MIGRATE_LIVE | VIR_MIGRATE_AUTO_CONVERGE;
	return order->unsafe ? flags | VIR_MIGRATE_UNSAFE : flags;
}

static void add_parameter(struct qemu_migration *m, const char *key, const char *value)
{
	if (value && virTypedParamsAddString(&m->values, &m->count, &m->room, key, value) < 0)
		abort();
}

/* Adds to `moved`, as changes for definition_rewrite, the volumes whose path in the target's definition (`later`) is
 * another than in the persistent definition of now (`now`). Error where the running guest (`live`) uses a third path:
 * a snapshot or a change that is not persistent; then it is not known which image is meant. */
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
					 "volume %s: the running guest uses %s, its persistent definition names %s",
					 target, running, from ? from : "no path");
		json_object_array_add(moved, json_make("target:s path:s", target, to));
	}
	return 0;
}

/* The running guest's XML for the target, where the target's definition has other paths for volumes. Else NULL:
 * libvirt then sends its own. */
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

static int prepare(struct qemu_migration *m, struct vmm_error **err)
{
	const struct guest_migration *order = m->order;
	vmm_auto_free char *live = NULL;
	m->flags = flags_of(order, m->domain);
	if (order->definition && live_definition(m->domain, order->definition, &live, err) < 0)
		return -1;
	add_parameter(m, VIR_MIGRATE_PARAM_URI, order->data_uri);
	add_parameter(m, VIR_MIGRATE_PARAM_LISTEN_ADDRESS, order->listen);
	add_parameter(m, VIR_MIGRATE_PARAM_DEST_XML, live);
	add_parameter(m, VIR_MIGRATE_PARAM_PERSIST_XML, order->definition);
	m->bandwidth.limit = order->rate_limit;
	m->allowed = bandwidth_first(&m->bandwidth);
	if (m->allowed &&
	    virTypedParamsAddULLong(&m->values, &m->count, &m->room, VIR_MIGRATE_PARAM_BANDWIDTH, m->allowed) < 0)
		abort();
	return 0;
}

/* ------------------------------------------------------------------ downtime, bandwidth */

static void allow_downtime(struct qemu_migration *m, int64_t ms)
{
	if (virDomainMigrateSetMaxDowntime(m->domain, (unsigned long long)ms, 0) < 0)
		log_debug("downtime of VM %s: %s", m->name, virGetLastErrorMessage());
}

/* The first downtime is set before the migration begins: a small guest's migration ends before the first look. */
static void begin_downtime(struct qemu_migration *m)
{
	converge_begin(&m->converge, m->order->max_downtime_ms, clock_steady_ms());
	if (virDomainMigrateGetMaxDowntime(m->domain, &m->former_downtime, 0) < 0)
		m->former_downtime = 0;
	if (!m->order->paused)
		allow_downtime(m, m->converge.downtime_ms);
}

static void allow_bandwidth(struct qemu_migration *m, unsigned long mib)
{
	if (mib == m->allowed)
		return;
	if ((!m->former_bandwidth && virDomainMigrateGetMaxSpeed(m->domain, &m->former_bandwidth, 0) < 0) ||
	    virDomainMigrateSetMaxSpeed(m->domain, mib, 0) < 0)
		log_debug("bandwidth of VM %s: %s", m->name, virGetLastErrorMessage());
	else
		m->allowed = mib;
}

/* ------------------------------------------------------------------ the thread that migrates */

static void rename_error(struct vmm_error *err, const char *code)
{
	snprintf(err->code, sizeof(err->code), "%s", code);
}

/* Takes libvirt's error. One of its remote protocol means that our own libvirtd is gone, or that it has lost the
 * target's. */
static void set_problem(struct qemu_migration *m)
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
	struct qemu_migration *m = argument;
	m->result = virDomainMigrateToURI3(m->domain, m->order->target_uri, m->values, (unsigned)m->count, m->flags);
	if (m->result < 0)
		set_problem(m);
	eventfd_write(m->returned, 1);
	return NULL;
}

enum wake { TIMED_OUT, CALL_RETURNED, QEMU_ENDED };

/* Waits LOOK_MS. The end of QEMU ends the wait at once: from then on the time until the release is downtime. */
static enum wake wait_for_end(struct qemu_migration *m)
{
	struct pollfd fds[] = {{m->returned, POLLIN, 0}, {m->process, POLLIN, 0}};
	if (poll(fds, VMM_COUNT(fds), LOOK_MS) <= 0)
		return TIMED_OUT;
	return fds[0].revents ? CALL_RETURNED : QEMU_ENDED;
}

/* ------------------------------------------------------------------ statistics */

/* Of libvirt's job. Sizes in bytes, times in ms, rate in bytes a second, dirty_pages in pages a second. */
struct job_statistics {
	unsigned long long total, remaining, processed, rate, dirty_pages, page_size, iteration, downtime, elapsed;
	bool has_downtime, has_elapsed;
};

static void read_statistics(virTypedParameterPtr values, int count, struct job_statistics *s)
{
	*s = (struct job_statistics){.page_size = 4096};
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_TOTAL, &s->total);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_REMAINING, &s->remaining);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_PROCESSED, &s->processed);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_BPS, &s->rate);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, &s->dirty_pages);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, &s->page_size);
	virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_MEMORY_ITERATION, &s->iteration);
	s->has_downtime = virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_DOWNTIME, &s->downtime) == 1;
	s->has_elapsed = virTypedParamsGetULLong(values, count, VIR_DOMAIN_JOB_TIME_ELAPSED, &s->elapsed) == 1;
}

/* False where there is no job, yet or any more. */
static bool ask_statistics(virDomainPtr domain, unsigned flags, struct job_statistics *statistics)
{
	virTypedParameterPtr values = NULL;
	int type = VIR_DOMAIN_JOB_NONE, count = 0;
	if (virDomainGetJobStats(domain, &type, &values, &count, flags) < 0)
		return false;
	read_statistics(values, count, statistics);
	virTypedParamsFree(values, count);
	return type != VIR_DOMAIN_JOB_NONE;
}

/* False where the caller wants to cancel. */
static bool report_progress(const struct qemu_migration *m, const struct job_statistics *s)
{
	const struct guest_progress progress = {
		.done = s->total > s->remaining ? s->total - s->remaining : 0,
		.total = s->total,
		.rate = s->rate,
		.dirty_rate = s->dirty_pages * s->page_size,
		.iteration = (int)s->iteration,
		.downtime_ms = s->has_downtime ? (int64_t)s->downtime : -1,
	};
	return !m->order->progress || m->order->progress(m->order->context, &progress);
}

static void fill_statistics(const struct qemu_migration *m)
{
	struct guest_statistics *out = m->order->statistics;
	struct job_statistics s;
	if (!out)
		return;
	out->downtime_ms = out->total_ms = -1;
	if (!ask_statistics(m->domain, VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED, &s))
		return;
	out->downtime_ms = s.has_downtime ? (int64_t)s.downtime : -1;
	out->total_ms = s.has_elapsed ? (int64_t)s.elapsed : -1;
	out->memory = s.processed;
	out->iterations = (int)s.iteration;
}

/* ------------------------------------------------------------------ decisions */

static void on_stall(struct qemu_migration *m)
{
	if (!m->order->suspend_on_stall) {
		m->abort_reason = STALLED;
	} else if (!m->suspended) {
		log_info("migrate VM %s: the guest writes memory faster than it crosses, and is suspended", m->name);
		m->suspended = virDomainSuspend(m->domain) == 0;
	}
}

static void tune(struct qemu_migration *m, const struct job_statistics *s)
{
	if (s->processed)
		allow_bandwidth(m, bandwidth_next(&m->bandwidth, s->processed, clock_steady_ms()));
	const struct converge_sample sample = {
		.now_ms = clock_steady_ms(),
		.iteration = (int)s->iteration,
		.processed = s->processed,
		.remaining = s->remaining,
		.rate = s->rate,
		.dirty_rate = s->dirty_pages * s->page_size,
	};
	switch (converge_look(&m->converge, &sample)) {
	case CONVERGE_WAIT:
		break;
	case CONVERGE_RAISE_DOWNTIME:
		if (!m->order->paused)
			allow_downtime(m, m->converge.downtime_ms);
		break;
	case CONVERGE_STALLED:
		on_stall(m);
		break;
	case CONVERGE_LINK_LOST:
		m->abort_reason = LINK_LOST;
		break;
	}
}

/* With --non-live the guest is stopped from the beginning on, and statistics are asked for all the time. */
static bool just_stopped(struct qemu_migration *m)
{
	int64_t at_ms = m->order->paused ? 0 : qemu_events_stopped(m->events);
	return at_ms && clock_steady_ms() - at_ms < SWITCH_MS;
}

/* Until libvirt's call has returned or QEMU has ended: reports progress, tunes, aborts. */
static enum wake watch(struct qemu_migration *m)
{
	struct job_statistics statistics = {0};
	enum wake wake;
	while ((wake = wait_for_end(m)) == TIMED_OUT) {
		if (just_stopped(m))
			continue;
		bool known = ask_statistics(m->domain, 0, &statistics);
		if (!report_progress(m, &statistics) && m->abort_reason == NOT_ABORTED)
			m->abort_reason = CANCELLED;
		if (qemu_events_rebooted(m->events) && m->abort_reason == NOT_ABORTED)
			m->abort_reason = REBOOTED;
		if (known && m->abort_reason == NOT_ABORTED)
			tune(m, &statistics);
		/* libvirtd refuses to abort while it prepares the migration, and when the guest is about to change
		 * sides: so this is tried again after each wait. */
		if (m->abort_reason != NOT_ABORTED && virDomainAbortJob(m->domain) < 0)
			log_debug("abort the migration of VM %s: %s", m->name, virGetLastErrorMessage());
	}
	return wake;
}

/* ------------------------------------------------------------------ the end */

static int failed(struct qemu_migration *m, struct vmm_error **err)
{
	const char *why = m->problem ? m->problem->message : "";
	bool active = virDomainIsActive(m->domain) == 1;
	if (active && m->former_downtime)
		allow_downtime(m, (int64_t)m->former_downtime);
	if (active && m->former_bandwidth)
		allow_bandwidth(m, m->former_bandwidth);
	switch (m->abort_reason) {
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
		error_hint(err, "raise --max-downtime, or have it paused for the rest (--on-stall=suspend) or "
				"throughout (--non-live)");
		break;
	case LINK_LOST:
		error_set(err, VMM_FAILED, "link-lost", "migrate VM %s: no memory has crossed for 150 s (%s)", m->name,
			  why);
		error_hint(err, LINK_HINT);
		break;
	case NOT_ABORTED:
		error_take(err, m->problem);
		m->problem = NULL;
	}
	error_clear(&m->problem);
	return -1;
}

static void migration_free(struct qemu_migration *m)
{
	qemu_events_end(m->events);
	vmm_cleanup_close(&m->process);
	vmm_cleanup_close(&m->returned);
	virTypedParamsFree(m->values, m->count);
	qemu_cleanup_domain(&m->domain);
	free(m);
}

static struct qemu_migration *migration_new(const struct guest_migration *order, virDomainPtr domain)
{
	struct qemu_migration *m = mem_zero(sizeof(*m));
	m->order = order;
	m->domain = domain;
	m->name = virDomainGetName(domain);
	m->events = qemu_events_watch(domain);
	m->process = qemu_process(domain);
	m->returned = eventfd(0, EFD_CLOEXEC);
	return m;
}

static int begin(struct qemu_migration *m, struct vmm_error **err)
{
	if (m->returned < 0)
		return error_errno(err, errno, "migrate VM %s", m->name);
	if (prepare(m, err) < 0)
		return -1;
	begin_downtime(m);
	int problem = pthread_create(&m->thread, NULL, run, m);
	return problem ? error_errno(err, problem, "migrate VM %s", m->name) : 0;
}

int qemu_migrate(struct guest_host *host, const struct guest_migration *order, struct vmm_error **err)
{
	struct qemu_host *qemu = (struct qemu_host *)host;
	virDomainPtr domain = NULL;
	if (qemu_find(host, order->id, &domain, err) < 0)
		return -1;
	struct qemu_migration *m = migration_new(order, domain);
	if (begin(m, err) < 0) {
		migration_free(m);
		return -1;
	}
	qemu->migration = m;
	enum wake wake = watch(m);
	if (order->statistics)
		order->statistics->stopped_ms = qemu_events_stopped(m->events);
	return wake == QEMU_ENDED ? 0 : qemu_migrate_end(host, err);
}

int qemu_migrate_end(struct guest_host *host, struct vmm_error **err)
{
	struct qemu_host *qemu = (struct qemu_host *)host;
	struct qemu_migration *m = qemu->migration;
	if (!m)
		return 0;
	qemu->migration = NULL;
	pthread_join(m->thread, NULL);
	int result = m->result < 0 ? failed(m, err) : 0;
	if (result == 0)
		fill_statistics(m);
	migration_free(m);
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
			return error_set(err, VMM_BUSY, "guest-job-active", "VM %s: the job \"%s\" does not end",
					 virDomainGetName(domain), job);
		/* Another job (a backup, say) is somebody else's: it is waited for, not aborted. */
		if (!strcmp(job, "migration") && virDomainAbortJob(domain) < 0)
			log_debug("abort the migration: %s", virGetLastErrorMessage());
	}
}
