/* steps.h: what the rows of the table in phases.c do. `volume` is one of the plan's, or NULL. */
#ifndef VMM_ENGINE_STEPS_H
#define VMM_ENGINE_STEPS_H

#include "engine/engine.h"

typedef int step(struct migration *m, struct json_object *volume, struct vmm_error **err);
typedef int undo(struct migration *m, struct vmm_error **err);

step step_lock, step_pre_hooks, step_switch_hooks, step_post_hooks, step_unlock;    /* steps.c */
step step_stop, step_define, step_settle, step_confirm;				    /* steps.c */
undo undo_lock, undo_stop;							    /* steps.c */
step step_prepare, step_precopy, step_rounds, step_copy, step_verify, step_publish; /* steps-volumes.c */
step step_handover, step_commit, step_release;					    /* steps-handover.c */
undo undo_handover;								    /* steps-handover.c */

/* The sessions for copies (sessions.c): as many as --parallel-connections says, or one, and more as they pay; unless they are open
 * already. That takes a while, so it is done before the guest is stopped. */
int sessions_open(struct migration *m, struct vmm_error **err);
/* Closes those that are open. */
void sessions_drop(struct migration *m);

/* The source's volume frozen as it is now, for a round (rounds.c); *snapshot stays empty where it is not tracked, or could not be. */
void rounds_freeze(struct migration *m, struct json_object *volume, int round, struct track_snapshot *snapshot);
/* Removes a snapshot; harmless on an empty one. */
void rounds_thaw(struct migration *m, struct track_snapshot *snapshot);
/* What may have changed since a snapshot: all, where it is empty or where there is doubt. */
int rounds_changed(struct migration *m, struct json_object *volume, const struct track_snapshot *since, int fd,
		   struct track_changes *changes, struct vmm_error **err);

/* The target removes what it has made for the task, and forgets it. Where it cannot be told, m->pending is set: it can start
 * nothing, and recover tells it later. Error "committed" where it owns the guest. */
int abort_on_target(struct migration *m, struct vmm_error **err);

/* The hooks of the end ("post-migrate", "failed", "cancelled") on each node where those of pre-migrate were run: one of the three,
 * once. What they say is a warning. */
void hooks_end(struct migration *m, const char *phase);

/* Adds bytes to a number of the result's statistics (steps-volumes.c). */
void statistics_add(struct migration *m, const char *what, uint64_t bytes);

/* Names the digest by which both ends were found to be the same: in the log by its first digits, in the result's statistics whole
 * ("digests": [{volume, kind, root}]). */
void statistics_digest(struct migration *m, struct json_object *volume, const char *kind, const char *root);

/* Trees in place of images (steps-trees.c); `round` and `wire` as in steps-volumes.c. */
bool volume_is_tree(struct json_object *volume);
int tree_step_push(struct migration *m, struct json_object *volume, const char *phase, int round, uint64_t *wire,
		   struct vmm_error **err);
/* What has crossed while the guest runs is on the target's disk: after the stop only the rest has to be. */
int tree_step_sync(struct migration *m, struct json_object *volume, struct vmm_error **err);
int tree_step_verify(struct migration *m, struct json_object *volume, struct vmm_error **err);
/* NODE_PUBLISH with these arguments, which it takes. Error "source-changed" where the tree was touched since the last push began. */
int tree_step_publish(struct migration *m, struct json_object *volume, struct json_object *args,
		      struct vmm_error **err);

#endif
