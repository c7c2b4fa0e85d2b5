/* events.c: notices what happens to a guest while its memory moves: libvirt's events say that it was stopped or has
 * rebooted, the kernel says that its process has ended.
 *
 * Events arrive in the event loop's thread, and one may still arrive while its callback is being deregistered. So
 * what they write to is counted by references, one for each callback and one for the caller, and
 * freed with the last. */
#include <stdatomic.h>
#include <string.h>
#include <sys/pidfd.h>

#include "qemu.h"

enum { LIFECYCLE, REBOOT, KINDS };

struct qemu_events {
	atomic_llong stopped_ms;
	atomic_bool rebooted;
	atomic_int references;
	virConnectPtr connection;
	int registered[KINDS]; /* callback ids; -1: not registered */
};

static void drop_reference(void *opaque)
{
	struct qemu_events *events = opaque;
	if (atomic_fetch_sub(&events->references, 1) == 1)
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
	atomic_fetch_add(&events->references, 1);
	int number =
		virConnectDomainEventRegisterAny(events->connection, domain, kind, callback, events, drop_reference);
	if (number < 0)
		drop_reference(events);
	return number;
}

struct qemu_events *qemu_events_watch(virDomainPtr domain)
{
	struct qemu_events *events = mem_zero(sizeof(*events));
	atomic_init(&events->stopped_ms, 0);
	atomic_init(&events->rebooted, false);
	atomic_init(&events->references, 1);
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
	drop_reference(events);
	virConnectClose(connection);
}

/* ------------------------------------------------------------------ the guest's process
 *
 * After it has sent SIGTERM to a QEMU, libvirtd looks every 200 ms whether that has ended
 * (virProcessKillPainfullyDelay); the kernel says it at once. A guest whose process has ended runs no instruction on
 * this node, even if libvirtd has not noticed yet. */

#define PID_FILES "/run/libvirt/qemu"

enum { COMMAND_LINE_LIMIT = 1 << 20 };

/* libvirt gives each QEMU the UUID of its guest as an argument. */
static bool is_of(pid_t pid, const char *uuid)
{
	vmm_auto_free char *path = str_format("/proc/%d/cmdline", (int)pid), *arguments = NULL;
	size_t length = 0;
	if (file_read(path, COMMAND_LINE_LIMIT, &arguments, &length, NULL) < 0)
		return false;
	for (size_t at = 0; at < length; at += strlen(arguments + at) + 1)
		if (!strcmp(arguments + at, uuid))
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
	/* The pid file may be old, and its number another process's by now. The descriptor stays with one process, so
	 * its command line is looked at after it was opened. */
	if (process >= 0 && !is_of(pid, uuid))
		vmm_cleanup_close(&process);
	return process;
}
