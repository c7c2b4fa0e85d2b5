/* steps.h: what the rows of the table in phases.c do. `volume` is one of the plan's, or NULL. */
#ifndef VMM_MIGRATION_STEPS_H
#define VMM_MIGRATION_STEPS_H

#include "migration/migration.h"

typedef int step(struct migration *m, struct plan_volume *volume, struct vmm_error **err);
typedef int undo(struct migration *m, struct vmm_error **err);

step step_lock, step_pre_hooks, step_switch_hooks, step_post_hooks, step_unlock;    /* steps.c */
step step_stop, step_define, step_settle, step_confirm;				    /* steps.c */
undo undo_lock, undo_stop;							    /* steps.c */
step step_prepare, step_precopy, step_rounds, step_copy, step_verify, step_publish; /* steps-volumes.c */
step step_handover, step_commit, step_release;					    /* steps-handover.c */
undo undo_handover;								    /* steps-handover.c */

/* What others do to the guest on the source meanwhile (interference.c). check_untouched: is the guest still as the plan
 * has it - with `stopped`, is it off, and by our order? Errors "guest-state", "guest-gone",
 * "guest-job-active", "managed-save", "definition-changed", "snapshots". */
int check_untouched(struct migration *m, bool stopped, struct vmm_error **err);
/* True where somebody else has turned the guest off in a way that forbids to start it again. `moved_by_us`: this task
 * may have moved its memory. log_off_by_others says that it stays off. */
bool is_off_by_others(struct migration *m, struct json_object *state, bool moved_by_us);
void log_off_by_others(struct migration *m, struct json_object *state);

/* The error "chosen": an administrator has given the guest to the target. Returns -1. */
int refuse_as_chosen(struct migration *m, struct vmm_error **err);

/* Defines a guest again, from the plan, that somebody has undefined here while it was off: undone means that the guest
 * is as it was. *defined: it is defined now. If its volumes are gone too, or another guest has its name, it stays
 * undefined, and the log says so. */
int define_again(struct migration *m, bool *defined, struct vmm_error **err);

/* The records of the guest's snapshots and checkpoints (steps.c). keep_moments writes them to the task's directory
 * before anything is touched: libvirt forgets those of a transient guest when its memory has moved. define_moments
 * records them for the guest that is defined on that side; what they hold has been copied with the volumes, or is on
 * shared storage. */
int keep_moments(struct migration *m, struct vmm_error **err);
int define_moments(struct migration *m, enum side side, struct vmm_error **err);

/* Tells the target to remove what it has made for the task, and to forget the task. If the target cannot be told,
 * m->pending is set: the target cannot start anything, and recover tells it later. Error "committed" if the target owns
 * the guest. */
int abort_on_target(struct migration *m, struct vmm_error **err);

/* Runs the hooks of the end - one of HOOK_POST_MIGRATE, HOOK_FAILED and HOOK_CANCELLED - once on each node that has run
 * pre-migrate hooks. A hook that fails is a warning. */
void hooks_end(struct migration *m, enum hook hook);

/* Closes the sessions of copies that are open. */
void sessions_drop(struct migration *m);

/* Snapshots of the source's volumes (snapshots.c). snapshot_make makes one of the volume, as its `reading`; that is all
 * zero if none can be made, and then none is tried again. snapshot_drop removes one; if that fails, it is removed when
 * the guest is unlocked. */
void snapshot_make(struct migration *m, const struct plan_volume *volume, int round);
void snapshot_drop(struct migration *m, struct track_snapshot *snapshot);
/* What differs between a snapshot and `fd`; all of the volume if that cannot be told. */
int changed_since(struct migration *m, const struct plan_volume *volume, const struct track_snapshot *since, int fd,
		  struct track_changes *changes, struct vmm_error **err);
/* False once the source's storage has too little room left beside the snapshots: m->no_room is set, and the copy that
 * is under way ends. snapshots_give_up removes them all, and has all volumes read whole from then on. */
bool snapshots_have_room(struct migration *m);
void snapshots_give_up(struct migration *m);

/* The phase and the object that a long copy reports its progress for (migration.c). */
struct watching {
	struct migration *m;
	const char *phase, *object;
	int round; /* 0: the only pass, or the last */
};
/* Reports progress; takes `more`. Returns false once somebody has asked to cancel, or m->no_room is set. */
bool watching_report(const struct watching *watching, uint64_t done, uint64_t total, struct json_object *more);

/* Directory trees (steps-trees.c), which are not copied as images are. */
bool volume_is_tree(const struct plan_volume *volume);
/* Copies the tree. `round`: 0 for the only pass, or the last; *wire: bytes that were sent. */
int tree_step_push(struct migration *m, const struct plan_volume *volume, const char *phase, int round, uint64_t *wire,
		   struct vmm_error **err);
/* Has the target sync the tree while the guest runs, so that little is left to write after the stop. */
int tree_step_sync(struct migration *m, const struct plan_volume *volume, struct vmm_error **err);
/* Compares both ends; copies the tree once more, and compares again, if they differ. Error "verify-failed". */
int tree_step_verify(struct migration *m, const struct plan_volume *volume, struct vmm_error **err);
/* NODE_PUBLISH with these arguments, which it takes. Error "source-changed" if the tree was written to since the last
 * push began. */
int tree_step_publish(struct migration *m, const struct plan_volume *volume, struct json_object *args,
		      struct vmm_error **err);

#endif
