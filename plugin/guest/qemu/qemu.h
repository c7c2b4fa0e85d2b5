/* qemu: virtual machines of libvirt's QEMU driver. All of libvirt and libxml2 is in this folder; the files of the
 * folder know one another by this header.
 *
 * First what works on text and figures alone and calls no libvirt: xml.c, volumes.c, needs.c, definition.c,
 * rewrite.c, tuning.c. Then what asks libvirt: qemu.c (connection, errors, the table of the kind), find.c, state.c,
 * pools.c, secrets.c, facts.c, host.c, guard.c, fit.c. Then what changes guests: define.c, moments.c, power.c,
 * events.c, migrate.c. This is the reading order. */
#ifndef VMM_QEMU_H
#define VMM_QEMU_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <libxml/tree.h>

#include "guest/guest.h"

/* ------------------------------------------------------------------ xml.c: the few things that we need of libxml2 */

#define vmm_auto_xml __attribute__((cleanup(xml_close)))

/* Parses `text`, whose outermost element must be `root`. Loads nothing from elsewhere; a document type, and with it
 * entities, is refused. Error "bad-definition". */
int xml_open(const char *text, const char *root, xmlDoc **document, struct vmm_error **err);
void xml_close(xmlDoc **document);

/* The first element below `node` by a path of names ("os/nvram"), or NULL; `node` may be NULL. */
xmlNode *xml_below(xmlNode *node, const char *path);
/* The next sibling element of the same name, or NULL. */
xmlNode *xml_next(xmlNode *node);
/* Walks the child elements of that name. */
#define xml_each(child, node, name) for (xmlNode *child = xml_below(node, name); child; child = xml_next(child))

/* True where the node is an element of that name. */
bool xml_is(const xmlNode *node, const char *name);
/* The value of an attribute, or the text in an element; NULL where there is none. Belongs to the caller. */
char *xml_attribute(xmlNode *node, const char *name) VMM_MUST_USE;
char *xml_text(xmlNode *node) VMM_MUST_USE;
bool xml_attribute_is(xmlNode *node, const char *name, const char *value);

void xml_set(xmlNode *node, const char *name, const char *value);
void xml_unset(xmlNode *node, const char *name);
void xml_set_text(xmlNode *node, const char *text);
/* Removes the element and the white space before it. */
void xml_remove(xmlNode *node);

/* An element with all that is in it, as UTF-8 text without an XML declaration. Belongs to the caller. */
char *xml_print(xmlNode *node) VMM_MUST_USE;

/* ------------------------------------------------------------------ volumes.c */

/* All volumes of a <domain> as an array (storage.h, guest.h), the caller's; without "open" and "in", which one
 * definition alone does not tell. */
struct json_object *definition_volumes(xmlNode *domain);
/* The attribute of <source> that names the path of a disk or NVRAM of this type ("file", "block", "dir"); NULL: this
 * type has no path. */
const char *definition_path_attribute(const char *type);
/* The directory in which libvirt keeps the state of the domain's emulated TPM, and nothing else; NULL where it has
 * none. Belongs to the caller. */
char *definition_tpm_path(xmlNode *domain) VMM_MUST_USE;

/* ------------------------------------------------------------------ needs.c */

/* The guest facts "needs" and "arguments" (guest.h), without "in", which one definition alone does not tell.
 * `tied_devices`: the guest fact "devices". Arrays, the caller's. */
struct json_object *definition_needs(xmlNode *domain, struct json_object *tied_devices);
struct json_object *definition_arguments(xmlNode *domain);

/* ------------------------------------------------------------------ definition.c, rewrite.c */

/* A number with one of libvirt's units, in bytes; without a unit it is KiB. */
int64_t definition_bytes(const char *number, const char *unit);
/* The highest number in a set like "0-3,^2,7", or -1; '^' excludes a number, so that one does not count. */
int definition_highest(const char *set);

/* The namespace of our element in a domain's <metadata>: <guest xmlns="..." id="100"/>. */
#define DEFINITION_NAMESPACE "https://vmmigrate.org/xmlns/1"

/* What a domain's XML alone says, as JSON: the guest facts (guest.h) "id" "name" "uuid" "title" "memory" "vcpus"
 * "pinned" "hugepages" (-1: of the node's default size) "arch" "machine" "cpu" "volumes" "networks" "devices" "needs"
 * "arguments", and "virt" (kvm|qemu), "emulator". A disk that is a volume of a libvirt pool has "type":"volume",
 * "pool", "volume" and no path. Empty drives are left out. Error "bad-definition" where it is not a domain's XML. */
int definition_facts(const char *definition, struct json_object **facts, struct vmm_error **err);
/* The <cpu> element as text, or NULL where there is none. Belongs to the caller. */
int definition_cpu(const char *definition, char **cpu, struct vmm_error **err);

/* guest_ops->rewrite. Errors: "bad-definition"; "no-such-volume" for a target that the definition does not have;
 * "volume-fixed" for a volume whose path cannot be chosen (a network disk, TPM state); "bad-path". */
int definition_rewrite(const char *definition, struct json_object *changes, char **rewritten, struct vmm_error **err);

/* Rewrites a definition of an earlier time, such as a snapshot's: only volumes that had the path then that they have
 * now
 * ("from" of the change) are changed. */
int definition_follow(xmlNode *domain, struct json_object *changes, struct vmm_error **err);

/* ------------------------------------------------------------------ tuning.c
 *
 * How a live migration is tuned while it runs: figures in, a decision out.
 *
 * Convergence. QEMU sends all memory, then again and again what the guest has written since; each time is an iteration.
 * As soon as what is left would cross within the downtime that we allow, QEMU stops the guest and sends it. That
 * downtime begins low, and is raised as iterations go by. */

struct converge {
	int64_t max_downtime_ms;
	int64_t downtime_ms;	 /* allowed now */
	int iteration;		 /* the last one seen */
	uint64_t least;		 /* bytes that were left in the best iteration since the downtime is at its maximum */
	int stalled_iterations;	 /* iterations since that one */
	int64_t last_gain_ms;	 /* when that one was */
	uint64_t processed;	 /* bytes that had crossed at the last look */
	int64_t last_crossed_ms; /* when `processed` changed last */
};

/* What QEMU says of itself at one moment. */
struct converge_sample {
	int64_t now_ms;		       /* clock_steady_ms */
	int iteration;		       /* 0: not begun */
	uint64_t processed, remaining; /* bytes */
	uint64_t rate, dirty_rate;     /* bytes a second */
};

enum converge_advice {
	CONVERGE_WAIT,
	CONVERGE_RAISE_DOWNTIME, /* `downtime_ms` has been raised: tell QEMU */
	CONVERGE_STALLED,   /* the guest writes faster than the link carries, at the highest downtime and after all the
			     * time that auto-converge needs */
	CONVERGE_LINK_LOST, /* nothing has crossed for 150 s */
};

/* max_downtime_ms 0: 500. */
void converge_begin(struct converge *state, int64_t max_downtime_ms, int64_t now_ms);
enum converge_advice converge_look(struct converge *state, const struct converge_sample *sample);

/* Bandwidth. libvirt takes whole MiB a second only, so a limit between two of them is kept by telling it now the
 * lower, now the higher one. */
struct bandwidth {
	uint64_t limit;	     /* bytes a second; 0: none. Less than 1 MiB counts as 1 MiB. */
	uint64_t from_bytes; /* bytes that had crossed when counting began */
	int64_t from_ms;     /* when counting began; 0: not yet */
};

/* MiB a second to begin with; 0: no limit. */
unsigned long bandwidth_first(const struct bandwidth *bandwidth);
/* MiB a second from now on, when `bytes` have crossed. What a link that was slower than the limit has
 * left unused is made up for up to one second's bytes, and no more. */
unsigned long bandwidth_next(struct bandwidth *bandwidth, uint64_t bytes, int64_t now_ms);

/* ------------------------------------------------------------------ qemu.c */

struct qemu_migration;

struct qemu_host {
	struct guest_host base;
	virConnectPtr connection;
	struct qemu_migration *migration; /* from migrate to migrate_end (migrate.c) */
	/* Who was looked for last, and the UUID of the domain that was found (find.c). */
	char *known, known_uuid[VIR_UUID_STRING_BUFLEN];
};

/* The host's connection, made again where libvirtd has been restarted meanwhile (waits up to 100 s for it). Borrowed;
 * NULL with *err set. */
virConnectPtr qemu_connection(struct guest_host *host, struct vmm_error **err);

/* Sets *err from libvirt's last error of this thread, prefixed with what was tried: "start VM %s". Returns -1. The
 * error is saved before the arguments are evaluated, since even virDomainGetName() makes libvirt forget it. */
#define qemu_failed(err, ...)                                                                                          \
	({                                                                                                             \
		virErrorPtr qemu_last_ = virSaveLastError();                                                           \
		qemu_fail(qemu_last_, err, __VA_ARGS__);                                                               \
	})
/* Frees `last`. */
int qemu_fail(virErrorPtr last, struct vmm_error **err, const char *format, ...) VMM_PRINTF(3, 4);
/* True where the last error of this thread has this number. */
bool qemu_last_is(int number);
/* A message of libvirt in one line: a hook's or QEMU's may have line ends in it. Belongs to the caller. */
char *qemu_one_line(const char *message) VMM_MUST_USE;
/* Frees `problem` and returns 0 where it is "no-such-guest"; else moves it into *err and returns -1. */
int qemu_gone_is_fine(struct vmm_error **err, struct vmm_error *problem);

#define vmm_auto_domain __attribute__((cleanup(qemu_cleanup_domain)))
void qemu_cleanup_domain(virDomainPtr *domain);

/* ------------------------------------------------------------------ find.c */

/* The domain that answers to an id, a name or a UUID. Errors "no-such-guest", "ambiguous" (names both). */
int qemu_find(struct guest_host *host, const char *who, virDomainPtr *domain, struct vmm_error **err);

/* All domains, NULL at the end; qemu_cleanup_domains frees them. */
int qemu_domains(struct guest_host *host, virDomainPtr **domains, struct vmm_error **err);
#define vmm_auto_domains __attribute__((cleanup(qemu_cleanup_domains)))
void qemu_cleanup_domains(virDomainPtr **domains);

/* ------------------------------------------------------------------ state.c */

struct qemu_state {
	int state, reason; /* libvirt's numbers */
	const char *name;  /* the state in guest.h's terms */
	const char *why;   /* the reason: "user", "migration", "migrated" ... */
};
int qemu_state_of(virDomainPtr domain, struct qemu_state *state, struct vmm_error **err);
/* The job of a domain that is not off ("migration", "backup" ...), or NULL; belongs to the caller. */
int qemu_domain_job(virDomainPtr domain, char **job, struct vmm_error **err);
/* The same of a domain that may be off; where it has none, the job of one of its disks ("block job on vda"). */
int qemu_job_of(virDomainPtr domain, char **job, struct vmm_error **err);

int qemu_state(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err);

/* ------------------------------------------------------------------ facts.c, host.c, guard.c, fit.c */

int qemu_list(struct guest_host *host, struct json_object **guests, struct vmm_error **err);
int qemu_facts(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err);
/* The whole persistent definition; of a transient domain the one that it runs with. Belongs to the caller. */
int qemu_definition(virDomainPtr domain, char **definition, struct vmm_error **err);

int qemu_host_facts(struct guest_host *host, struct json_object **facts, struct vmm_error **err);
/* The machine types that QEMU has here for guests of that architecture: an array of names, the caller's. */
int qemu_machines(virConnectPtr connection, const char *arch, struct json_object **machines, struct vmm_error **err);
/* Whether libvirtd runs our guard: "active" | "missing" | "not-executable" | "not-loaded". */
const char *qemu_guard_status(void);

int qemu_fit(struct guest_host *host, struct json_object *guest, struct json_object **fit, struct vmm_error **err);

/* ------------------------------------------------------------------ secrets.c */

/* The libvirt secrets that the domain names: an array of {"of": a volume's target, "uuid" or "type" and "usage"}, the
 * caller's. */
struct json_object *definition_secrets(xmlNode *domain);
/* Those among the guest's "secrets" that this node's libvirt does not have, each with "why"; the caller's. */
struct json_object *qemu_secrets_missing(virConnectPtr connection, struct json_object *guest);

/* ------------------------------------------------------------------ pools.c
 *
 * Disks that a definition names by a pool and a volume in it (<disk type='volume'>). */

/* Turns those among the volumes of the facts into files, devices or network disks, as far as their pools know them. */
void qemu_pools_resolve(virConnectPtr connection, struct json_object *facts);
/* Has their pools read again that do not know them: libvirt cannot start the guest otherwise. */
void qemu_pools_refresh(virConnectPtr connection, struct json_object *facts);
/* The definition in which a disk that no pool here knows yet is a file of the path that it has on the source, so that
 * the rest of it can be tried; *changed is NULL if there is no such disk. The caller's. */
int qemu_pools_to_files(virConnectPtr connection, struct json_object *guest, const char *definition, char **changed,
			struct vmm_error **err);

/* ------------------------------------------------------------------ define.c, moments.c, power.c */

int qemu_define(struct guest_host *host, const char *definition, struct vmm_error **err);
int qemu_undefine(struct guest_host *host, const char *id, struct vmm_error **err);
int qemu_autostart(struct guest_host *host, const char *id, bool on, struct vmm_error **err);

int qemu_moments(struct guest_host *host, const char *id, struct json_object **moments, struct vmm_error **err);
/* The same of a domain that has been found. */
int qemu_moments_of(virDomainPtr domain, struct json_object **moments, struct vmm_error **err);
/* The record of one of these for the target. `changes`: definition_follow. Calls no libvirt. */
int moment_rewrite(struct json_object *moment, struct json_object *changes, char **rewritten, struct vmm_error **err);
int qemu_define_moments(struct guest_host *host, const char *id, struct json_object *moments,
			struct json_object *changes, struct vmm_error **err);

int qemu_start(struct guest_host *host, const char *id, bool held, struct vmm_error **err);
int qemu_release(struct guest_host *host, const char *id, struct vmm_error **err);
int qemu_stop(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
	      void *context, struct vmm_error **err);
int qemu_destroy(struct guest_host *host, const char *id, struct vmm_error **err);

/* ------------------------------------------------------------------ events.c */

/* Listens to libvirt's events of a guest: it stops, it reboots. Where libvirt sends no events nothing is heard. Ended
 * by qemu_events_end. */
struct qemu_events;
struct qemu_events *qemu_events_watch(virDomainPtr domain);
/* Since when the guest's CPUs are stopped, clock_steady_ms; 0: they run, as far as was heard. */
int64_t qemu_events_stopped(const struct qemu_events *events);
bool qemu_events_rebooted(const struct qemu_events *events);
void qemu_events_end(struct qemu_events *events);

/* A pidfd of a running domain's QEMU: poll finds it readable when that process has ended. Belongs to the caller. -1
 * where it is not certain which process that is; the caller then waits for what libvirt says. */
int qemu_process(virDomainPtr domain);

/* ------------------------------------------------------------------ migrate.c */

int qemu_migrate(struct guest_host *host, const struct guest_migration *order, struct vmm_error **err);
int qemu_migrate_end(struct guest_host *host, struct vmm_error **err);
int qemu_migrate_abort(struct guest_host *host, const char *id, struct vmm_error **err);

#endif
