/* qemu: the parts of the libvirt/QEMU kind to one another. All of libvirt is in this folder. */
#ifndef VMM_QEMU_H
#define VMM_QEMU_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "guest/guest.h"

struct qemu_moving;

struct qemu_host {
	struct guest_host base;
	virConnectPtr connection;
	struct qemu_moving *moving; /* from migrate to migrate_end (migrate.c) */
	/* Who was looked for last, and which domain that was (find.c). */
	char *known, known_uuid[VIR_UUID_STRING_BUFLEN];
};

/* ------------------------------------------------------------------ connect.c */

int qemu_open(const struct guest_env *env, struct guest_host **host, struct vmm_error **err);
void qemu_close(struct guest_host *host);
bool qemu_alive(const struct guest_host *host);

/* The host's connection, made again where libvirtd has been restarted since (waits up to 100 s for it). Borrowed; NULL
 * with *err set. */
virConnectPtr qemu_connection(struct guest_host *host, struct vmm_error **err);

/* Sets *err from libvirt's last error of this thread, prefixed with what was tried: "start VM %s". Returns -1. The
 * error is taken before the words are made, since even virDomainGetName() makes libvirt forget it. */
#define qemu_failed(err, ...)                                                                                          \
	({                                                                                                             \
		virErrorPtr qemu_last_ = virSaveLastError();                                                           \
		qemu_fail(qemu_last_, err, __VA_ARGS__);                                                               \
	})
/* Frees `last`. */
int qemu_fail(virErrorPtr last, struct vmm_error **err, const char *format, ...) VMM_PRINTF(3, 4);
/* libvirt's words without the line ends that a hook's or QEMU's may have; the caller frees. */
char *qemu_one_line(const char *words) VMM_MUST_USE;
/* Frees `problem` and returns 0 where it says "no-such-guest"; else moves it into *err and returns -1. */
int qemu_gone_is_fine(struct vmm_error **err, struct vmm_error *problem);
/* The last error of this thread has this number. */
bool qemu_last_is(int number);

#define vmm_auto_domain __attribute__((cleanup(qemu_cleanup_domain)))
void qemu_cleanup_domain(virDomainPtr *domain);

/* ------------------------------------------------------------------ find.c */

/* The domain that answers to an id, a name or a UUID. Errors "no-such-guest", "ambiguous" (names both). */
int qemu_find(struct guest_host *host, const char *who, virDomainPtr *domain, struct vmm_error **err);

/* All domains, NULL at the end; each is freed by qemu_cleanup_domains. */
int qemu_domains(struct guest_host *host, virDomainPtr **domains, struct vmm_error **err);
#define vmm_auto_domains __attribute__((cleanup(qemu_cleanup_domains)))
void qemu_cleanup_domains(virDomainPtr **domains);

/* ------------------------------------------------------------------ state.c */

struct qemu_state {
	int state, reason; /* libvirt's */
	const char *name;  /* guest.h's word */
	const char *why;   /* the reason in a word: "user", "migration", "migrated" … */
};
int qemu_state_of(virDomainPtr domain, struct qemu_state *state, struct vmm_error **err);
/* The job of a domain that is not off ("migration", "backup" ...), or NULL; the caller frees. */
int qemu_domain_job(virDomainPtr domain, char **job, struct vmm_error **err);
/* The same of any domain, or a job of one of its disks. */
int qemu_job_of(virDomainPtr domain, char **job, struct vmm_error **err);

int qemu_state(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err);

/* ------------------------------------------------------------------ facts.c, host.c, guard.c, fit.c */

int qemu_list(struct guest_host *host, struct json_object **guests, struct vmm_error **err);
int qemu_facts(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err);
/* The persistent definition, whole; what a transient domain has for one. */
int qemu_definition(virDomainPtr domain, char **definition, struct vmm_error **err);

int qemu_host_facts(struct guest_host *host, struct json_object **facts, struct vmm_error **err);
/* Machine types that QEMU offers here for guests of that architecture. */
int qemu_machines(virConnectPtr connection, const char *arch, struct json_object **machines, struct vmm_error **err);
/* "active" | "missing" | "not-executable" | "not-loaded" */
const char *qemu_guard_status(void);

int qemu_fit(struct guest_host *host, struct json_object *guest, struct json_object **fit, struct vmm_error **err);

/* ------------------------------------------------------------------ define.c, power.c */

int qemu_define(struct guest_host *host, const char *definition, struct vmm_error **err);
int qemu_undefine(struct guest_host *host, const char *id, struct vmm_error **err);
int qemu_autostart(struct guest_host *host, const char *id, bool on, struct vmm_error **err);

int qemu_start(struct guest_host *host, const char *id, bool held, struct vmm_error **err);
int qemu_release(struct guest_host *host, const char *id, struct vmm_error **err);
int qemu_stop(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
	      void *context, struct vmm_error **err);
int qemu_destroy(struct guest_host *host, const char *id, struct vmm_error **err);

/* ------------------------------------------------------------------ process.c */

/* A descriptor that poll finds readable when the QEMU process of a running domain has ended; the caller's. -1 where it is not
 * certain which process that is: then libvirt's word has to be waited for. */
int qemu_process(virDomainPtr domain);

/* ------------------------------------------------------------------ events.c */

/* Listens to what becomes of a guest. Where libvirt sends no events nothing is heard. */
struct qemu_events;
struct qemu_events *qemu_events_watch(virDomainPtr domain);
/* Since when it stands, clock_steady_ms, or 0 where it does not. */
int64_t qemu_events_stopped(const struct qemu_events *events);
bool qemu_events_rebooted(const struct qemu_events *events);
void qemu_events_end(struct qemu_events *events);

/* ------------------------------------------------------------------ migrate.c */

int qemu_migrate(struct guest_host *host, const struct guest_migration *migration, struct vmm_error **err);
int qemu_migrate_end(struct guest_host *host, struct vmm_error **err);
int qemu_migrate_abort(struct guest_host *host, const char *id, struct vmm_error **err);

#endif
