/* local.h: what the files behind local.c share. Nobody outside this room includes it. */
#ifndef VMM_NODE_LOCAL_H
#define VMM_NODE_LOCAL_H

#include "node/node.h"
#include "storage/storage.h"

struct local_moving;

struct local_node {
	struct vmm_node base;
	const struct node_paths *paths;
	struct json_object *config;
	struct local_moving *moving; /* from migrate to migrate_end (live.c) */
	/* Connections to hypervisors that earlier operations have left open for the next one, in the order of
	 * guest_kinds; or NULL. */
	struct guest_host *hosts[GUEST_KINDS_MOST];
};

/* Does one operation. node_call has checked its arguments: what operations.h needs is there, and of its type. */
typedef int local_op(struct local_node *node, struct json_object *args, struct json_object **reply,
		     struct vmm_error **err);

/* Opens the connection to the hypervisor of a kind, or takes the one that an earlier operation has left open: opening
 * takes time in which a guest may stand still. A connection that is dead (libvirtd was restarted) is opened anew.
 * local_host_close keeps it for the next operation; NULL is harmless. */
int local_host_open(struct local_node *node, const struct guest_ops *ops, struct guest_host **host,
		    struct vmm_error **err);
void local_host_close(struct local_node *node, struct guest_host *host);

/* The guest that an operation is about: "guest" of the arguments, the name of its record. */
struct local_guest {
	struct local_node *node;
	const struct guest_ops *ops;
	struct guest_host *host;
	const char *key, *id; /* borrowed from the arguments: the name, and the UUID or id in it */
};
#define vmm_auto_guest __attribute__((cleanup(local_guest_close)))
/* The kind of that guest, without opening its host; NULL and an error where it is not known. */
const struct guest_ops *local_guest_kind(struct json_object *args, struct vmm_error **err);
int local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
		     struct vmm_error **err);
void local_guest_close(struct local_guest *guest);

/* The made journal: what this node has made for the task, in <state>/tasks/TASK/made. Creates it where it does not
 * exist. */
int local_made_open(struct local_node *node, const char *task, struct journal **made, struct vmm_error **err);
/* Notes in the made journal one thing that is about to be made. Takes `record`. */
int local_made_note(struct local_node *node, const char *task, struct json_object *record, struct vmm_error **err);

/* Has the guard admit nobody; our own start, as long as this process lives; our incoming guest; or every start, because
 * this node has committed and released the guest (lock.c). */
enum permit { PERMIT_NONE, PERMIT_START, PERMIT_INCOMING, PERMIT_RELEASED };
int local_permit(struct local_node *node, const char *guest, const char *task, enum permit permit,
		 struct vmm_error **err);
/* *released: the guard admits every start, because the guest was released here in this boot or the task has ended. */
int local_was_released(const struct guest_record *record, bool *released, struct vmm_error **err);

/* Tells a kind that has a guard of its own whether this node owns the guest (power.c). */
int local_own(struct local_node *node, struct json_object *args, bool own, struct vmm_error **err);

/* Ends the relay processes that the task has on this node (undo.c). */
int local_end_relays(struct local_node *node, const char *task, struct vmm_error **err);

/* Removes `dir`, and those above it up to `home`, as far as they are empty (undo.c). `home` may be NULL. */
void local_remove_emptied(const char *dir, const char *home);

/* Removes the snapshots of the task's volumes (undo.c). */
int local_drop_snapshots(struct local_node *node, const char *task, struct vmm_error **err);

/* Removes what the task has set aside on this node, once the commit has replaced it for good (undo.c). */
int local_drop_aside(struct local_node *node, const char *task, struct vmm_error **err);

/* A volume under its final path is ours only as long as it is the same file that we renamed. local_final_note makes the
 * record "final" of the made journal before `file` is renamed (NULL: an error); local_same_file says whether the file
 * at that path is still that one (undo.c). */
struct json_object *local_final_note(const char *file, const char *to, const char *kind, struct vmm_error **err);
bool local_same_file(struct json_object *record);

/* destination.c: for each of the guest's volumes, in their order, where it would be on this node and what is there
 * (plan.h, "fit.volumes"). `mapping` is the option targetstorage, or NULL. */
struct json_object *local_destinations(struct json_object *guest, struct json_object *guests,
				       struct json_object *storages, struct json_object *mapping);
/* Adds to *found what is known of the block device at `path`, where the volume would be: "device", "other_block" and
 * "same_block" of "fit.volumes". `guest`: the name of its guest record. */
void device_look(struct json_object *found, struct json_object *volume, const char *path, struct json_object *guests,
		 const char *guest);
/* Error "volume-taken" if this system, or a guest of this node other than `guest` (its record's name), uses it. */
int device_unclaimed(struct local_node *node, const char *path, const char *guest, struct vmm_error **err);

/* needs.c: for each of the guest's "needs" (guest.h), in their order, whether this node has it (plan.h, "fit.needs").
 */
struct json_object *local_needs(struct json_object *guest);
/* places.c: may a volume of that path be made here? Error "no-storage". */
int local_place_check(struct local_node *node, const char *path, struct vmm_error **err);

/* users.c: the ids of the other guests of this node that need the file at `path`, as a disk or below one; an array that
 * belongs to the caller. */
struct json_object *local_users_of(const char *path, struct json_object *guest, struct json_object *guests);
/* Sets "used_by" of each volume of the guest facts to these, and "alias" (guest.h). */
void local_add_users(struct json_object *guest, struct json_object *guests);

/* The directory of a task on this node; belongs to the caller. */
char *local_task_dir(struct local_node *node, const char *task) VMM_MUST_USE;

/* One file each. */
local_op local_facts, local_guests;							     /* facts.c */
local_op local_record, local_lock, local_forget, local_advance, local_reclaim, local_unlock; /* lock.c */
local_op local_allocate, local_publish;							     /* volumes.c */
local_op local_freeze, local_thaw;							     /* freeze.c */
local_op local_define, local_autostart, local_state, local_inspect, local_start, local_release, local_stop,
	local_destroy, local_permit_op, local_migrate_abort; /* power.c */
local_op local_give_up, local_abort;			     /* undo.c */
local_op local_seeds;					     /* seeds.c */
local_op local_hooks;					     /* hooks.c */
local_op local_token;					     /* volumes.c */
local_op local_content;					     /* content.c */
local_op local_digest, local_sync;			     /* trees.c */
local_op local_flags;					     /* trees.c */
local_op local_moments, local_define_moments;		     /* power.c */

/* volumes.c: serves copies of the task's volumes on the stream until it ends. */
int local_serve(const struct node_paths *paths, const char *task, struct stream *stream, struct vmm_error **err);
int local_session(struct vmm_node *node, const char *task, bool tls, struct stream **session, struct vmm_error **err);

/* trees.c: the real path of a tree that the task has made here under the path `name`; belongs to the caller. Error
 * "not-ours". */
int local_tree_path(const struct node_paths *paths, const char *task, const char *name, char **path,
		    struct vmm_error **err);
int local_tree(struct vmm_node *node, const char *task, const char *path, bool checksum, int fd, uint64_t *wire,
	       struct vmm_error **err);
/* live.c: makes the directory of the socket that carries a guest's memory, on either side; only QEMU's user may enter
 * it. */
int local_memory_directory(const struct local_guest *g, const char *task, uid_t *user, gid_t *group,
			   struct vmm_error **err);
int local_migrate(struct vmm_node *node, struct vmm_node *peer, const char *task, struct guest_migration *migration,
		  struct json_object *options, struct vmm_error **err);
int local_migrate_end(struct vmm_node *vmm, struct vmm_error **err);

#endif
