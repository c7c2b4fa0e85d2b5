/* world: two machines in a directory, so that the whole story of a migration - and all that can go wrong in it - is played in
 * one process, with null guests, without libvirt, ssh or root.
 *
 *	<world>/node1, node2	each a machine: state, etc, run, hooks, guests (guest/null.c), disks
 *	<world>/shared		a storage that both see
 *	<world>/running-UUID	a guest that runs; null.c ends the process where one would run twice
 *	<world>/root		a link to the machine that is at work: a path below it is the same on both, and means
 *				another file on each, as paths do
 */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include "migration/migration.h"

enum { NODE1, NODE2, NODES };
enum { GUEST_BYTES = 70 << 10 };
#define GUEST "101"

/* What goes wrong when the n-th thing is asked of a node. */
enum trouble {
	NO_TROUBLE,
	REFUSED,	 /* it is not done, and the node says so */
	DONE_BUT_FAILED, /* it is done, and the node says that it was not */
	CUT,		 /* the link breaks before the question arrives; the next attempt finds it whole */
	REPLY_LOST,	 /* the link breaks when it is done; the next attempt finds it whole */
	GONE_BEFORE,	 /* as CUT, and the node cannot be reached until world_heal */
	GONE_AFTER,	 /* as REPLY_LOST, likewise */
	KILLED_BEFORE,	 /* this process ends as by SIGKILL, before it is done */
	KILLED_AFTER,	 /* and when it is done */
	CANCELLED,	 /* somebody asks to cancel; it is done */
	RIVAL,		 /* another task is to do the same, and runs to its end meanwhile; it is done */
	TROUBLES,
};
extern const char *const trouble_names[TROUBLES];

struct machine {
	char *root, *state, *etc, *run, *hooks;
	struct node_paths paths;
};

struct world {
	char *dir;
	struct machine machine[NODES];
	char *story; /* what is being tried, for messages */
	int home;    /* the machine whose engine is at work */
	char *task;  /* that it works on */
	int view;    /* whose files paths mean just now, counted from 1 */
	struct {
		int node, call;
		enum trouble what;
	} trouble;
	int calls[NODES];      /* what was asked of each so far */
	bool struck;	       /* the trouble has come */
	int rival;	       /* how the other task has ended */
	const struct way *way; /* in which the rival moves the guest */
	char *memory;	       /* of the guest that was started last; NULL: it may be lost */
	bool lost[NODES], gone[NODES];
};

/* How the guest moves. */
struct way {
	const char *name, *options;
	bool shared, runs;
	bool tree; /* its volume is a directory tree; a test that goes this way has the line: wrap: tree_push */
};
extern const struct way ways[];
extern const size_t way_count;

/* How a task ended. */
struct ended {
	enum vmm_exit exit;
	bool settled;
	char code[40];	      /* of the error, or "" */
	char *message, *task; /* the last line */
};
void ended_free(struct ended *ended);

struct world *world_make(void);
void world_free(struct world *w);
/* What is being tried; appears in every message of a failure. */
void world_story(struct world *w, const char *format, ...) VMM_PRINTF(2, 3);
/* Fails the test with the story, what is wrong, and the logs of all tasks. */
void world_fail(struct world *w, const char *format, ...) VMM_PRINTF(2, 3) __attribute__((noreturn));

/* The n-th call (from 1) of `node` in what is run next meets trouble; counts begin anew. */
void world_trouble(struct world *w, int node, int call, enum trouble what);
/* No trouble any more; both nodes can be reached. */
void world_heal(struct world *w);

/* The guest GUEST on a machine: one volume, local or shared; it runs, or is off. Autostart is on. `behaviours`: "['deaf']" or NULL. */
void world_guest(struct world *w, int node, const struct way *way, const char *behaviours);
/* What the guest has written last: the same seed gives the same content. */
void guest_writes(struct world *w, int node, bool shared, unsigned seed);
bool guest_has(struct world *w, int node, bool shared, unsigned seed);
/* "running", "shutoff", "absent", ... */
char *guest_state(struct world *w, int node) VMM_MUST_USE;
/* The node that has the guest's definition, exactly one, or the test fails. */
int guest_node(struct world *w);

/* Makes a task on `from` and carries it out; `options` is an object as text. */
void world_migrate(struct world *w, int from, const char *options, struct ended *ended);
/* The same in a process of its own, which journal_watch may end. Its exit status, or 128 + signal. */
int world_migrate_apart(struct world *w, int from, const char *options, journal_watch_fn *watch, void *context);
/* Settles it. `keep`: "source", "target" or NULL. */
void world_recover(struct world *w, int from, const char *task, const char *keep, struct ended *ended);
/* Settles all tasks of that node that are not settled; the test fails where that does not come to an end. */
void world_settle(struct world *w, int from);
/* The same migration from wherever the guest is now, with no trouble: it succeeds, and all is in order. `seed`: what the guest has
 * written meanwhile. */
void world_again(struct world *w, const struct way *way, unsigned seed);

/* What the guest record there says to a start. */
bool world_guard_admits(struct world *w, int node);

/* The machine loses power: what ran or stood there is off. Its boot id is another one from now on. */
void machine_dies(struct world *w, int node);
/* It starts what has autostart and what its guard admits. */
void machine_boots(struct world *w, int node);

/* From now on the guest may have been started anew, though it was to move with its memory. */
void world_forget_memory(struct world *w);

/* What holds after every end: one node has the guest, and only that one could start it; both records agree; the volume is there, is the
 * newest, and is nowhere else; nothing that we made lies about; no task is open. */
void world_check(struct world *w, const struct way *way, bool runs, unsigned seed);
/* What holds at every moment, settled or not: the guest cannot be started on two nodes. */
void world_check_guards(struct world *w);

#endif
