/* engine: a request in, a reply out. The only room that starts and ends the processes of tasks.
 *
 *	main.c		vmmigrate-engine VERB
 *	verbs.c		the table of verbs; verbs-*.c carry them out
 *	forward.c	a verb is carried out by the node that has the guest or the task
 *	worker.c	the process that carries out a task
 *	recover-all.c	finishes or undoes everything that dead workers have left on this node
 */
#ifndef VMM_ENGINE_H
#define VMM_ENGINE_H

#include "cluster/cluster.h"
#include "migration/migration.h"

/* ------------------------------------------------------------------ verbs (verbs.c) */

/* *reply is an object, or NULL where the verb has written its own output. */
typedef int verb_fn(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		    struct vmm_error **err);

/* As whom a verb may be asked for: in the name of a polkit action, by a word before the verb, or as another node of the
 * cluster. Root itself may ask for every verb, without such a word. */
enum verb_right {
	RIGHT_MANAGE = 1,     /* "manage": who has the action org.vmmigrate.manage */
	RIGHT_ADMINISTER = 2, /* "administer": who has org.vmmigrate.administer */
	RIGHT_PEER = 4,	      /* "peer": over a node's key (the agent asks) */
};

struct verb {
	const char *name;
	const char *help; /* NULL: for our own use */
	verb_fn *run;
	unsigned rights; /* of enum verb_right */
};
extern const struct verb verbs[];
extern const size_t verb_count;

verb_fn verb_info, verb_guests, verb_nodes, verb_targets, verb_check, verb_plan;	       /* verbs-ask.c */
verb_fn verb_start, verb_tasks, verb_status, verb_log, verb_follow, verb_cancel, verb_recover; /* verbs-task.c */
verb_fn verb_seeds;									       /* verbs-seeds.c */
verb_fn verb_node_add, verb_node_test, verb_node_remove, verb_node_accept;		       /* verbs-node.c */

/* Removes the seeds of this node that have been kept long enough (verbs-seeds.c). */
void seeds_prune(const struct node_paths *paths);

/* ------------------------------------------------------------------ other nodes (forward.c) */

/* Carries the verb out on another node, with the same request, marked "forwarded". Where `reply` is NULL, the other
 * node's output is copied line by line to our stdout. */
int forward_verb(const struct node_paths *paths, const char *node, const char *verb, struct json_object *request,
		 struct json_object **reply, struct vmm_error **err);
/* If the guest of the request is on another node, the verb is carried out there: *done is set, and *reply. Error
 * "no-such-guest" (VMM_NOT_FOUND) where no node has it, with a similar name as the hint; where not all nodes could be
 * asked, the first reason why. */
int forward_to_guest(const struct node_paths *paths, const char *verb, struct json_object *request,
		     struct json_object **reply, bool *done, struct vmm_error **err);
/* The same for the node of the request's task. */
int forward_to_task(const struct node_paths *paths, const char *verb, struct json_object *request,
		    struct json_object **reply, bool *done, struct vmm_error **err);

/* Is that the id, name or UUID of the guest with these short facts? */
bool forward_answers_to(struct json_object *guest, const char *who);

/* The configuration of this node. */
int verbs_config(const struct node_paths *paths, struct json_object **config, struct vmm_error **err);
/* Names of all nodes but our own; an array. */
struct json_object *verbs_peers(struct json_object *config);
/* There is no node of that name; `names` are those that exist. Error "target-unknown" (VMM_NOT_FOUND). */
int verbs_no_node(const char *name, struct json_object *names, struct vmm_error **err);

/* ------------------------------------------------------------------ worker (worker.c) */

#ifndef VMM_LIBEXEC
#define VMM_LIBEXEC "/usr/libexec/vmmigrate"
#endif

/* Carries out the task in this process. An error only where it could not begin; how it ended is in the task's result.
 */
int worker_run(const struct node_paths *paths, const char *task, struct vmm_error **err);
/* Starts the task's worker in a process of its own, which neither the terminal's nor the panel's end can end. */
int worker_detach(const struct node_paths *paths, const char *task, struct vmm_error **err);

/* ------------------------------------------------------------------ recovery (recover-all.c) */

/* Recovers every task of this node whose worker is gone, and every guest that is locked here by such a task of another
 * node. `task` and `guest` (either may be NULL) limit it; `keep` is an administrator's decision, "source" or "target",
 * or NULL. Appends
 * {"task","outcome","message","exit"} to `recovered`. Error "no-such-task". */
int recover_all(const struct node_paths *paths, const char *task, const char *guest, const char *keep,
		struct json_object *recovered, struct vmm_error **err);
/* True where this node is the target of that task, and the task's own node cannot be asked: then an administrator may
 * decide here. */
bool recover_is_ours_to_decide(const struct node_paths *paths, const char *task);
/* Removes tasks that are over and began longer ago than the setting keep_tasks (in seconds; 30 days without it). */
void tasks_prune(const struct node_paths *paths, struct json_object *config);

#endif
