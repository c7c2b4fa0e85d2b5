/* guest: what runs - one kind a file (or a folder), each behind one const ops table, listed in guest.c.
 *
 * A guest is named by its id: the numeric vmid of an administrator ("100"), or the domain's name where it has none.
 * Guest facts (JSON), as `facts` returns them:
 *   "kind" "id" "name" "uuid" "title"
 *   "state"      running | paused | shutoff | crashed | shutdown (being shut down) | io-error (paused by an I/O error)
 *   "persistent" bool   "autostart" bool   "managed_save" bool   "snapshots" count
 *   "job"        null, or what is under way: "migration" "save" "backup" "block job on vda" ...
 *   "memory"     bytes   "vcpus" count   "pinned" highest CPU number a vCPU is pinned to, or -1   "hugepages" bytes each or 0
 *   "arch" "machine"   "cpu": {"mode": custom|host-model|host-passthrough, "model"}
 *   "aside"      kinds without UUIDs: it is not under a name that can be started; such a one alone is ever a leftover of ours
 *   "mounts"     array of {"source","target","optional","fixed"}: directories and devices of the host that a container mounts;
 *                "fixed": rewrite cannot name another source
 *   "snapshots_remedy" what to do about them, where libvirt's words do not fit
 *   "definition" the persistent definition, whole, as text
 *   "live_definition" the running guest's, as text, or null (what the target's hypervisor is asked about)
 *   "volumes"    array of volumes (storage.h), each with "device" (disk|cdrom|floppy|nvram|tpm), "readonly", "shareable",
 *                "cache", "bus", "open" (writable and in use), and "in": where a running guest's two definitions name it:
 *                both | live (hot-plugged: gone after a shutdown) | definition (there after a restart only) | differs (both,
 *                with another source each; this is the live one). An inactive guest's are all "both". "type_fixed": the
 *                definition cannot name it as a file where it is a device, or the other way round.
 *   "networks"   array of {"type": bridge|network|…, "name", "mac"}
 *   "devices"    array of {"class": pci|usb|mdev|filesystem|serial|parallel|…, "name"} that are tied to the host
 */
#ifndef VMM_GUEST_H
#define VMM_GUEST_H

#include "base/base.h"

/* A connection to what runs guests of one kind on this node. Each kind embeds it first in its own struct. */
struct guest_host {
	const struct guest_ops *ops;
};

/* What a kind needs to know of its surroundings; strings are borrowed for the life of the host. */
struct guest_env {
	const char *node;      /* our own name */
	const char *null_root; /* guest/null.c: the directory that plays the machine */
};

struct guest_progress {
	uint64_t done, total; /* bytes of memory */
	uint64_t rate;	      /* bytes a second */
	uint64_t dirty_rate;  /* bytes a second */
	int iteration;
	int64_t downtime_ms; /* expected, -1 where unknown */
};
/* Returns false to ask for cancellation. */
typedef bool guest_progress_fn(void *context, const struct guest_progress *progress);

/* What a finished migration of memory says of itself. */
struct guest_statistics {
	int64_t stopped_ms;	       /* when the guest was stopped here, clock_steady_ms; 0 where unknown */
	int64_t downtime_ms, total_ms; /* -1 where unknown */
	uint64_t memory;	       /* bytes that crossed */
	int iterations;
};

/* Stays valid up to migrate_end. */
struct guest_migration {
	const char *id;
	const char *peer; /* the target node's name */
	bool paused;	  /* the guest stands while its memory moves (--non-live) */
	/* What the source's hypervisor connects to: qemu+unix:///system?socket=S, qemu+tcp://… */
	const char *target_uri;
	const char *data_uri;	 /* where memory goes: unix:///S2, tcp://192.0.2.7:49152 */
	const char *definition;	 /* what the target shall define, persistent; NULL: as it is */
	uint64_t rate_limit;	 /* bytes a second, 0: none */
	int64_t max_downtime_ms; /* 0: the kind's own default */
	bool suspend_on_stall;	 /* --on-stall=suspend; else abort with error "does-not-converge" */
	bool unsafe;		 /* --unsafe */
	guest_progress_fn *progress;
	void *context;
	struct guest_statistics *statistics; /* filled where the migration succeeded; may be NULL */
};

struct guest_ops {
	const char *kind;  /* "qemu", "lxc", "null" */
	const char *label; /* for people: "VM", "container" */
	/* What an administrator types to change a definition and to let a paused guest go on: "virsh edit", "virsh resume". */
	const char *edit, *resume;

	/* Connects. Error "target-libvirt-down" (or the kind's like), VMM_BLOCKED. *host is closed with close. */
	int (*open)(const struct guest_env *env, struct guest_host **host, struct vmm_error **err);
	void (*close)(struct guest_host *host);
	/* False where what it was connected to is gone, so that it has to be opened anew. NULL: it is never gone. */
	bool (*alive)(const struct guest_host *host);

	/* The hypervisor: {"up":true,"version":n,"libvirt":n,"machines":[..],"cpu":{..},"guard":"active"|"missing"|
	 * "not-executable"|"not-loaded","pools":[{name,type,path,active}],"networks":[{"name","active"}],"uids":{..}}. */
	int (*host_facts)(struct guest_host *host, struct json_object **facts, struct vmm_error **err);
	/* Array of short guest facts: kind id name uuid title state memory vcpus autostart macs:[..] volumes:[paths or sources]. */
	int (*list)(struct guest_host *host, struct json_object **guests, struct vmm_error **err);
	/* All facts of one. `who` is an id, a name or a UUID. Error "no-such-guest" (VMM_NOT_FOUND); "ambiguous" (VMM_USAGE)
	 * where two guests answer to it, naming both. */
	int (*facts)(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err);
	/* Asked on the target: can it run this guest? `guest` are the source's facts. Sets {"machine":bool,"cpu":"ok"|
	 * "incompatible"|"unknown","cpu_missing":["avx2",..],"definition":null|"what the hypervisor objects to",
	 * "mounts_missing":[sources],"idmap":null|"why not","features":["what is missing",..]}. */
	int (*fit)(struct guest_host *host, struct json_object *guest, struct json_object **fit,
		   struct vmm_error **err);

	/* {"state","reason","complete" (bool: its memory is whole, so it may be let go), "job" (of the guest, not of a disk), "uuid",
	 * "persistent"}; a guest that is not there at all has the state "absent" - that is no error. */
	int (*state)(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err);

	/* The definition as the target shall have it: `changes` is an array of {"target","path","kind"} that replace sources
	 * of volumes ("kind": of the storage; absent: told by the path), {"mount","path"} sources of mounts, {"network","path"}
	 * bridges. */
	int (*rewrite)(const char *definition, struct json_object *changes, char **rewritten, struct vmm_error **err);
	/* Persistent definition; metadata, title and so on travel in it. Error "name-taken" where another guest is in the way. */
	int (*define)(struct guest_host *host, const char *definition, struct vmm_error **err);
	/* Removes the definition; volumes, NVRAM and TPM state stay. No error where it is gone already. */
	int (*undefine)(struct guest_host *host, const char *id, struct vmm_error **err);
	/* Whose the guest is, for kinds whose guard is not the record: called with false where it is about to leave this node, with
	 * true where the record says that it is this node's, or goes on being. May be called again. NULL: the record is enough. */
	int (*own)(struct guest_host *host, const char *id, bool own, struct vmm_error **err);
	int (*autostart)(struct guest_host *host, const char *id, bool on, struct vmm_error **err);

	/* Starts it: held = set up, but not one instruction run until `release`. */
	int (*start)(struct guest_host *host, const char *id, bool held, struct vmm_error **err);
	int (*release)(struct guest_host *host, const char *id, struct vmm_error **err);
	/* Orderly shutdown; returns when it is off. Error "shutdown-timeout" after limit_ms: the guest still runs. With force it is
	 * killed then. `cancelled` may be NULL. */
	int (*stop)(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
		    void *context, struct vmm_error **err);
	/* Ends it at once. No error where it does not run. */
	int (*destroy)(struct guest_host *host, const char *id, struct vmm_error **err);

	/* Moves the memory (NULL: the kind cannot). The target's guest is left paused (never let go by us here), persistent. Returns 0
	 * as soon as the guest's process on this node is gone, so that it cannot run here any more, though the hypervisor may still
	 * be at work: whether the memory has arrived is the target's to say. Afterwards, whatever came of it, migrate_end is called. */
	int (*migrate)(struct guest_host *host, const struct guest_migration *migration, struct vmm_error **err);
	/* Waits until the hypervisor is done with what migrate began (the source's guest is shut off then where it succeeded), fills in
	 * `statistics`, and says what the hypervisor says. Its word is a hint only: both nodes are asked. NULL: migrate has waited. */
	int (*migrate_end)(struct guest_host *host, struct vmm_error **err);
	/* Path of the socket on the target through which the source's hypervisor speaks to the target's, and the URI for a socket
	 * that stands in for it here ("...socket=%s"); NULL: nothing needs to be carried. */
	const char *control_socket, *control_uri;
	/* Aborts a migration job that runs without us (after the worker's death); waits until it is over. */
	int (*migrate_abort)(struct guest_host *host, const char *id, struct vmm_error **err);
};

extern const struct guest_ops guest_qemu, guest_lxc, guest_null;

/* All kinds, NULL at the end. */
enum { GUEST_KINDS_MOST = 3 };
extern const struct guest_ops *const guest_kinds[];
/* By name, or NULL. */
const struct guest_ops *guest_kind(const char *kind);

#endif
