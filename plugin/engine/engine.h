/* engine: from a request to a result. migrate.c is the story on one page:
 *
 *	request → facts (both nodes) → checks → plan → phases → result
 */
#ifndef VMM_ENGINE_H
#define VMM_ENGINE_H

#include "base/base.h"
#include "node/node.h"
#include "track/track.h"

enum side { SOURCE, TARGET, SIDES };

/* ------------------------------------------------------------------ request (request.c, options.c)
 *
 * A request as a client sends it: {"api":1,"guest":who,"target":node,"options":{...}}. Option names have '_' here ('-' is alike).
 * The table of options is the source of help, completion and manual pages; `info` hands it out. */

/* What a value is, and what it is in a request that was read: flag: true (false is left out); number: an integer; choice and
 * network (CIDR): a string; list, storages ("other", "from:to"), map ("from=to"): an array of strings. */
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
	const char *standard; /* what it is where neither the request nor the configuration says so, or NULL */
	const char *setting;  /* the key in the configuration's [migration] that gives its default, or NULL */
	int64_t least, most;  /* of a number */
};
extern const struct option request_options[];
extern const size_t request_option_count;

/* The row of that name ('-' and '_' are alike), or NULL. */
const struct option *option_find(const char *name);
/* For `info`: an array of {name type(flag|number|choice|network|list) argument choices[] default group help least most}. */
struct json_object *options_to_json(void);

/* Whom a raw request is about: its "guest" (100, "100", or "qemu/100" where one name means guests of two kinds) becomes
 * "guest" and, where it is known, "kind" of `request`. Error: VMM_USAGE. */
int request_guest(struct json_object *raw, struct json_object *request, struct vmm_error **err);
/* Reads and normalises a request to {"api":1,"guest":who,"kind"? (where it said qemu/100),"target"?,"options":{...}}: unknown
 * options, wrong types, modes that exclude each other are "usage" errors that name the option and near names. Defaults from
 * the configuration's [migration] (config may be NULL) and the table's own are filled in. */
int request_read(struct json_object *raw, struct json_object *config, struct json_object **request,
		 struct vmm_error **err);

/* ------------------------------------------------------------------ facts (facts.c)
 *
 * What both nodes say. Node facts (node_op FACTS; node/facts.c):
 *   "node"      {name, version, protocol:[major,minor], arch, time_us, cpus, memory_total, memory_free, hugepages_free (bytes),
 *                maintenance, manager: null|"pve"|"vdsm"|"nova", config: digest of nodes and storages in the configuration, bridge_conntrack (bool)}
 *   "host"      {KIND: guest_ops->host_facts, or {"up":false,"error":{code,message,hint}}}
 *   "storages"  array (storage.h)
 *   "bridges"   array of names of the node's bridges
 *   "guest"     guest facts (guest.h) with described volumes, or absent. On the source only.
 *   "guests"    array of short guest facts (guest_ops->list), each with "record" {owner,generation,state,task} where there is one
 *   "record"    the node's guest record of the guest in question, or null: {owner,generation,state(idle|source|handover|target),
 *                task, peer, since_us, worker_alive (bool)}
 *   "fit"       target only: guest_ops->fit, and "volumes": for each of the guest's volumes, by its place in the array:
 *                {there (bool: a file of that path is here), open (bool), missing_dir (bool), same_block (bool: WWN or UUIDs equal),
 *                seed: bytes of it that a seed holds here;
 *                where --targetstorage sends it elsewhere: to_storage and, if that is known there, to, to_there, to_open;
 *                other_block: bool (the device of that path is proven to be another one);
 *                where its place is a device that is there: device: {size, busy: why it may not be filled, or null,
 *                same: bool (it is the source itself), other: bool (it is proven not to be)}}
 * On facts->sharing, by storage name: "shared", "local", "unproven" - the outcome of the token test (block: of the identity).
 */
struct facts {
	struct json_object *request;
	struct json_object *node[SIDES];  /* node facts; TARGET is NULL where it could not be asked */
	struct json_object *target_error; /* why (an error as JSON: target-unknown, connection-refused, ...), or NULL */
	struct json_object *sharing;	  /* {storage name: "shared"|"local"|"unproven"} */
	struct json_object *config;	  /* of the source node (cluster.h) */
};
int facts_gather(struct json_object *request, struct vmm_node *source, struct vmm_node *target,
		 struct json_object *config, struct facts *facts, struct vmm_error **err);
void facts_free(struct facts *facts);

/* ------------------------------------------------------------------ checks (checks.c, checks-*.c): pure
 *
 * A finding: {"code","severity": error|override|warning,"object","message","hint","ignored": bool}. All at once. */
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
	bool alone;		/* is asked also where the target's facts are missing */
	void (*look)(const struct look *look);
};
extern const struct check checks[];
extern const size_t check_count;

const struct check *check_find(const char *code); /* or NULL */
const char *severity_name(enum severity severity);
/* For `info`: an array of {code group what modes[] kind severity option}. */
struct json_object *checks_to_json(void);

/* All findings for the facts, in the order of the table. MODE_NONE: only the checks that hold for every mode. */
struct json_object *checks_run(const struct facts *facts, enum mode mode);
/* One more finding, borrowed from `findings`; finding_hint says what to do about it. */
struct json_object *finding_add(struct json_object *findings, const struct check *check, enum severity severity,
				const char *object, const char *format, ...) VMM_PRINTF(5, 6);
void finding_hint(struct json_object *finding, const char *format, ...) VMM_PRINTF(2, 3);
/* True where a finding refuses (an error, or an override that is not ignored). */
bool findings_refuse(struct json_object *findings);
/* The refusal as one error (VMM_BLOCKED; VMM_BUSY where the guest is locked): the first refusing finding's code, words and hint,
 * and the codes of the others. Returns -1, or 0 where nothing refuses. */
int findings_error(struct json_object *findings, struct vmm_error **err);

/* ------------------------------------------------------------------ plan (plan.c): pure
 *
 * {"mode": live|paused|restart|offline, "kind","id","name","uuid","guest":"kind-id","source","target","running": bool,
 *  "stops_guest": bool,"generation": n (that the target will have),
 *  "set_aside": bool (stopped guests on the target are set aside first: "in_the_way": their ids),
 *  "volumes":[{all that describes the volume (storage.h), "action": keep|copy,"to_storage","to_kind",
 *              "from": path here,"to": path there,"temporary": path there while it is copied (a device: "to"),
 *              "media": bool (it is small or read-only and travels in prepare, whatever the mode: no rounds, no last delta),
 *              "track": reflink|none (how later rounds learn what has changed),
 *              "set_aside": bool (a file of that name is on the target and is set aside first)}],
 *  "bytes": to copy,"rounds": bool (they are copied while the guest runs first),"downtime_ms": expected, or null}
 * Errors: "mode-needed" (VMM_BLOCKED) where a running VM could go in three ways and none was named. `task` NULL (a plan that is
 * only shown): no temporary places. */
enum mode plan_mode(const struct facts *facts); /* MODE_NONE: it has to be named */
const char *mode_name(enum mode mode);
enum { PLAN_RESTART_MS = 5000 }; /* hand over and start; not the guest's own shutdown and boot, which nobody knows */
int plan_make(const struct facts *facts, const char *task, struct json_object **plan, struct vmm_error **err);

/* ------------------------------------------------------------------ task (task.c)
 *
 * <state>/tasks/ID/: request, journal, events (JSON lines), log (for people), plan, worker ("PID START"), cancel (when asked),
 * result. Ids are NODE-PID-TIME: they say where the task runs. */
struct task;

/* Makes the directory and writes the request. */
int task_make(const struct node_paths *paths, const char *node, struct json_object *request, char **id,
	      struct vmm_error **err);
/* Opens a task that is there. Error "no-such-task" (VMM_NOT_FOUND). */
int task_open(const struct node_paths *paths, const char *id, struct task **task, struct vmm_error **err);
void task_close(struct task *task); /* NULL is harmless */
const char *task_id(const struct task *task);
/* The node that a task id names; belongs to the caller. */
char *task_node(const char *id) VMM_MUST_USE;
/* A JSON file of the task ("request", "plan", "result"); *json is NULL where it is not there. */
int task_read(struct task *task, const char *file, struct json_object **json, struct vmm_error **err);
int task_write(struct task *task, const char *file, struct json_object *json, struct vmm_error **err);
int task_journal(struct task *task, struct journal **journal, struct vmm_error **err);
/* Says that this process is the task's worker; error "busy" where another one lives. The lock goes with the task. */
int task_take(struct task *task, struct vmm_error **err);
bool task_alive(const struct node_paths *paths, const char *id);
/* True once somebody has asked to cancel. */
bool task_cancelled(struct task *task);

/* Events. What cannot be written (a full disk) is dropped: a migration does not stop for its log. */
void task_phase(struct task *task, const char *phase, const char *state, const char *object);
void task_log(struct task *task, const char *level, const char *format, ...) VMM_PRINTF(3, 4);
/* `more` (taken) has what is special to the phase: round, iteration, dirty_rate, downtime_ms. The percentage never goes back. */
void task_progress(struct task *task, const char *phase, const char *object, uint64_t done, uint64_t total,
		   struct json_object *more);
/* The last event, and the file "result"; `result` stays the caller's. */
void task_end(struct task *task, struct json_object *result);

/* ------------------------------------------------------------------ the migration (migrate.c, phases.c, steps.c, resolve.c) */

struct migration {
	const struct node_paths *paths;
	struct vmm_node *node[SIDES]; /* TARGET is NULL while it cannot be reached */
	struct json_object *config;
	struct task *task;
	struct journal *journal;
	struct json_object *request, *plan;
	struct facts facts;
	struct copy_leaves *leaves;    /* one for each volume of the plan */
	struct track_snapshot *frozen; /* likewise: what the last round was made of */
	struct copy_sessions sessions; /* for copies (sessions.c) */
	struct json_object *statistics, *leftovers;
	int warnings;
	uint64_t round_wire;		 /* bytes of the newest round, of all volumes together ... */
	int64_t round_ms;		 /* ... and how long it took */
	int64_t stopped_ms, released_ms; /* steady clock: the guest was off, or stood, between them */
	struct guest_migration moving;	 /* of memory; the node looks into it up to migrate_end */
	struct guest_statistics moved;
	int patience_ms;	  /* how long a lost node is waited for where nothing else can be done */
	int64_t silent_ms[SIDES]; /* since when a node has not been heard (steady clock), 0: it was heard last time */
	bool committed;		  /* the commit is on the disk, or may be */
	bool pending;		  /* the target has still to be told of the abort */
	bool keep_source;	  /* an administrator has said that the source keeps the guest */
	/* Opens the target; tests give their own. */
	int (*connect)(struct migration *m, struct vmm_error **err);
};

/* The story: carries a task's request from facts to result, and writes the result. Returns the exit status. */
enum vmm_exit migrate_run(struct migration *m);
/* The same for a task whose worker is gone: settles it from its journal and both nodes. `keep`: an administrator's word,
 * "source" or "target", or NULL. */
enum vmm_exit recover_run(struct migration *m, const char *keep);
/* What both have in common at the end: result from how it went. */
enum vmm_exit migrate_end(struct migration *m, struct vmm_error *err);

/* Phases (phases.c). Forward from the beginning; stops at the first failure. */
int phases_forward(struct migration *m, struct vmm_error **err);
/* Goes on behind the commit. */
int phases_finish(struct migration *m, struct vmm_error **err);
/* Undoes, backward, all that the journal says was begun. Error VMM_NEEDS_DECISION where that would not be safe now. */
int phases_backward(struct migration *m, struct vmm_error **err);
/* True where the journal has `what` ("do", "done", "undone") of the phase, for any object. */
bool phases_journal_has(struct migration *m, const char *what, const char *phase);

struct phase {
	const char *name;
	const char *help;
	unsigned modes;	 /* MODE_* */
	bool per_volume; /* once for each volume with the action "copy" */
	bool commit;	 /* the point of no return: what comes behind it is only repeated, never undone */
	int (*perform)(struct migration *m, struct json_object *volume, struct vmm_error **err);
	int (*undo)(struct migration *m, struct vmm_error **err); /* or NULL; once for the phase, may be called again */
};
extern const struct phase phases[];
extern const size_t phase_count;

/* One operation on a side, with task and guest filled in; `args` is taken. */
int migration_call(struct migration *m, enum side side, enum node_op op, struct json_object *args,
		   struct json_object **reply, struct vmm_error **err);
/* The same, but a lost link is mended and the call repeated for as long as there is patience. Patience is with the node: one that
 * has been silent for all of it already is asked once. */
int migration_insist(struct migration *m, enum side side, enum node_op op, struct json_object *args,
		     struct json_object **reply, struct vmm_error **err);
enum mode migration_mode(struct migration *m);

/* After HANDOVER: which node shall have the guest? Both are asked; nothing is changed. */
enum resolution { RESOLVE_COMMIT, RESOLVE_UNDO };
int resolve(struct migration *m, enum resolution *resolution, struct vmm_error **err);
/* True where an administrator has said on the target, while this node could not be asked, that the guest is that node's: its
 * generation is above any that the task gives. False where the target cannot be asked. */
bool target_is_chosen(struct migration *m, int64_t *generation);

/* What the rows of the table do: steps.h. */

/* ------------------------------------------------------------------ verbs (verbs.c, worker.c) */

struct verb {
	const char *name;
	const char *help; /* NULL: for our own use */
	/* *reply is an object, or NULL where the verb has written its own output. */
	int (*run)(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		   struct vmm_error **err);
};
extern const struct verb verbs[];
extern const size_t verb_count;

#endif
