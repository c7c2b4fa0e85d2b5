/* qemu.c: the connection to libvirtd, its errors in our convention, and at the end the table of the kind. */
#include <ctype.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "qemu.h"

#define QEMU_URI "qemu:///system"

enum {
	KEEPALIVE_S = 5,     /* libvirtd is pinged this often, */
	KEEPALIVE_COUNT = 6, /* and the connection is closed after so many pings without an answer */
	/* A libvirtd that is restarted during a migration closes its socket at once, but ends only when the migration
	 * is over or systemd's 90 s have passed; then the new one starts. */
	RECONNECT_LIMIT_MS = 100000,
};

/* ------------------------------------------------------------------ libvirt's library, once per process */

static void ignore_error(void *context, virErrorPtr error)
{
	(void)context;
	(void)error;
}

static void *run_events(void *unused)
{
	while (virEventRunDefaultImpl() == 0)
		;
	return unused;
}

/* libvirt's event loop and error handler belong to the process, not to a connection, and cannot be removed again: so
 * this runs once, and the loop's thread stays until the process ends. It serves keep-alive and events, and sleeps
 * otherwise; signals are blocked in it. The error handler does nothing, because libvirt's own prints each error; we
 * read errors where they occur (qemu_failed). */
static void prepare_library(void)
{
	sigset_t all, before;
	pthread_t thread;
	virSetErrorFunc(NULL, ignore_error);
	if (virEventRegisterDefaultImpl() < 0)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, run_events, NULL) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ------------------------------------------------------------------ connections */

static virConnectPtr connect_now(struct vmm_error **err)
{
	virConnectPtr connection = virConnectOpen(QEMU_URI);
	if (!connection) {
		qemu_failed(err, "connect to libvirt (%s)", QEMU_URI);
		if (err && !error_is(*err, "not-permitted")) {
			snprintf((*err)->code, sizeof((*err)->code), "target-libvirt-down");
			(*err)->exit = VMM_BLOCKED;
			error_hint(err, "start it: systemctl start libvirtd");
		}
		return NULL;
	}
	/* Refused only by a libvirtd that is configured so; then it is noticed late that it hangs, and nothing else
	 * changes. */
	if (virConnectSetKeepAlive(connection, KEEPALIVE_S, KEEPALIVE_COUNT) < 0)
		log_debug("libvirtd refuses keep-alive");
	return connection;
}

static int qemu_open(const struct guest_env *env, struct guest_host **host, struct vmm_error **err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)env;
	pthread_once(&once, prepare_library);
	virConnectPtr connection = connect_now(err);
	if (!connection)
		return -1;
	struct qemu_host *qemu = mem_zero(sizeof(*qemu));
	qemu->base.ops = &guest_qemu;
	qemu->connection = connection;
	*host = &qemu->base;
	return 0;
}

static void qemu_close(struct guest_host *host)
{
	struct qemu_host *qemu = (struct qemu_host *)host;
	if (!qemu)
		return;
	if (qemu->connection)
		virConnectClose(qemu->connection);
	free(qemu->known);
	free(qemu);
}

static bool qemu_alive(const struct guest_host *host)
{
	const struct qemu_host *qemu = (const struct qemu_host *)host;
	return qemu->connection && virConnectIsAlive(qemu->connection) == 1;
}

virConnectPtr qemu_connection(struct guest_host *host, struct vmm_error **err)
{
	struct qemu_host *qemu = (struct qemu_host *)host;
	if (qemu_alive(host))
		return qemu->connection;
	if (qemu->connection)
		virConnectClose(qemu->connection);
	qemu->connection = NULL;
	for (int64_t end = clock_steady_ms() + RECONNECT_LIMIT_MS;; clock_sleep_ms(200)) {
		vmm_auto_error struct vmm_error *problem = NULL;
		qemu->connection = connect_now(&problem);
		if (qemu->connection)
			return qemu->connection;
		if (clock_steady_ms() >= end) {
			error_take(err, problem);
			problem = NULL;
			return NULL;
		}
	}
}

void qemu_cleanup_domain(virDomainPtr *domain)
{
	if (*domain)
		virDomainFree(*domain);
	*domain = NULL;
}

/* ------------------------------------------------------------------ errors */

static const struct known {
	int number;
	enum vmm_exit exit;
	const char *code, *hint;
} known[] = {
	{VIR_ERR_NO_DOMAIN, VMM_NOT_FOUND, "no-such-guest", "list them: virsh list --all"},
	{VIR_ERR_DOM_EXIST, VMM_BLOCKED, "name-taken", NULL},
	{VIR_ERR_AUTH_FAILED, VMM_NOT_PERMITTED, "not-permitted", "run it as root"},
	{VIR_ERR_AUTH_CANCELLED, VMM_NOT_PERMITTED, "not-permitted", "run it as root"},
	{VIR_ERR_AUTH_UNAVAILABLE, VMM_NOT_PERMITTED, "not-permitted", "run it as root"},
	{VIR_ERR_ACCESS_DENIED, VMM_NOT_PERMITTED, "not-permitted", "libvirt's access control refuses it"},
	{VIR_ERR_OPERATION_DENIED, VMM_NOT_PERMITTED, "not-permitted", "run it as root"},
	{VIR_ERR_OPERATION_INVALID, VMM_FAILED, "guest-state", NULL},
	{VIR_ERR_OPERATION_TIMEOUT, VMM_BUSY, "guest-job-active",
	 "another job of the guest is running: virsh domjobinfo"},
	{VIR_ERR_RESOURCE_BUSY, VMM_BUSY, "guest-job-active", "wait until it is over, or abort it"},
	{VIR_ERR_BLOCK_COPY_ACTIVE, VMM_BUSY, "guest-job-active", "wait until the block job is over, or abort it"},
	{VIR_ERR_OPERATION_ABORTED, VMM_FAILED, "aborted", NULL},
	{VIR_ERR_MIGRATE_UNSAFE, VMM_BLOCKED, "unsafe-cache",
	 "use shared storage that libvirt knows, and cache='none'; or --unsafe"},
	{VIR_ERR_HOOK_SCRIPT_FAILED, VMM_FAILED, "hook-refused", "a hook in /etc/libvirt/hooks refused it"},
	{VIR_ERR_CPU_INCOMPATIBLE, VMM_BLOCKED, "cpu-incompatible", NULL},
	{VIR_ERR_CONFIG_UNSUPPORTED, VMM_FAILED, "unsupported", NULL},
	{VIR_ERR_OPERATION_UNSUPPORTED, VMM_FAILED, "unsupported", NULL},
	{VIR_ERR_ARGUMENT_UNSUPPORTED, VMM_FAILED, "unsupported", NULL},
	{VIR_ERR_XML_ERROR, VMM_FAILED, "bad-definition", NULL},
	{VIR_ERR_XML_DETAIL, VMM_FAILED, "bad-definition", NULL},
	{VIR_ERR_XML_INVALID_SCHEMA, VMM_FAILED, "bad-definition", NULL},
};

bool qemu_last_is(int number)
{
	const virError *last = virGetLastError();
	return last && last->code == number;
}

char *qemu_one_line(const char *message)
{
	char *line = str_copy(message ? message : "libvirt gives no reason");
	size_t length = strlen(line);
	while (length && isspace((unsigned char)line[length - 1]))
		line[--length] = 0;
	for (char *c = line; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	return line;
}

int qemu_fail(virErrorPtr last, struct vmm_error **err, const char *format, ...)
{
	static const struct known unknown = {0, VMM_FAILED, "libvirt", NULL};
	const struct known *found = &unknown;
	vmm_auto_free char *why = qemu_one_line(last ? last->message : NULL), *what = NULL;
	va_list args;
	for (size_t i = 0; last && i < VMM_COUNT(known); i++)
		if (last->code == known[i].number)
			found = &known[i];
	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		abort();
	va_end(args);
	error_set(err, found->exit, found->code, "%s: %s", what, why);
	if (found->hint)
		error_hint(err, "%s", found->hint);
	virFreeError(last);
	return -1;
}

int qemu_gone_is_fine(struct vmm_error **err, struct vmm_error *problem)
{
	bool gone = error_is(problem, "no-such-guest");
	if (gone)
		error_clear(&problem);
	else
		error_take(err, problem);
	return gone ? 0 : -1;
}

const struct guest_ops guest_qemu = {
	.kind = "qemu",
	.label = "VM",
	.edit = "virsh edit",
	.resume = "virsh resume",
	.open = qemu_open,
	.close = qemu_close,
	.alive = qemu_alive,
	.host_facts = qemu_host_facts,
	.list = qemu_list,
	.facts = qemu_facts,
	.fit = qemu_fit,
	.state = qemu_state,
	.rewrite = definition_rewrite,
	.define = qemu_define,
	.undefine = qemu_undefine,
	.moments = qemu_moments,
	.define_moments = qemu_define_moments,
	.autostart = qemu_autostart,
	.start = qemu_start,
	.release = qemu_release,
	.stop = qemu_stop,
	.destroy = qemu_destroy,
	.migrate = qemu_migrate,
	.migrate_end = qemu_migrate_end,
	.control_socket = "/run/libvirt/libvirt-sock",
	.control_uri = "qemu+unix:///system?socket=%s",
	.migrate_abort = qemu_migrate_abort,
};
