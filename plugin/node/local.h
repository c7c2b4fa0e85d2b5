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
	/* That earlier operations have left open for the next one, in the order of guest_kinds; or NULL. */
	struct guest_host *hosts[GUEST_KINDS_MOST];
};

typedef int local_op(struct local_node *node, struct json_object *args, struct json_object **reply,
		     struct vmm_error **err);

/* The host of a kind: an earlier operation's, since a guest stands still while one is opened; it is opened anew where that is of no
 * use any more (libvirtd was restarted in between). local_host_close keeps it for the next operation; NULL is harmless. */
int local_host_open(struct local_node *node, const struct guest_ops *ops, struct guest_host **host,
		    struct vmm_error **err);
void local_host_close(struct local_node *node, struct guest_host *host);

/* The guest that an operation is about: "guest" of the arguments, "KIND-ID". */
struct local_guest {
	struct local_node *node;
	const struct guest_ops *ops;
	struct guest_host *host;
	const char *key, *id; /* borrowed from the arguments: "qemu-100", "100" */
};
#define vmm_auto_guest __attribute__((cleanup(local_guest_close)))
/* The kind of that guest, without opening its host; NULL and an error where it is not known. */
const struct guest_ops *local_guest_kind(struct json_object *args, struct vmm_error **err);
int local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
		     struct vmm_error **err);
void local_guest_close(struct local_guest *guest);

/* The task that an operation is for: checked to be a name. NULL and an error where it is missing. */
const char *local_task(struct json_object *args, struct vmm_error **err);

/* Journal of what this node has made for the task, in <state>/tasks/TASK/made; made where it is not there yet. */
int local_made_open(struct local_node *node, const char *task, struct journal **made, struct vmm_error **err);
/* Notes one thing before it is made. Takes `record`. */
int local_made_note(struct local_node *node, const char *task, struct json_object *record, struct vmm_error **err);

/* Opens the guard for our own start, or for our incoming guest alone, or closes it. */
enum permit { PERMIT_NONE, PERMIT_START, PERMIT_INCOMING };
int local_permit(struct local_node *node, const char *guest, const char *task, enum permit permit,
		 struct vmm_error **err);

/* Tells a kind that has a guard of its own whose the guest is (power.c). */
int local_own(struct local_node *node, struct json_object *args, bool own, struct vmm_error **err);

/* Ends the relay processes that the task has on this node (undo.c). */
int local_end_relays(struct local_node *node, const char *task, struct vmm_error **err);

/* Removes the frozen files of the task's volumes (undo.c). */
int local_drop_snapshots(struct local_node *node, const char *task, struct vmm_error **err);

/* Removes what the task has set aside on this node: it has been replaced for good (undo.c). */
int local_drop_aside(struct local_node *node, const char *task, struct vmm_error **err);

/* A volume that has its final name is ours only while it is the very file that we named. The record "final" of the journal of what was
 * made, before it is named (NULL: an error), and whether it is that file still (undo.c). */
struct json_object *local_final_note(const char *temporary, const char *to, const char *kind, struct vmm_error **err);
bool local_same_file(struct json_object *record);

/* For each of a guest's volumes, by its place in the array, what this node finds where it would lie (engine.h: "fit.volumes";
 * places.c). `mapping` (or NULL) is the option targetstorage. */
struct json_object *local_places(struct json_object *guest, struct json_object *guests, struct json_object *storages,
				 struct json_object *mapping);

/* devices.c: what this node says of the block device in a volume's place ("device", "other_block" and "same_block" of
 * "fit.volumes"). */
void device_look(struct json_object *place, struct json_object *volume, const char *path, struct json_object *guests,
		 const char *guest);
/* No guest of this node but `guest` ("qemu-100") has it for a disk: error "volume-taken" names the other. */
int device_unclaimed(struct local_node *node, const char *path, const char *guest, struct vmm_error **err);

/* The directory of a task on this node. */
char *local_task_dir(struct local_node *node, const char *task) VMM_MUST_USE;

/* One file each. */
local_op local_facts, local_guests;								/* facts.c */
local_op local_record, local_lock, local_advance, local_reclaim, local_unlock, local_permit_op; /* lock.c, power.c */
local_op local_allocate, local_publish;								/* volumes.c */
local_op local_freeze, local_thaw;								/* freeze.c */
local_op local_define, local_autostart, local_state, local_definition, local_start, local_release, local_stop,
	local_destroy, local_migrate_abort; /* power.c */
local_op local_give_up, local_abort;	    /* undo.c */
local_op local_seeds;			    /* seeds.c */
local_op local_hooks;			    /* hooks.c */
local_op local_token;			    /* volumes.c */
local_op local_digest, local_sync;	    /* trees.c */

/* volumes.c: serves copies of the task's volumes on the stream until it ends. */
int local_serve(const struct node_paths *paths, const char *task, struct stream *stream, struct vmm_error **err);
int local_session(struct vmm_node *node, const char *task, bool tls, struct stream **session, struct vmm_error **err);

/* trees.c: the place of a tree that the task has made here, under its real path; belongs to the caller. Error "not-ours". */
int local_tree_place(const struct node_paths *paths, const char *task, const char *name, char **place,
		     struct vmm_error **err);
int local_tree(struct vmm_node *node, const char *task, const char *place, bool checksum, int fd, uint64_t *wire,
	       struct vmm_error **err);
/* live.c. The directory of the socket that a guest's memory crosses by, on either side, is QEMU's user's alone. */
int local_memory_place(const struct local_guest *g, const char *task, uid_t *user, gid_t *group,
		       struct vmm_error **err);
int local_migrate(struct vmm_node *node, struct vmm_node *peer, const char *task, struct guest_migration *migration,
		  struct json_object *options, struct vmm_error **err);
int local_migrate_end(struct vmm_node *vmm, struct vmm_error **err);

#endif
