/* verbs.h: what the files of the verbs share. */
#ifndef VMM_ENGINE_VERBS_H
#define VMM_ENGINE_VERBS_H

#include "cluster/cluster.h"
#include "engine/engine.h"

typedef int verb_fn(const struct node_paths *paths, struct json_object *request, struct json_object **reply,
		    struct vmm_error **err);

verb_fn verb_info, verb_guests, verb_nodes, verb_targets, verb_check, verb_plan;	       /* verbs-ask.c */
verb_fn verb_start, verb_tasks, verb_status, verb_log, verb_follow, verb_cancel, verb_recover; /* verbs-task.c */
verb_fn verb_seeds;									       /* verbs-seeds.c */
verb_fn verb_node_add, verb_node_test, verb_node_accept;				       /* verbs-node.c */

/* Carries the verb out on another node, with the same request, marked "forwarded" (forward.c). Where `reply` is NULL, what the
 * other node writes goes line by line to our stdout. */
int forward_verb(const struct node_paths *paths, const char *node, const char *verb, struct json_object *request,
		 struct json_object **reply, struct vmm_error **err);
/* If the guest of the request is on another node, the verb is carried out there: *done is set, and *reply. Error "no-such-guest"
 * (VMM_NOT_FOUND) where no node has it, with a near name; where not all could be asked, what kept us from it. */
int forward_to_guest(const struct node_paths *paths, const char *verb, struct json_object *request,
		     struct json_object **reply, bool *done, struct vmm_error **err);
/* The like for the request's task. */
int forward_to_task(const struct node_paths *paths, const char *verb, struct json_object *request,
		    struct json_object **reply, bool *done, struct vmm_error **err);

/* The configuration of this node. */
int verbs_config(const struct node_paths *paths, struct json_object **config, struct vmm_error **err);
/* Names of all nodes but our own; an array. */
struct json_object *verbs_peers(struct json_object *config);
/* There is no node of that name; `names` are those that there are. Error "target-unknown" (VMM_NOT_FOUND). */
int verbs_no_node(const char *name, struct json_object *names, struct vmm_error **err);

/* Settles every task of this node, and every guest that is locked here, whose worker is gone (settle.c). `task` and `guest`
 * (either may be NULL) limit it. Appends {"task","outcome","message","exit"} to `recovered`. */
int settle_all(const struct node_paths *paths, const char *task, const char *guest, const char *keep,
	       struct json_object *recovered, struct vmm_error **err);
/* The source has committed, or an administrator has said so: the guest of the record `mine` is this node's, which lets it go if it
 * ran (settle.c). */
int settle_take_over(struct vmm_node *self, struct json_object *mine, int64_t generation, struct vmm_error **err);

/* True where this node is the target of that task of another node, which cannot be asked (word.c). */
bool word_is_ours(const struct node_paths *paths, const char *task);
/* Obeys --keep target (the guest of the record `mine` is let go here) or --keep source (what was made here goes). Errors
 * "not-there" where the guest has not arrived whole, "committed" where it is this node's already; nothing is changed then. */
int word_given(struct vmm_node *self, struct json_object *mine, const char *keep, struct vmm_error **err);

/* Forgets tasks that ended longer ago than keep_tasks. */
void tasks_prune(const struct node_paths *paths, struct json_object *config);

/* Removes the seeds of this node whose time is over (verbs-seeds.c). */
void seeds_prune(const struct node_paths *paths);

#endif
