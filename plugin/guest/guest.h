/* guest: what runs on a node. Each kind of guest is a file or a folder behind one const ops table, listed in guest.c.
 *
 * A guest is named by its id: the numeric vmid that an administrator gave it ("100"), or its name where it has none.
 *
 * Guest facts (JSON), as `facts` returns them:
 *   "kind" "id" "name" "uuid" "title"
 *   "state"      running | paused | shutoff | crashed | shutdown (shutting down) | io-error (paused by an I/O error)
 *   "persistent" bool   "autostart" bool   "managed_save" bool
 *   "moments"    array of the guest's snapshots and checkpoints, parents before children; see `moments` below. Absent
 *                where there are none
 *   "snapshots"  count of snapshots that this kind cannot carry
 *   "job"        null, or what is under way: "migration" "save" "backup" "block job on vda" ...
 *   "memory"     bytes   "vcpus" count   "pinned" highest CPU number that a vCPU is pinned to, or -1
 *   "hugepages"  bytes of one huge page, 0 where the guest uses none
 *   "arch" "machine"   "cpu": {"mode": custom|host-model|host-passthrough, "model", "check"}
 *   "definition" the whole persistent definition, as text
 *   "live_definition" the running guest's, or null; the target's hypervisor is asked about this one
 *   "volumes"    array of volumes (storage.h), each with
 *                "device": disk | cdrom | floppy | nvram | tpm   "readonly" "shareable"   "cache" "bus"
 *                "open": the guest runs and may write to it
 *                "in": which of a running guest's two definitions name it: both | live (hot-plugged, gone after a
 *                shutdown) | definition (there after the next start) | differs (each names another source; this is the
 *                running guest's). The volumes of a guest that is off are all "both".
 *                "made_at_start": if there is no file of its path, the hypervisor makes it at the next start
 *                "type_fixed": the definition cannot turn a file into a device here, or a device into a file
 *                "used_by": ids of the node's other guests that need its file, as a disk or below one (node/users.c)
 *                "alias": the same file under another path, as a disk: array of {"guest" id, "path", "target": of
 *                the guest's own volumes} (node/users.c)
 *                "home": of a container, where the volume is in its own directory: that directory
 *   "on_poweroff" of a VM: what its hypervisor does when it is shut down: destroy | restart ...
 *   "networks"   array of {"type": bridge|network|..., "name", "mac", "dev": a fixed name of its interface on the host,
 *                or null, "mtu": its own, 0 where it has none, "included": of containers: a file that the config
 *                includes sets its name, which `rewrite` cannot change}
 *   "devices"    array of {"class": pci|usb|mdev|filesystem|serial|parallel|..., "name" ("?": it has none), "optional":
 *                it starts without} that are tied to the host
 *   "needs"      array of {"kind","name","for"}: what it names on its host, without which it is not started; "for" says
 *                to people what it serves. Kinds and names:
 *                  file directory device socket pipe parent   a path; "parent": a file is made there, so its directory
 *                                                             has to be there. "size": bytes that a file must have;
 *                                                             "same": of what the guest reads: "content" or "size" has
 *                                                             to be the same on both nodes
 *                  program      in PATH
 *                  link         an interface of the host
 *                  address      on which something listens: an address or a host name
 *                  tcp udp      likewise, with a port: "192.0.2.1:5900", "[::1]:5900"
 *                  pci usb mdev scsi   a device, as in "devices"
 *                  numa         number of a NUMA node
 *                  nwfilter network    of libvirt
 *   "arguments"  array of {"name": an argument that the definition passes to the hypervisor as it is}
 *                Of a running guest the things of these four arrays have "in", as volumes have.
 *   "next"       of a running guest: {"memory","vcpus","pinned","hugepages","arch","machine","cpu"} of its persistent
 *                definition, with which it starts the next time
 *   "secrets"    array of {"of","uuid","type","usage"}: secrets of the hypervisor that volumes need (VMs only)
 * Of containers only:
 *   "directory"  of its definition   "directory_proof" is it the same one on the target (plan.h)?
 *   "aside"      its config has the inactive name (lxc.h). Only such a guest is ever taken for a leftover of ours.
 *   "mounts"     array of {"source","target","optional","fixed"}: directories and devices of the host that it mounts;
 *                "fixed": in an fstab, or a file that the config includes, which `rewrite` cannot change
 *   "snapshots_remedy" what to do about its snapshots
 *   "idmap"      lines lxc.idmap
 *   "left"       names of files in its directory that cannot be carried in its definition
 *   "logs"       names of logs in its directory, which stay there
 *   "apparmor"   name of its profile, or null   "cgroup1" bool: it has limits of cgroup version 1
 */
#ifndef VMM_GUEST_H
#define VMM_GUEST_H

#include "base/base.h"

/* A connection to what runs guests of one kind on this node. Each kind's own struct begins with it. */
struct guest_host {
	const struct guest_ops *ops;
};

/* What a kind has to know of the node. The caller keeps the strings as long as the host is open. */
struct guest_env {
	const char *node;      /* this node's name */
	const char *null_root; /* guest/null.c: the directory that plays the machine; NULL on a real node */
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
	int64_t stopped_ms;	       /* when the source stopped the guest, clock_steady_ms; 0 where unknown */
	int64_t downtime_ms, total_ms; /* -1 where unknown */
	uint64_t memory;	       /* bytes that crossed */
	int iterations;
};

/* What `migrate` is asked to do. The caller keeps it and its strings until migrate_end has returned. */
struct guest_migration {
	const char *id;
	const char *peer; /* the target node's name */
	bool paused;	  /* the guest is stopped while its memory moves (--non-live) */
	/* What the source's hypervisor connects to: qemu+unix:///system?socket=S, qemu+tcp://... */
	const char *target_uri;
	const char *data_uri;	 /* where memory goes: unix:///S2, tcp://192.0.2.7 */
	const char *listen;	 /* the target's address that memory is received on; NULL: the hypervisor decides */
	const char *definition;	 /* the persistent definition for the target; NULL: the source's */
	uint64_t rate_limit;	 /* bytes a second, 0: none */
	int64_t max_downtime_ms; /* 0: the kind's own default */
	/* --on-stall=suspend: a guest that does not converge is paused, and its memory goes on crossing. Else `migrate`
	 * fails with "does-not-converge". */
	bool suspend_on_stall;
	/* The hypervisor is not to test whether the storage is shared and caches are safe: the checks have. */
	bool unsafe;
	guest_progress_fn *progress; /* called a few times a second; may be NULL */
	void *context;
	struct guest_statistics *statistics; /* filled in where the migration succeeded; may be NULL */
};

/* Operations return 0, or -1 with *err set. What they return through a pointer belongs to the caller. */
struct guest_ops {
	const char *kind;  /* "qemu", "lxc", "null" */
	const char *label; /* for people: "VM", "container" */
	/* For hints: what an administrator uses to change a definition, and to resume a paused guest: "virsh edit",
	 * "virsh resume". */
	const char *edit, *resume;

	/* Connects to the hypervisor. Called on the first question about guests of this kind; the connection is kept
	 * for further ones. Error "target-libvirt-down" (or the kind's equivalent) with VMM_BLOCKED. */
	int (*open)(const struct guest_env *env, struct guest_host **host, struct vmm_error **err);
	/* Ends the connection and frees the host. */
	void (*close)(struct guest_host *host);
	/* Asked before a kept connection is used again. False: it is broken, so the caller closes it and opens another.
	 * NULL: it never breaks. */
	bool (*alive)(const struct guest_host *host);

	/* What the hypervisor of this node offers, on both nodes before a migration is planned: {"up":true,"version":n,
	 * "libvirt":n,"machines":[..],"cpu":{..},"uuid": of the host,
	 * "guard":"active"|"missing"|"not-executable"|"not-loaded",
	 * "pools":[{name,type,path,active}],"networks":[{"name","active","bridge"}],"nwfilters":[names],"uids":{..}}.
	 */
	int (*host_facts)(struct guest_host *host, struct json_object **facts, struct vmm_error **err);
	/* All guests of this kind, as an array of short facts: kind id name uuid title state memory vcpus autostart
	 * macs:[..] volumes:[paths or sources]
	 * reads:[{path,format}: all files that it needs, those that it only reads too]. Called on both nodes, to list
	 * guests and to find those in the way. */
	int (*list)(struct guest_host *host, struct json_object **guests, struct vmm_error **err);
	/* All facts of one guest. `who` is an id, a name or a UUID. Called on the source for the plan, and again
	 * before the stop and the commit, to see whether somebody has changed the definition; on the target where a
	 * guest is in the way. Error "no-such-guest" (VMM_NOT_FOUND); "ambiguous" (VMM_USAGE) where two guests answer
	 * to `who`, naming both. */
	int (*facts)(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err);
	/* Asked on the target, for the plan: can this node run the guest? `guest` are the facts from the source.
	 * Changes nothing. Sets {"machine":bool,"cpu":"ok"|"incompatible"|"unknown","cpu_missing":["avx2",..],
	 * "secrets_missing": [those of the guest's secrets that are not here, each with "why"],
	 * "definition":null|"the hypervisor's objection",
	 * "next": {"machine","cpu","cpu_missing","definition"} of the persistent definition of a guest that runs,
	 * "mounts_missing":[sources],"idmap":null|"why it cannot be used", "features":["what is missing",..],
	 * "directory": where a container of that name would have its definition, if that directory is there}. */
	int (*fit)(struct guest_host *host, struct json_object *guest, struct json_object **fit,
		   struct vmm_error **err);

	/* How the guest is at this moment, on either node, before each step that relies on it: {"state","reason",
	 * "complete": its memory is whole, so it may be released, "job": of the guest, not of a disk,
	 * "uuid","persistent"}. A guest that does not exist has the state "absent", which is no error. */
	int (*state)(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err);

	/* The definition for the target; pure text, no host. `changes` is an array of {"target","path","kind"}: the
	 * volume `target` is at `path` there ("kind": of its storage; where absent, the path tells whether it is a
	 * device), {"mount","path"}: the source of a mount, {"network","path"}: the bridge that a network uses. */
	int (*rewrite)(const char *definition, struct json_object *changes, char **rewritten, struct vmm_error **err);
	/* Makes the guest on the target, off, with this persistent definition (restart, offline); replaces a
	 * definition of the same guest that is off. Where memory moves, `migrate` makes the hypervisor do it. Error
	 * "name-taken" where another guest has its id, name or UUID. */
	int (*define)(struct guest_host *host, const char *definition, struct vmm_error **err);
	/* Removes the definition of a guest that is off: on the source after the commit, on the target where a
	 * migration is undone. Volumes, NVRAM and TPM state stay. No error where it is gone already; "guest-state"
	 * where it runs. */
	int (*undefine)(struct guest_host *host, const char *id, struct vmm_error **err);
	/* What the hypervisor has recorded of the guest's snapshots and checkpoints, parents before children: {"kind":
	 * "snapshot"|"checkpoint","name","created","current","files":[paths or sources of what it stands on],"xml": the
	 * record itself; it may hold passwords, and is not among the guest's facts}. Called on the source. NULL: this
	 * kind has none that could be carried. */
	int (*moments)(struct guest_host *host, const char *id, struct json_object **moments, struct vmm_error **err);
	/* Records them for a guest that is defined here, after `define`; of a guest whose memory has moved after
	 * `release`. `changes` are those of `rewrite`, each with "from", the path on the source. What has been recorded
	 * already stays as it is. `undefine` removes the records. */
	int (*define_moments)(struct guest_host *host, const char *id, struct json_object *moments,
			      struct json_object *changes, struct vmm_error **err);
	/* For kinds whose guard is not the guest record: makes the guest startable here (`own`), or not. Called with
	 * false on the source before the stop and on both after the commit; with true on the target when the task
	 * ends, and on the source where a migration is undone. May be called again. NULL: the record is enough. */
	int (*own)(struct guest_host *host, const char *id, bool own, struct vmm_error **err);
	/* Sets autostart. Off on the source before the stop or the handover; where it was on, on again on the target
	 * after the commit, or on the source where the migration is undone. */
	int (*autostart)(struct guest_host *host, const char *id, bool on, struct vmm_error **err);

	/* Starts a guest that is off. `held`: it is set up but runs no instruction until `release`; so the target
	 * starts it in the handover of a restart. Without `held` it runs at once: where a migration is undone, or a
	 * held guest was lost to a reboot of the target. Error "start-failed" or the hypervisor's. */
	int (*start)(struct guest_host *host, const char *id, bool held, struct vmm_error **err);
	/* Lets a held guest run, or one whose memory has arrived: on the target after the commit. On the source too,
	 * where an undone migration had paused it. Fails where its memory is incomplete. */
	int (*release)(struct guest_host *host, const char *id, struct vmm_error **err);
	/* Orderly shutdown, on the source of a restart; returns when the guest is off. After limit_ms: error
	 * "shutdown-timeout" and the guest still runs, or with `force` it is killed. `cancelled` is asked all the
	 * while, and true ends the wait with error "cancelled" (VMM_CANCELLED); it may be NULL. No error where the
	 * guest is off already. */
	int (*stop)(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
		    void *context, struct vmm_error **err);
	/* Ends the guest at once, as when its power fails: a held or arrived one on the target, where a migration is
	 * undone; the source's only at an administrator's decision. No error where it is off or does not exist. */
	int (*destroy)(struct guest_host *host, const char *id, struct vmm_error **err);

	/* Moves the memory of a running guest (live, paused); called on the source. NULL: this kind cannot. The
	 * target's guest is left paused, with a persistent definition; only `release` lets it run. Returns 0 as soon
	 * as the guest's process on the source has ended, so that it cannot run here any more; the hypervisor may
	 * still be busy, and whether the memory has arrived has to be asked on the target. migrate_end is called
	 * afterwards in any case. */
	int (*migrate)(struct guest_host *host, const struct guest_migration *migration, struct vmm_error **err);
	/* Waits until the hypervisor has finished what `migrate` began, fills in `statistics`, and returns what the
	 * hypervisor says. Its answer is a hint only: the caller asks both nodes for the state. If the migration
	 * succeeded, the source's guest is off now. NULL: `migrate` has waited itself. */
	int (*migrate_end)(struct guest_host *host, struct vmm_error **err);
	/* The socket on the target through which the source's hypervisor speaks to the target's, and the URI for a
	 * socket that our relay puts in its place on the source ("...socket=%s"). NULL: nothing has to be relayed. */
	const char *control_socket, *control_uri;
	/* Aborts the guest's migration job and waits until it is over, 180 s at most. Called on the source where a
	 * handover is undone, and by recovery, whose worker may have died while the job goes on. No error where there
	 * is none. NULL: a job does not outlive its worker. */
	int (*migrate_abort)(struct guest_host *host, const char *id, struct vmm_error **err);
};

extern const struct guest_ops guest_qemu, guest_lxc, guest_null;

/* All kinds, NULL at the end. */
enum { GUEST_KINDS_MOST = 3 };
extern const struct guest_ops *const guest_kinds[];
/* The kind of this name, or NULL. */
const struct guest_ops *guest_kind(const char *kind);

/* The name of a guest's record, "KIND-UUID", from its facts; it belongs to the caller. A guest that has no UUID (a
 * container) is known by its id. */
char *guest_record_name(struct json_object *guest) VMM_MUST_USE;

/* A copy of guest facts, a plan or anything else that has definitions in it, without the passwords of displays: for
 * replies to panels and the input of hooks (secrets.c). */
struct json_object *guest_shown(struct json_object *about);

#endif
