/* events.c: what a guest does while its memory moves, as libvirt's events tell: it stands, it reboots.
 *
 * The events come in the library's own thread, and may still be coming while they are being given up: so what they write
 * to belongs to all of them, and goes with the last. */
#include <stdatomic.h>
#include <string.h>
#include <sys/pidfd.h>

#include "qemu.h"

enum { LIFECYCLE, REBOOT, KINDS };

struct qemu_events {
	atomic_llong stopped_ms;
	atomic_bool rebooted;
	atomic_int holders;
	virConnectPtr connection;
	int registered[KINDS]; /* -1: not */
};

static void let_go(void *opaque)
{
	struct qemu_events *events = opaque;
	if (atomic_fetch_sub(&events->holders, 1) == 1)
		free(events);
}

static int on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *opaque)
{
	struct qemu_events *events = opaque;
	(void)connection, (void)domain, (void)detail;
	if (event == VIR_DOMAIN_EVENT_SUSPENDED)
		atomic_store(&events->stopped_ms, clock_steady_ms());
	else if (event == VIR_DOMAIN_EVENT_RESUMED)
		atomic_store(&events->stopped_ms, 0);
	return 0;
}

static void on_reboot(virConnectPtr connection, virDomainPtr domain, void *opaque)
{
	struct qemu_events *events = opaque;
	(void)connection, (void)domain;
	atomic_store(&events->rebooted, true);
}

static int listen_to(struct qemu_events *events, virDomainPtr domain, int kind,
		     virConnectDomainEventGenericCallback callback)
{
	atomic_fetch_add(&events->holders, 1);
	int number = virConnectDomainEventRegisterAny(events->connection, domain, kind, callback, events, let_go);
	if (number < 0)
		let_go(events);
	return number;
}

struct qemu_events *qemu_events_watch(virDomainPtr domain)
{
	struct qemu_events *events = mem_zero(sizeof(*events));
	atomic_init(&events->stopped_ms, 0);
	atomic_init(&events->rebooted, false);
	atomic_init(&events->holders, 1);
	events->connection = virDomainGetConnect(domain);
	virConnectRef(events->connection);
	events->registered[LIFECYCLE] =
		listen_to(events, domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
	events->registered[REBOOT] =
		listen_to(events, domain, VIR_DOMAIN_EVENT_ID_REBOOT, VIR_DOMAIN_EVENT_CALLBACK(on_reboot));
	return events;
}

int64_t qemu_events_stopped(const struct qemu_events *events)
{
	return atomic_load(&events->stopped_ms);
}

bool qemu_events_rebooted(const struct qemu_events *events)
{
	return atomic_load(&events->rebooted);
}

void qemu_events_end(struct qemu_events *events)
{
	virConnectPtr connection = events->connection;
	for (int kind = 0; kind < KINDS; kind++)
		if (events->registered[kind] >= 0)
			virConnectDomainEventDeregisterAny(connection, events->registered[kind]);
	let_go(events);
	virConnectClose(connection);
}

/* ------------------------------------------------------------------ its process */

#define PID_FILES "/run/libvirt/qemu"

enum { COMMAND_LIMIT = 1 << 20 };

/* libvirt gives each QEMU its guest's UUID as an argument. */
static bool is_of(pid_t pid, const char *uuid)
{
	vmm_auto_free char *path = str_format("/proc/%d/cmdline", (int)pid), *words = NULL;
	size_t length = 0;
	if (file_read(path, COMMAND_LIMIT, &words, &length, NULL) < 0)
		return false;
	for (size_t at = 0; at < length; at += strlen(words + at) + 1)
		if (!strcmp(words + at, uuid))
			return true;
	return false;
}

int qemu_process(virDomainPtr domain)
{
	char uuid[VIR_UUID_STRING_BUFLEN];
	vmm_auto_free char *path = str_format(PID_FILES "/%s.pid", virDomainGetName(domain)), *text = NULL;
	if (virDomainGetUUIDString(domain, uuid) < 0 || file_read(path, 64, &text, NULL, NULL) < 0)
		return -1;
	pid_t pid = (pid_t)strtol(text, NULL, 10);
	int process = pid > 1 ? pidfd_open(pid, 0) : -1;
	/* The number may have been another's by then: it is looked at while the descriptor holds on to whose it is now. */
	if (process >= 0 && !is_of(pid, uuid))
		vmm_cleanup_close(&process);
	return process;
}
