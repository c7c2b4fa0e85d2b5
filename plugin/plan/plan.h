/* plan: from a request and facts to findings and a plan. Pure: it reads facts and asks no node.
 *
 *	request.c, options.c	what a client asks for, checked and in one form
 *	facts-read.c		how checks and plan read the facts
 *	volume-action.c		what becomes of each volume: kept or copied, and its destination
 *	checks.c, checks-*.c	everything that speaks against a migration
 *	ways.c			which other ways are open, for the hints of a refusal
 *	plan.c			one mode, and one action for each volume
 *	plan-fields.c		a plan to and from JSON
 */
#ifndef VMM_PLAN_H
#define VMM_PLAN_H

#include "base/base.h"
#include "guest/guest.h"
#include "storage/volume.h"

enum side { SOURCE, TARGET, SIDES };

/* ------------------------------------------------------------------ request (request.c, options.c)
 *
 * A request as a client sends it: {"api":1,"guest":who,"target":node,"options":{...}}. Option names are stored with
 * '_'; a client may write '-' as well. Help, completion and manual pages are made from the table of options; `info`
 * hands it out. */

/* The type of an option, and its value in a request that was read. Flag: true (an option that is false is left out).
 * Number: an integer. Choice and network (CIDR): a string. List, storages ("other", "from:to") and map ("from=to"): an
 * array of strings. */
enum option_type {
	OPTION_FLAG,
	OPTION_NUMBER,
	OPTION_CHOICE,
	OPTION_NETWORK,
	OPTION_LIST,
	OPTION_STORAGES,
	OPTION_MAP
};

struct option {
	const char *name; /* "max_downtime" */
	enum option_type type;
	const char *argument; /* what help calls its value: "MS"; NULL for a flag */
	const char *choices;  /* "secure|insecure", else NULL */
	const char *group;    /* "mode", "limits", "network", "safety" */
	const char *help;     /* one sentence */
	const char *standard; /* the value if neither the request nor the configuration has one, or NULL */
	const char *setting;  /* the key in the configuration's [migration] that gives its default, or NULL */
	int64_t least, most;  /* of a number */
};
extern const struct option request_options[];
extern const size_t request_option_count;

/* The row of that name ('-' and '_' are alike), or NULL. */
const struct option *option_find(const char *name);
/* For `info`: an array of {name type(flag|number|choice|network|list) argument choices[] default group help least
 * most}. */
struct json_object *options_to_json(void);

/* Reads which guest a raw request is about: its "guest" (100, "100", or "qemu/100" if guests of two kinds have that
 * name) becomes "guest" and, if it is known, "kind" of `request`. Error: VMM_USAGE. */
int request_guest(struct json_object *raw, struct json_object *request, struct vmm_error **err);
/* Reads and normalises a request to {"api":1,"guest":who,"kind"? (if it said qemu/100),"target"?,"options":{...}}.
 * Unknown options, wrong types and modes that exclude each other are "usage" errors that name the option and suggest
 * similar names. Defaults from the configuration's [migration] (config may be NULL) and from the table of options are
 * filled in. */
int request_read(struct json_object *raw, struct json_object *config, struct json_object **request,
		 struct vmm_error **err);

/* ------------------------------------------------------------------ facts (gathered by migration/facts.c)
 *
 * What both nodes say. They stay JSON, since older and newer nodes meet here; a fact that is absent is not known.
 * Node facts (operation FACTS; node/facts.c):
 *   "node"      {name, version, protocol: [major, minor], arch, time_us, cpus, memory_total, memory_free,
 *                cpu_highest: number of the highest CPU, hugepages: [{size, free}] (bytes), maintenance,
 *                manager: null|"pve"|"vdsm"|"nova", config: digest of nodes and storages in the configuration,
 *                bridge_conntrack (bool),
 *                addresses: IP addresses, as text, of its interfaces that have a link}
 *   "host"      {KIND: guest_ops->host_facts, or {"up": false, "error": {code, message, hint}}}
 *   "storages"  array (storage.h)
 *   "bridges"   array of names of the node's bridges
 *   "links"     array of all of its interfaces: {name, mtu}
 *   "guest"     guest facts (guest.h) with described volumes; of the source only
 *   "guests"    array of short guest facts (guest_ops->list), each with its "record", if there is one
 *   "hooks"     what its check hooks said (operation HOOKS): {refused: [{hook: path, reason}], odd: [paths of files
 *                that are not run]}; absent if no target is named
 *   "record"    the node's guest record of the guest, or null: {owner, generation, state, task, peer, since_us,
 *                worker_alive (bool)}, and, where the owner is another node than the source, what that one says:
 *                owner_says: {answer: "gone" (it has no such guest), "has", "busy" (a task moves it) or "silent",
 *                node: which one it was in the end, problem: text or null, generation}
 *   "fit"       of the target only: guest_ops->fit, and
 *     "needs"       for each of the guest's "needs" (guest.h), in their order: ok | missing | taken | small (a file is
 *                   too small) | unknown (node/needs.c)
 *     "volumes"     an object for each of the guest's volumes, in their order (node/destination.c):
 *     "there"       a file of the volume's path is here
 *     "open"        a guest that is not shut off uses it
 *     "size"        of that file, in bytes
 *     "opener"      a program here that has the file at the destination open (storage.h), or null
 *     "used_by"     ids of the guests here, other than this one, that need the file at the destination
 *     "content"     of a volume that is only read: is that file the same, by a digest that each node makes ("same";
 *                   "alike": too large, its samples are equal; "differs"; "unknown": "problem" says why)
 *     "stands_on"   of each file below the volume's image, in their order: {path: where this node looks for it, there,
 *                   size, content, problem}
 *     "missing_dir" the directory for the volume is not here
 *     "same_block"  the device of that path is the same one as on the source, by its identity
 *     "other_block" it is another one, by its identity
 *     "seed"        bytes of the volume that a seed here holds
 *     "to_storage"  if --targetstorage sends the volume to another storage: its name; and if there is such a storage
 *                   here: "to", the path, "to_there", "to_open", and "to_proof": is the directory of "to" the
 *                   source's directory of the volume, by another mount ("shared", "local", "unproven")?
 *     "device"      if there is a device at the destination: {size, busy: why it may not be filled, or null,
 *                   same: it is the source's device, other: it is proven not to be}
 * facts->sharing says for each storage of the source what the token test (of devices: the identity) has proven.
 */
struct facts {
	struct json_object *request;
	struct json_object *node[SIDES];  /* node facts; TARGET is NULL if it could not be asked */
	struct json_object *target_error; /* why (an error as JSON: target-unknown, connection-refused, ...), or NULL */
	struct json_object *sharing;	  /* {storage name: "shared"|"local"|"unproven"} */
	struct json_object *config;	  /* of the source node (cluster.h) */
};
void facts_free(struct facts *facts);

/* The node's name; of the target as the request has it. Never NULL. */
const char *facts_name(const struct facts *facts, enum side side);
/* The kind of the guest; qemu if it is not known. */
const struct guest_ops *facts_ops(const struct facts *facts);
/* The node's address that carries the memory of an insecure migration; borrowed from the facts. It is the first one in
 * the network of --migration-network; without that option, the one that the configuration has for the node. NULL if the
 * node has no such address. */
const char *facts_memory_address(const struct facts *facts, enum side side);
/* Are these two hosts to libvirt, by the facts of two nodes? Error "same-host-uuid" if they have one UUID: so do nodes
 * that were cloned from one image. */
int facts_distinct_hosts(struct json_object *one, struct json_object *other, struct vmm_error **err);
/* What the request's list of "from=to" makes of that name; the name itself if it is not in the list. */
const char *facts_mapped(const struct facts *facts, const char *option, const char *name);

/* ------------------------------------------------------------------ checks (checks.c, checks-*.c)
 *
 * A finding: {"code","severity": error|override|warning,"object","message","hint","ignored": bool}. */
enum severity { CHECK_ERROR, CHECK_OVERRIDE, CHECK_WARNING };
enum mode { MODE_NONE = 0, MODE_LIVE = 1, MODE_PAUSED = 2, MODE_RESTART = 4, MODE_OFFLINE = 8 };

struct look; /* checks.h: what a check sees */

struct check {
	const char *code;
	const char *group;	/* "target", "guest", "storage": the chapter of the manual */
	const char *what;	/* one sentence for the manual */
	unsigned modes;		/* MODE_* for which it applies; all bits: always */
	const char *kind;	/* guest kind it applies to, NULL: all */
	enum severity severity; /* of its findings, unless one says otherwise */
	const char *option;	/* a named option that overrides it as well ("unsafe"), or NULL */
	bool alone;		/* it is asked even if the target's facts are missing */
	void (*look)(const struct look *look);
};
extern const struct check checks[];
extern const size_t check_count;

const struct check *check_find(const char *code); /* or NULL */
const char *severity_name(enum severity severity);
/* For `info`: an array of {code group what modes[] kind severity option}. */
struct json_object *checks_to_json(void);

/* All findings for the facts, in the order of the table. MODE_NONE: only the checks that apply to every mode. */
struct json_object *checks_run(const struct facts *facts, enum mode mode);
/* Adds a finding, which stays borrowed from `findings`; finding_hint adds the remedy. */
struct json_object *finding_add(struct json_object *findings, const struct check *check, enum severity severity,
				const char *object, const char *format, ...) VMM_PRINTF(5, 6);
void finding_hint(struct json_object *finding, const char *format, ...) VMM_PRINTF(2, 3);
/* True if the finding refuses the migration: an error, or an override that is not ignored. */
bool finding_refuses(struct json_object *finding);
bool findings_refuse(struct json_object *findings);
/* With which status a command ends that the findings refuse, by the first one that does: VMM_BLOCKED; VMM_BUSY if the
 * guest is locked, VMM_NOT_FOUND if there is no such node. VMM_DONE if nothing refuses. */
enum vmm_exit findings_exit(struct json_object *findings);
/* The refusal as one error: the first refusing finding's code, message and hint, and the codes of the others. Returns
 * -1, or 0 if nothing refuses. */
int findings_error(struct json_object *findings, struct vmm_error **err);

/* ------------------------------------------------------------------ plan (plan.c, plan-fields.c)
 *
 * One mode, and one action for each volume. As JSON - a client's reply, the input of hooks, the task's file "plan" - it
 * has the fields of the table in plan-fields.c, and in "volumes" those of storage/volume.c. */
struct plan {
	enum mode mode;
	char *kind, *id, *name, *uuid; /* of the guest; the last two may be NULL */
	char *guest;		       /* the name of its guest record: guest_record_name */
	char *source, *target;	       /* nodes */
	bool running;		       /* the guest is not shut off */
	bool stops_guest;	       /* it is shut down, and started on the target */
	int64_t generation;	       /* that the target will have in the guest record */
	/* The owner that the record on that side names, where it was asked and has no such guest: the record gives way.
	 * Else NULL. */
	char *yields_source, *yields_target;
	/* Stopped guests on the target that have the guest's id, name or UUID are set aside first: their ids. */
	bool set_aside;
	struct json_object *in_the_way;
	struct plan_volume *volumes;
	size_t volume_count;
	int64_t bytes;	     /* to copy */
	bool rounds;	     /* they are copied while the guest runs first */
	int64_t downtime_ms; /* expected; -1: not known */

	/* How the guest was before anything was touched, for recover and for the steps that put it back. Only in the
	 * plan of a task (`boot` is not NULL). */
	char *definition;
	bool autostart;
	char *state;		     /* as guest_ops->state says it */
	struct json_object *moments; /* the guest's snapshots and checkpoints, as in its facts; NULL: none */
	int64_t snapshots;	     /* that cannot be carried */
	char *boot;		     /* the source node's boot id */
};
#define plan_each_volume(volume, plan)                                                                                 \
	for (struct plan_volume *volume = (plan)->volumes; volume < (plan)->volumes + (plan)->volume_count; volume++)

enum { PLAN_RESTART_MS = 5000 }; /* hand over and start; not the guest's own shutdown and boot, which nobody knows */

/* True where all disks that a hypervisor would ask about before memory moves are proven to be the same on both nodes,
 * by a token or an identity: then the engine vouches for storage that the hypervisor does not know as shared. */
bool facts_vouch_for_storage(const struct facts *facts);

enum mode plan_mode(const struct facts *facts); /* MODE_NONE: it has to be named */
const char *mode_name(enum mode mode);
/* Makes the plan, which is the caller's. `task` NULL (a plan that is only shown): no temporary paths. Errors:
 * "mode-needed" (VMM_BLOCKED) if a running VM could go in three ways and none was named; "malformed" or "bad-plan"
 * if the facts lack what a plan needs. */
int plan_make(const struct facts *facts, const char *task, struct plan **plan, struct vmm_error **err);
void plan_free(struct plan *plan); /* NULL is harmless */

/* The object belongs to the caller. */
struct json_object *plan_write(const struct plan *plan);
/* Reads a task's plan, with all of its volumes; it is the caller's. Error "bad-plan" names the field that is missing or
 * of another type; it is not guessed. */
int plan_read(struct json_object *json, struct plan **plan, struct vmm_error **err);

#endif
