/* migration: one guest's way from one node to another. migrate.c is the story on one page:
 *
 *	request → facts (both nodes) → checks → plan → phases → result
 *
 * In reading order:
 *	migrate.c	the story
 *	facts.c		asks both nodes
 *	phases.c	the phases in one table; goes through them forward and backward
 *	steps*.c	what each phase does (steps.h)
 *	resolve.c	which node shall have the guest, asked of both
 *	recover.c	finishes or undoes a task whose worker is gone
 *	migration.c	opening and closing a migration, calls to the two nodes, statistics
 *	task.c		the task's directory: request, journal, events, log, result
 */
#ifndef VMM_MIGRATION_H
#define VMM_MIGRATION_H

#include "node/node.h"
#include "plan/plan.h"
#include "track/track.h"

/* ------------------------------------------------------------------ task (task.c)
 *
 * <state>/tasks/ID/: request, journal, events (JSON lines), log (for people), plan, worker ("PID START"), cancel (there
 * once somebody has asked to cancel), result. Ids are NODE-PID-TIME: they name the node that the task runs on. */
struct task;

/* Makes the directory and writes the request. */
int task_make(const struct node_paths *paths, const char *node, struct json_object *request, char **id,
	      struct vmm_error **err);
/* Opens an existing task. Error "no-such-task" (VMM_NOT_FOUND). */
int task_open(const struct node_paths *paths, const char *id, struct task **task, struct vmm_error **err);
void task_close(struct task *task); /* NULL is harmless */
const char *task_id(const struct task *task);
/* The node that a task id names; belongs to the caller. */
char *task_node(const char *id) VMM_MUST_USE;
/* When the task was made, in microseconds since the epoch; 0 where the id does not say. */
int64_t task_began_us(const char *id);
/* A JSON file of the task ("request", "plan", "result"); *json is NULL where the file does not exist. */
int task_read(struct task *task, const char *file, struct json_object **json, struct vmm_error **err);
int task_write(struct task *task, const char *file, struct json_object *json, struct vmm_error **err);
int task_journal(struct task *task, struct journal **journal, struct vmm_error **err);
/* Makes this process the task's worker; error "busy" where another one lives. task_close releases the lock. */
int task_take(struct task *task, struct vmm_error **err);
bool task_alive(const struct node_paths *paths, const char *id);
/* True once somebody has asked to cancel. */
bool task_cancelled(struct task *task);

/* Events. An event that cannot be written (a full disk) is dropped: a migration does not stop because of its log. */
void task_phase(struct task *task, const char *phase, const char *state, const char *object);
void task_log(struct task *task, const char *level, const char *format, ...) VMM_PRINTF(3, 4);
/* `more` (taken) holds what only this phase reports: round, iteration, dirty_rate, downtime_ms. The percentage never
 * decreases. */
void task_progress(struct task *task, const char *phase, const char *object, uint64_t done, uint64_t total,
		   struct json_object *more);
/* Writes the last event and the file "result"; `result` stays the caller's. */
void task_end(struct task *task, struct json_object *result);

/* ------------------------------------------------------------------ a migration (migration.c) */

/* What the migration knows of one volume of the plan beside the plan itself. It belongs to this process: recover does
 * without it. */
struct migration_volume {
	int64_t seed; /* bytes of an earlier copy that the target begins with */
	bool begun;   /* the target had something of it already */
	/* Of an image (steps-volumes.c): */
	const struct track_ops *tracker;
	struct track_snapshot snapshot; /* what the last round was made of */
	struct track_snapshot reading;	/* what this round is made of */
	struct copy_leaves leaves;
	/* A text that is different once anybody has written to the source's volume; taken before the last pass. */
	char *written;
	/* Of a tree (steps-trees.c): */
	int64_t since_ns;	   /* tree_stamp when the first push began; 0: not yet */
	int clock;		   /* tree_clock_watch since then; 0: not yet */
	uint64_t seal;		   /* as `written` */
	bool proven;		   /* both ends were found equal, contents too */
	struct json_object *flags; /* of its files (tree.h), as the last comparison found them; or NULL */
};

struct migration {
	const struct node_paths *paths;
	struct vmm_node *node[SIDES]; /* TARGET is NULL while it cannot be reached */
	struct json_object *config;
	struct task *task;
	struct journal *journal;
	struct json_object *request;
	struct plan *plan; /* NULL: none was made */
	struct facts facts;
	struct migration_volume *volumes; /* one for each of the plan's; made by migration_volume */
	struct copy_sessions sessions;	  /* for copies; opened by the first one */
	struct json_object *statistics, *leftovers;
	int warnings;
	uint64_t round_wire;		 /* bytes that the newest round sent, of all volumes together ... */
	int64_t round_ms;		 /* ... and how long it took */
	int64_t stopped_ms, released_ms; /* steady clock: the guest was off, or stood, between them */
	struct guest_migration moving;	 /* of memory; the node reads it until migrate_end */
	struct guest_statistics moved;
	bool no_room;		  /* for snapshots on the source: they are given up (snapshots.c) */
	int patience_ms;	  /* how long migration_insist waits for a node that does not answer */
	int64_t silent_ms[SIDES]; /* since when a node has not answered (steady clock); 0: it answered last time */
	bool may_cancel;	  /* forward, before the commit: a call to the target hears a cancel */
	bool committed;		  /* the commit is on the disk, or may be */
	bool pending;		  /* the target has still to be told of the abort */
	bool keep_source;	  /* an administrator has decided that the source keeps the guest */
	/* Opens the target; tests give their own. */
	int (*connect)(struct migration *m, struct vmm_error **err);
};

/* Opens an existing task to be run or recovered by this process, which is its worker from now on (error "busy" where
 * another lives). *m is all zero before; migration_close frees what is in it, after an error too. */
int migration_open(struct migration *m, const struct node_paths *paths, const char *task, struct vmm_error **err);
void migration_close(struct migration *m);

/* One operation on a side, with task and guest filled in; `args` is taken. While m->may_cancel is set, it ends with
 * error "cancelled" as soon as a cancel is asked for, whatever the target does; migration_insist does not. */
int migration_call(struct migration *m, enum side side, enum node_op op, struct json_object *args,
		   struct json_object **reply, struct vmm_error **err);
/* Has calls to the target hear a cancel; for those that are not made by migration_call. */
void migration_listen(struct migration *m);
/* As migration_call, but where the node does not answer it reconnects and calls again, for patience_ms in all. The time
 * counts from when the node was first silent: a node that has been silent for all of it is asked once only. */
int migration_insist(struct migration *m, enum side side, enum node_op op, struct json_object *args,
		     struct json_object **reply, struct vmm_error **err);

/* True for an error that says only that a node does not answer, nothing about the guest. */
bool migration_is_silence(const struct vmm_error *err);

/* The guest record that the node on that side has, asked for as by migration_insist. *record is all zero before, and
 * stays so where there is no record; record_free frees what it owns. */
int migration_record(struct migration *m, enum side side, struct guest_record *record, struct vmm_error **err);

enum mode migration_mode(struct migration *m);
/* True where the guest goes on with its memory: live and paused. */
bool migration_moves_memory(struct migration *m);
/* True where the guest is to run on the target: it ran here, and was not paused. */
bool migration_runs(struct migration *m);
/* The name of the node on that side. */
const char *migration_node_name(struct migration *m, enum side side);
/* What this process knows of that volume of the plan. */
struct migration_volume *migration_volume(struct migration *m, const struct plan_volume *volume);

/* Adds bytes to a number of the result's statistics. */
void statistics_add(struct migration *m, const char *what, uint64_t bytes);
/* Reports the digest that both ends have in common: its first digits in the log, all of it in the result's statistics
 * ("digests": [{volume, kind, root}]). */
void statistics_digest(struct migration *m, const struct plan_volume *volume, const char *kind, const char *root);

/* The arguments of the operation HOOKS (steps.c). A hook reads `about` on stdin: the plan or, in a check, what is known
 * before there is one; its "kind", "id", "name", "uuid", "mode", "source" and "target", as far as they are there,
 * become environment variables. `task` is NULL where there is none yet. */
struct json_object *hooks_arguments(enum hook hook, struct json_object *about, const char *task);

/* ------------------------------------------------------------------ the owner that a record names (owner.c) */

enum owner_answer {
	OWNER_GONE,   /* it has no such guest, and has given it to nobody */
	OWNER_HAS,    /* it has the guest */
	OWNER_BUSY,   /* a task moves the guest there */
	OWNER_SILENT, /* it could not be asked */
};
extern const char *const owner_answers[]; /* their names among the facts */

struct owner {
	enum owner_answer answer;
	char *node;    /* that has answered so: where the owner has given the guest away, the last one in the row */
	char *problem; /* OWNER_SILENT: why; OWNER_BUSY: the task; or NULL */
	int64_t generation; /* the highest one that they have noted */
};
#define vmm_auto_owner __attribute__((cleanup(owner_free)))
void owner_free(struct owner *owner);
/* Asks the node that `record`, the guest record of the node `self`, names as the owner. Nodes in `near` (either may be
 * NULL) are open already; others are connected to by `paths` (NULL: they are silent). */
void owner_look(const struct node_paths *paths, struct vmm_node *const near[SIDES], const char *self,
		const struct guest_record *record, struct owner *owner);

/* ------------------------------------------------------------------ facts (facts.c)
 *
 * Asks both nodes, and runs their check hooks where the request names a target; `target` may be NULL. Changes nothing,
 * but for one token file in a directory whose sharing is to be proven. `paths`: by which a third node is reached that a
 * guest record names as the owner. */
int facts_gather(const struct node_paths *paths, struct json_object *request, struct vmm_node *source,
		 struct vmm_node *target, struct json_object *config, struct facts *facts, struct vmm_error **err);

/* Asks the target again, hours later perhaps, just before the guest is stopped: could it still be started there? Error:
 * that of the checks. */
int facts_ask_again(struct migration *m, struct vmm_error **err);

/* ------------------------------------------------------------------ the story (migrate.c, recover.c) */

/* Carries a task's request from facts to result, and writes the result. Returns the exit status. */
enum vmm_exit migrate_run(struct migration *m);
/* For a task whose worker is gone: finishes or undoes it by its journal and by what both nodes say. `keep`: an
 * administrator's decision, "source" or "target", or NULL. */
enum vmm_exit recover_run(struct migration *m, const char *keep);
/* Writes the result of either; `err` (taken) says how it failed, or is NULL. */
enum vmm_exit migrate_end(struct migration *m, struct vmm_error *err);

/* ------------------------------------------------------------------ phases (phases.c) */

/* Forward from the beginning, up to and with the commit; stops at the first failure. */
int phases_forward(struct migration *m, struct vmm_error **err);
/* The phases after the commit. */
int phases_finish(struct migration *m, struct vmm_error **err);
/* Undoes, backward, all that the journal says was begun. Error VMM_NEEDS_DECISION where that would not be safe now. */
int phases_backward(struct migration *m, struct vmm_error **err);
/* The journal's first record that says `what` ("do", "done", "undone", "commit", "give-up", "hooks", ...) of that phase
 * and object (NULL: of any), or NULL; borrowed from the journal. */
struct json_object *phases_journal_find(struct migration *m, const char *what, const char *phase, const char *object);
bool phases_journal_has(struct migration *m, const char *what, const char *phase);

struct phase {
	const char *name;
	const char *help;
	unsigned modes;	 /* MODE_* */
	bool per_volume; /* once for each volume with the action "copy" */
	bool commit;	 /* the point of no return: the phases after it are only repeated, never undone */
	int (*perform)(struct migration *m, struct plan_volume *volume, struct vmm_error **err);
	/* Or NULL. Once for the phase; may be called again. Returns 1 where it waits for the target (m->pending is set
	 * then): the next recover calls it again. */
	int (*undo)(struct migration *m, struct vmm_error **err);
};
extern const struct phase phases[];
extern const size_t phase_count;

/* ------------------------------------------------------------------ which node has it (resolve.c) */

/* After HANDOVER: which node shall have the guest? Asks both and changes nothing. */
enum resolution { RESOLVE_COMMIT, RESOLVE_UNDO };
int resolve(struct migration *m, enum resolution *resolution, struct vmm_error **err);

/* Has the whole guest arrived on the target? Three ways to know, for three callers:
 * by the source's journal, and what the target says of the guest (`state`: reply of STATE) where its memory moves; */
bool arrived_by_journal(struct migration *m, struct json_object *state);
/* by asking the target, once: the guest is paused there with all its memory. Valid only when the source's is known to
 * be gone; */
bool arrived_in_memory(struct migration *m);
/* by the target's own guest record and the state of the guest there, where the source cannot be asked. */
bool arrived_by_record(const struct guest_record *record, struct json_object *state);

/* *chosen: an administrator has decided on the target, while this node could not be asked, that the guest is the
 * target's; its generation there is higher than any that the task gives. An error where the target does not say. */
int target_is_chosen(struct migration *m, bool *chosen, int64_t *generation, struct vmm_error **err);

#endif
