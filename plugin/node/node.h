/* node: what can be done on one node, this one or another.
 *
 *   operations.h   every operation with the fields of its arguments and reply
 *   local.c        does it on this node, with guest/ and storage/; its table says which file does which operation
 *   remote.c       sends it to the agent of another node
 *   agent.c        receives it there and calls local.c
 *
 * A step of a migration calls node_call(node, OPERATION, ...). Nothing else separates source from target, this node
 * from another, or a test (two local nodes with null guests in one process) from real nodes. Arguments and replies are
 * JSON, in memory as on the wire.
 */
#ifndef VMM_NODE_H
#define VMM_NODE_H

#include "base/base.h"
#include "copy/copy.h"
#include "guest/guest.h"
#include "link/link.h"
#include "node/operations.h"
#include "node/record.h"
#include "tree/tree.h"

struct vmm_node;

struct node_ops {
	/* Does one operation, without any check (node_call makes them). args may be NULL; *reply belongs to the caller.
	 */
	int (*call)(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
		    struct vmm_error **err);
	/* Opens a session: copy_serve serves it on that node, for the volumes that `task` has allocated there. `tls`:
	 * over TLS on a port of its own in place of ssh. Error "data-port" where no port is free or it cannot be
	 * reached. */
	int (*session)(struct vmm_node *node, const char *task, bool tls, struct stream **session,
		       struct vmm_error **err);
	/* Has this node receive a tree (tree/tree.h) at `path`, which `task` has allocated, and carries bytes between
	 * `fd`, which is closed, and the receiver until both ends are done. On any thread; *wire counts. */
	int (*tree)(struct vmm_node *node, const char *task, const char *path, bool checksum, int fd, uint64_t *wire,
		    struct vmm_error **err);
	/* Moves a running guest's memory from this node to `peer` (local nodes only). As guest_ops->migrate: it returns
	 * 0 as soon as the guest's process is gone here. Afterwards, whatever came of it, migrate_end is called. */
	int (*migrate)(struct vmm_node *node, struct vmm_node *peer, const char *task,
		       struct guest_migration *migration, struct json_object *options, struct vmm_error **err);
	/* Waits until the hypervisor is done with it and says what it says, as guest_ops->migrate_end; ends what
	 * carried the memory. Called again it does nothing. */
	int (*migrate_end)(struct vmm_node *node, struct vmm_error **err);
	/* Connects again where the link is lost; else does nothing. */
	int (*reconnect)(struct vmm_node *node, struct vmm_error **err);
	void (*close)(struct vmm_node *node);
};

struct vmm_node {
	const struct node_ops *ops;
	char *name;
	/* Asked at each sign of life of another node that carries out an operation. True: the call ends at once with
	 * error "cancelled", and the link with it. NULL: calls are not cancelled. */
	bool (*cancelled)(void *context);
	void *context;
};

/* Has a node do one operation. `args` (may be NULL) stays the caller's; *reply belongs to the caller, who may pass
 * NULL. Arguments are checked before they are sent, and the reply when it arrives, against operations.h: error
 * "bad-operation", naming the field. Another node that is silent, or that does not answer within the operation's limit,
 * is an error "link-silent". */
int node_call(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
	      struct vmm_error **err);
/* The same for a call that has come from another node: checked as well, but fields that this version does not know are
 * ignored, since the other node may be newer. */
int node_receive(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
		 struct vmm_error **err);

/* Where a node keeps its things. */
struct node_paths {
	const char *state;     /* /var/lib/vmmigrate: guests/, tasks/ */
	const char *etc;       /* /etc/vmmigrate */
	const char *run;       /* /run/vmmigrate */
	const char *hooks;     /* /usr/lib/vmmigrate/hooks.d */
	const char *libexec;   /* /usr/libexec/vmmigrate */
	const char *null_root; /* for null guests: the directory that plays the machine, else NULL */
};
extern const struct node_paths node_paths_installed;

/* This node. `paths` is borrowed for the node's life. */
int node_open_local(const struct node_paths *paths, struct vmm_node **node, struct vmm_error **err);
/* Another node, over ssh; the agent there is asked to say hello. `task` (or NULL) ends the agents that an earlier
 * connection of the task has left. */
int node_open_remote(const struct node_paths *paths, const char *name, const char *task, struct vmm_node **node,
		     struct vmm_error **err);
void node_close(struct vmm_node *node); /* NULL is harmless */

/* ------------------------------------------------------------------ administrators' hooks (hooks.c)
 *
 * What a hook that fails does to the operation HOOKS, and so to the migration. */
enum hook_failure {
	HOOK_WARNS,	 /* nothing: it goes into the reply's failed[], and the hooks after it are run */
	HOOK_VETOES,	 /* it ends the operation with the error "vetoed" or "hook-timeout" (VMM_BLOCKED) */
	HOOK_IS_FINDING, /* it goes into refused[] as {hook: path, reason}; the hooks after it are run */
};

struct node_hook {
	const char *name; /* of the phase: its programs lie in hooks.d/NAME.d */
	enum hook_failure failure;
	int limit_ms;	  /* a program that runs longer is killed, which counts as a failure */
	const char *help; /* when it is run; one sentence for the manual */
};

/* `info`, the manual, the directories that are installed (Makefile) and the runs themselves are made from this table.
 */
enum hook { HOOK_CHECK, HOOK_PRE_MIGRATE, HOOK_PRE_SWITCH, HOOK_POST_MIGRATE, HOOK_FAILED, HOOK_CANCELLED, HOOK_COUNT };
extern const struct node_hook node_hooks[HOOK_COUNT];

/* ------------------------------------------------------------------ journal (journal.c)
 *
 * A preallocated file of checksummed records, each durable when journal_add returns. The source keeps one for each task
 * (what was begun, done, undone, and the commit); each node keeps one, the made journal, of what it has made for a
 * task. A torn last record counts as not written. */
struct journal;

enum { JOURNAL_SIZE = 1 << 20 };

/* Makes (preallocating all of it) or opens the journal. Error "no-space" where it cannot be preallocated; "bad-journal"
 * where the file is something else. */
int journal_open(const char *path, bool make, struct journal **journal, struct vmm_error **err);
/* Appends a record (an object) and syncs. After a failure the record is in doubt: it may be on the disk or not. Takes
 * `record`. */
int journal_add(struct journal *journal, struct json_object *record, struct vmm_error **err);
/* All records that are whole, in the order in which they were written; belongs to the journal. */
struct json_object *journal_records(struct journal *journal);
void journal_close(struct journal *journal); /* NULL is harmless */

/* For tests: called before each record of any journal of this process is written, and again once it is on the disk
 * (`synced`). Where it returns an errno, journal_add fails with it: before the write, so that the record is not on the
 * disk; or after it, although it is. */
typedef int journal_watch_fn(void *context, const char *path, struct json_object *record, bool synced);
void journal_watch(journal_watch_fn *watch, void *context);

/* vmmigrate-agent: serves calls, or a copy session, or a relay, until the stream ends; `command` is what the other side
 * asked for: "agent [TASK]", "session TASK", "tls-session TASK", "tree TASK", "relay PATH". Returns an exit status. */
int agent_serve(const struct node_paths *paths, const char *command, struct stream *stream);

#endif
