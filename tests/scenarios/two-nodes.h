/* two-nodes: two cluster nodes in a directory and in one process, with null guests, without libvirt, ssh or root. Tests
 * run whole migrations between them, and inject a fault at any call of a node.
 *
 *	DIR/node1, node2	each a machine: state, etc, run, hooks, guests (guest/null.c), disks
 *	DIR/shared		a storage that both nodes see
 *	DIR/running-UUID	exists while the guest runs; null.c ends the process if it is started a second time
 *	DIR/root		a symbolic link to the machine that works now: as between real nodes, a path below it
 *				is the same on both and names another file on each
 */
#ifndef TEST_TWO_NODES_H
#define TEST_TWO_NODES_H

#include "migration/migration.h"

enum { NODE1, NODE2, NODES };
enum { GUEST_BYTES = 70 << 10 };
#define GUEST	   "101"
#define GUEST_UUID "7e40f1a2-0101-4c3e-9b61-aaaaaaaaaaaa"

/* What goes wrong when a node gets its n-th call. */
enum fault {
	NO_FAULT,
	REFUSED,	     /* the node does nothing and returns an error */
	DONE_BUT_FAILED,     /* the node does it and returns an error */
	CUT,		     /* the link breaks before the call arrives; it works again after a reconnect */
	CANCELLED_MEANWHILE, /* somebody asks to cancel while the node does it: a call that hears it ends, the link too
			      */
	LIMIT_PASSED,	     /* the node does it, but takes longer than the operation's limit */
	REPLY_LOST,	     /* the node does it, then the link breaks; it works again after a reconnect */
	GONE_BEFORE,	     /* as CUT, and the node cannot be reached until two_nodes_heal */
	GONE_AFTER,	     /* as REPLY_LOST, and the node cannot be reached until two_nodes_heal */
	KILLED_BEFORE,	     /* this process ends as if by SIGKILL, before the call is done */
	KILLED_AFTER,	     /* this process ends as if by SIGKILL, after the call is done */
	CANCELLED,	     /* somebody asks to cancel; then the call is done */
	CONCURRENT_TASK,     /* another task for the same migration runs to its end; then the call is done */
	FAULTS,
};
extern const char *const fault_names[FAULTS];

struct machine {
	char *root, *state, *etc, *run, *hooks;
	struct node_paths paths;
};

/* What a node is asked: an operation's name and arguments; "session" {tls}, "tree" {checksum}; or "migrate", after it
 * has returned, with what struct guest_migration holds then. */
typedef void two_nodes_watch_fn(void *context, int node, const char *what, struct json_object *args);

struct two_nodes {
	char *dir;
	struct machine machine[NODES];
	char *description;  /* what is being tested, for messages */
	int engine_node;    /* the machine whose engine runs */
	const char *called; /* what the guest is called in a request; NULL: GUEST */
	char *task;	    /* that it works on */
	int root_node;	    /* the machine that DIR/root points to, counted from 1; 0: not known */
	struct {
		int node, call;
		enum fault what;
	} fault;
	int calls[NODES];	       /* that each node has got so far */
	bool injected;		       /* the fault has happened */
	int concurrent_exit;	       /* the exit status of CONCURRENT_TASK */
	const struct variant *variant; /* that CONCURRENT_TASK migrates */
	char *memory;		       /* of the guest that was started last; NULL: it need not be kept */
	bool lost[NODES], gone[NODES]; /* the link is broken; a reconnect fails too */
	two_nodes_watch_fn *watch;     /* or NULL: called for everything that the engine asks a node */
	void *watch_context;
};

/* A kind of migration: its options, and the guest that is migrated. */
struct variant {
	const char *name, *options;
	bool shared, runs; /* its volume is on the shared storage; the guest runs */
	bool transient;	   /* the guest has no persistent definition: it is gone when it is off */
	bool tree;	   /* its volume is a directory tree; a test that uses it has the line: wrap: tree_push */
};
extern const struct variant variants[];
extern const size_t variant_count;
/* The variant of that name; the test fails if there is none. */
const struct variant *variant_named(const char *name);
/* True if the guest moves with its memory. */
bool variant_moves_memory(const struct variant *variant);

/* How a task ended. */
struct outcome {
	enum vmm_exit exit;
	bool settled;	      /* nothing is left to do for `recover` */
	char code[40];	      /* of the error, or "" */
	char *message, *task; /* the last line of the log; the task's id */
};
void outcome_free(struct outcome *outcome);

struct two_nodes *two_nodes_make(void);
void two_nodes_free(struct two_nodes *w);
/* Says what is being tested; it stands in the message of every failure. */
void two_nodes_describe(struct two_nodes *w, const char *format, ...) VMM_PRINTF(2, 3);
/* Fails the test; prints the description, this message, and the logs of all tasks. */
void two_nodes_fail(struct two_nodes *w, const char *format, ...) VMM_PRINTF(2, 3) __attribute__((noreturn));

/* Injects a fault at the n-th call (from 1) that `node` gets in the next migration or recovery. */
void two_nodes_inject(struct two_nodes *w, int node, int call, enum fault what);
/* Ends all faults: both nodes can be reached again. */
void two_nodes_heal(struct two_nodes *w);

/* Defines the guest GUEST on a machine, with one volume, one checkpoint and autostart, and starts it if the variant
 * says so. `behaviours`: an array of guest/null.c's behaviours, written with ' for ", such as "['deaf']"; NULL: none.
 */
void two_nodes_guest(struct two_nodes *w, int node, const struct variant *variant, const char *behaviours);
/* Writes the guest's volume, as the guest would; the same seed gives the same content. */
void guest_writes(struct two_nodes *w, int node, bool shared, unsigned seed);
/* True if the guest's volume has the content of that seed. */
bool volume_holds(struct two_nodes *w, int node, bool shared, unsigned seed);
/* Changes what the hypervisor of that node says of the guest, as an administrator's deed would: "reason",
 * "managed_save", "job", "moments" (guest/null.c). Takes `changes`. */
void guest_says(struct two_nodes *w, int node, struct json_object *changes);
/* Starts it by hand, past the guard. */
void guest_starts(struct two_nodes *w, int node);
/* It ends by itself, or somebody kills it. */
void guest_ends(struct two_nodes *w, int node);
/* "running", "shutoff", "absent", ...; belongs to the caller. */
char *guest_state(struct two_nodes *w, int node) VMM_MUST_USE;
/* The node that has the guest's definition. The test fails if none or both have it. */
int guest_node(struct two_nodes *w);

/* Makes a task on `from` that migrates the guest to the other node, and runs it. `options`: a JSON object as text. */
void two_nodes_migrate(struct two_nodes *w, int from, const char *options, struct outcome *outcome);
/* The same in a child process, which `watch` (see journal_watch) or a fault may end. Exit status, or 128 + signal. */
int two_nodes_migrate_in_child(struct two_nodes *w, int from, const char *options, journal_watch_fn *watch,
			       void *context);
/* Recovers one task. `keep`: the administrator's decision "source" or "target", or NULL. */
void two_nodes_recover(struct two_nodes *w, int from, const char *task, const char *keep, struct outcome *outcome);
/* Recovers all unsettled tasks of a node; the test fails if one is still unsettled after three attempts. */
void two_nodes_recover_all(struct two_nodes *w, int from);
/* Migrates the guest once more, from the node that has it now, without a fault; the test fails if that does not
 * succeed. `seed`: what the guest writes before that. */
void two_nodes_migrate_again(struct two_nodes *w, const struct variant *variant, unsigned seed);

/* True if the guest record of that node lets the guard start the guest. */
bool two_nodes_guard_admits(struct two_nodes *w, int node);

/* The machine loses power: its guest is off, and its tasks see a new boot id from now on. */
void machine_loses_power(struct two_nodes *w, int node);
/* The machine boots: it starts the guest if that has autostart and the guard admits it. */
void machine_boots(struct two_nodes *w, int node);

/* From now on the guest need not have kept its memory, also where a migration moves it. */
void two_nodes_forget_memory(struct two_nodes *w);

/* Fails the test unless all is as it must be after every end: one node has the guest and only that one could start it;
 * both records agree; the volume is there, has the newest content, and is nowhere else; no temporary file of ours is
 * left and no task is open. */
void two_nodes_check(struct two_nodes *w, const struct variant *variant, bool runs, unsigned seed);
/* Fails the test if the guest could be started on both nodes, which must not be at any moment. */
void two_nodes_check_guards(struct two_nodes *w);

#endif
