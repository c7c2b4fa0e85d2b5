/* operations.h: everything that can be asked of a node, and of which fields each question and its answer consist.
 * node.c makes the checks of node_call from this table; agent.c looks operations up in it by their names.
 *
 * Every operation is idempotent: called again after a lost reply it does no harm and gives the same answer.
 *
 * A row: OPERATION(NAME, name on the wire, its limit, what it does, fields of the arguments, fields of the reply).
 *
 * The limit: after so many seconds another node that says that it is alive, but has not answered, is taken for one that
 * hangs (remote.c). It is far above what a slow node needs; the argument limit_ms, where there is one, is added. Like
 * any silence it says nothing about what has become of the operation. A field:
 *
 *	NEED(TYPE, name, meaning)			it must be there
 *	MAY(TYPE, name, meaning)			it may be absent
 *	NEED_WHEN(other, value, TYPE, name, meaning)	it must be there where the text field `other` has that value
 *	ONE_OF(names, name, meaning)			it must be there and be one of these names: "source|target"
 *	MAY_BE_ONE_OF(names, name, meaning)		likewise, or absent
 *
 * TYPE is TEXT, NAME (name_check), PATH (absolute, path_check), NUMBER, FLAG, OBJECT or LIST. There are no default
 * values: where absence would mean something dangerous, the field is needed.
 */
#ifndef VMM_OPERATIONS_H
#define VMM_OPERATIONS_H

#include "base/fields.h"

#define OF_TASK	     NEED(NAME, task, "the task's id") NEED(NAME, guest, "the guest record's name: \"KIND-UUID\"")
#define OF_GUEST     MAY(NAME, task, "the task's id") NEED(NAME, guest, "the guest record's name")
#define RECORD_REPLY MAY(OBJECT, record, "the guest record as it is now")
#define NO_FIELDS

/* clang-format off */
/* cppcheck-suppress preprocessorErrorDirective; it expands the fields before it counts the arguments of a row */
#define NODE_OPERATIONS(OPERATION) \
	OPERATION(FACTS, facts, 120, "says what the node is and has, and all about one guest", \
		MAY(TEXT, guest, "id, name or UUID of a guest of this node") \
		MAY(NAME, kind, "its kind, where that is known") \
		MAY(OBJECT, fit, "facts of a guest of another node: could it run here?") \
		MAY(LIST, targetstorage, "where --targetstorage sends its volumes"), \
		NEED(OBJECT, node, "plan.h has these") \
		NEED(OBJECT, host, "") \
		NEED(LIST, storages, "") \
		NEED(LIST, bridges, "") \
		MAY(LIST, links, "") \
		NEED(LIST, guests, "") \
		MAY(OBJECT, guest, "") \
		MAY(OBJECT, record, "") \
		MAY(OBJECT, fit, "")) \
	OPERATION(GUESTS, guests, 60, "lists the node's guests", \
		NO_FIELDS, \
		NEED(LIST, guests, "short facts, each with its record") \
		NEED(LIST, errors, "of hypervisors that do not answer")) \
	OPERATION(TOKEN, token, 30, "proves that a directory is the same one on two nodes", \
		ONE_OF("write|look|remove", do, "") \
		NEED(PATH, dir, "the directory") \
		NEED_WHEN(do, "look", NAME, token, "as `write` has given it") \
		NEED_WHEN(do, "remove", NAME, token, ""), \
		MAY(NAME, token, "of `write`: the file's name") \
		MAY(FLAG, there, "of `look`: that file is here")) \
	OPERATION(CONTENT, content, 600, "says what is in a file or tree, for a comparison with another node's", \
		NEED(PATH, path, ""), \
		NEED(NUMBER, size, "of a file, in bytes") \
		NEED(TEXT, digest, "of all its bytes; of a large one, of samples of them") \
		NEED(FLAG, sampled, "it is large")) \
	OPERATION(RECORD, record, 30, "says what the node has noted of a guest", \
		OF_GUEST, \
		RECORD_REPLY) \
	OPERATION(LOCK, lock, 60, "locks the guest for the task", \
		OF_TASK \
		ONE_OF("source|target", role, "of this node") \
		NEED(NAME, peer, "the other node") \
		NEED(NAME, kind, "") \
		NEED(NAME, id, "") \
		MAY(TEXT, name, "") \
		MAY(TEXT, uuid, "") \
		NEED(NUMBER, generation, "of the guest as it is now") \
		NEED(FLAG, runs, "it is to run when it has moved: for a target that is left alone with it") \
		NEED(FLAG, autostart, "likewise") \
		MAY(NAME, yields, "the owner that the record names: it was asked, and has no such guest"), \
		NEED(OBJECT, record, "")) \
	OPERATION(FORGET, forget, 60, "lets go of a record whose owner was asked, and has no such guest", \
		NEED(NAME, guest, "the guest record's name") \
		NEED(NAME, owner, "that it names") \
		NEED(NUMBER, generation, "the highest one that the owner has noted"), \
		NEED(FLAG, here, "this node has the guest, and is its owner now")) \
	OPERATION(ADVANCE, advance, 60, "writes the record's next state to the disk", \
		OF_TASK \
		ONE_OF("handover|committed|abandoned", to, "") \
		NEED_WHEN(to, "committed", NAME, owner, "the node that has the guest from now on") \
		NEED_WHEN(to, "committed", NUMBER, generation, "that it has from now on"), \
		NEED(OBJECT, record, "")) \
	OPERATION(RECLAIM, reclaim, 60, \
		"writes an administrator's decision into the record, whatever state that is in", \
		OF_TASK \
		NEED(NAME, owner, "") \
		NEED(NUMBER, generation, "") \
		ONE_OF("source|committed|abandoned", state, ""), \
		NO_FIELDS) \
	OPERATION(UNLOCK, unlock, 600, \
		"ends the task here: forgets its made journal, keeps the record without a task", \
		OF_TASK, \
		NO_FIELDS) \
	OPERATION(HOOKS, hooks, 3600, "runs the administrators' hooks of a phase; see node_hooks in node.h", \
		MAY(NAME, task, "") \
		MAY(NAME, guest, "") \
		NEED(NAME, phase, "the name of a row of node_hooks") \
		NEED(TEXT, id, "the guest's, the hook's first argument") \
		NEED(OBJECT, environment, "VMMIGRATE_* variables") \
		NEED(OBJECT, input, "what the hook reads on stdin"), \
		NEED(LIST, ran, "paths of hooks") \
		NEED(LIST, odd, "not run: odd name, not executable, or others can write them or a directory above") \
		NEED(LIST, failed, "messages of hooks that failed and may not veto") \
		NEED(LIST, refused, "of check hooks: {hook: path, reason} of each that failed")) \
	OPERATION(ALLOCATE, allocate, 3600, "makes a volume under its temporary path, empty or from a seed", \
		OF_TASK \
		NEED(OBJECT, volume, "of the plan") \
		NEED(FLAG, replace, "a file that is at its destination may be set aside at PUBLISH"), \
		NEED(FLAG, begun, "it holds something already") \
		NEED(NUMBER, seed, "bytes that it begins with")) \
	OPERATION(FREEZE, freeze, 300, "makes a snapshot of a volume beside it, for the rounds of its copy", \
		OF_TASK \
		NEED(PATH, path, "of the volume") \
		NEED(NAME, tracker, "track.h") \
		NEED(NUMBER, round, "") \
		NEED(NUMBER, need, "bytes that may be written to the filesystem while there are snapshots"), \
		NEED(PATH, snapshot, "its path") \
		NEED(NUMBER, device, "") \
		NEED(NUMBER, inode, "")) \
	OPERATION(THAW, thaw, 600, "removes a snapshot; UNLOCK and ABORT remove those that are left", \
		OF_TASK \
		NEED(PATH, snapshot, ""), \
		NO_FIELDS) \
	OPERATION(PUBLISH, publish, 3600, "syncs a volume and renames it to its final path, never over another file", \
		OF_TASK \
		NEED(OBJECT, volume, "of the plan") \
		NEED(FLAG, replace, "a file that is there is set aside first"), \
		NO_FIELDS) \
	OPERATION(DEFINE, define, 120, "defines the guest from the source's definition", \
		OF_TASK \
		NEED(TEXT, definition, "") \
		NEED(LIST, volumes, "what to change in it: guest_ops->rewrite") \
		NEED(FLAG, replace, "a stopped guest of that name is set aside first"), \
		NO_FIELDS) \
	OPERATION(MOMENTS, moments, 120, "reads the records of the guest's snapshots and checkpoints", \
		OF_GUEST, \
		NEED(LIST, moments, "guest_ops->moments")) \
	OPERATION(DEFINE_MOMENTS, define_moments, 300, "records them for the guest here, which is defined", \
		OF_TASK \
		NEED(LIST, moments, "") \
		NEED(LIST, volumes, "what to change in them: guest_ops->rewrite"), \
		NO_FIELDS) \
	OPERATION(AUTOSTART, autostart, 60, "sets whether the guest starts with its node", \
		OF_TASK \
		NEED(FLAG, on, ""), \
		NO_FIELDS) \
	OPERATION(STATE, state, 60, "says how the guest is", \
		OF_GUEST, \
		NEED(NAME, state, "guest_ops->state; \"absent\": there is no such guest") \
		NEED(FLAG, complete, "all of its memory is here") \
		MAY(TEXT, reason, "") \
		MAY(TEXT, job, "") \
		MAY(TEXT, uuid, "")) \
	OPERATION(INSPECT, inspect, 60, "says what somebody else may change while a task moves the guest", \
		OF_GUEST, \
		NEED(NAME, state, "guest_ops->state; \"absent\": there is no such guest, and no more fields") \
		MAY(TEXT, reason, "") \
		MAY(TEXT, definition, "") \
		MAY(FLAG, managed_save, "its memory is saved on this node") \
		MAY(TEXT, job, "that is under way with it or one of its disks") \
		MAY(LIST, moments, "as in the guest's facts") \
		MAY(NUMBER, snapshots, "that cannot be carried: how many it has")) \
	OPERATION(START, start, 300, "starts the guest, and has the guard admit just this start", \
		OF_TASK \
		NEED(FLAG, held, "it is set up and runs nothing until RELEASE"), \
		NO_FIELDS) \
	OPERATION(RELEASE, release, 120, "lets a held guest run, where the record says that this node owns it", \
		OF_TASK, \
		NO_FIELDS) \
	OPERATION(STOP, stop, 120, "shuts the guest down", \
		OF_TASK \
		NEED(NUMBER, limit_ms, "how long it is waited for") \
		NEED(FLAG, force, "it is killed then"), \
		NO_FIELDS) \
	OPERATION(DESTROY, destroy, 120, "ends the guest at once", \
		OF_TASK, \
		NO_FIELDS) \
	OPERATION(PERMIT, permit, 120, "has the guard admit our incoming guest, until the record's next state", \
		OF_TASK \
		NEED(FLAG, replace, "a stopped guest of that name is set aside first"), \
		NO_FIELDS) \
	OPERATION(MIGRATE_ABORT, migrate_abort, 180, \
		"ends a migration of memory that runs without us, and our relays", \
		OF_TASK, \
		NO_FIELDS) \
	OPERATION(DIGEST, digest, 86400, "reads a tree that the task has made here, and says its digest", \
		OF_TASK \
		NEED(PATH, volume, "the tree's temporary path") \
		MAY(TEXT, key, "of a keyed digest; absent: SHA-256") \
		NEED(FLAG, contents, "files' contents too, not only names and attributes") \
		MAY(LIST, files, "the contents of these alone"), \
		NEED(TEXT, digest, "")) \
	OPERATION(FLAGS, flags, 3600, "sets flags of chattr(1) on files of a tree that the task has published here", \
		OF_TASK \
		NEED(PATH, volume, "the tree's path") \
		NEED(LIST, files, "{path, flags} of each"), \
		NEED(NUMBER, left, "files whose filesystem does not know all of their flags") \
		MAY(TEXT, first, "the path of one of them")) \
	OPERATION(SYNC, sync, 3600, "brings a tree that the task has made here to the disk", \
		OF_TASK \
		NEED(PATH, volume, "the tree's temporary path"), \
		NO_FIELDS) \
	OPERATION(GIVE_UP, give_up, 3600, "removes a guest that is another node's: its definition and these volumes", \
		OF_TASK \
		NEED(LIST, volumes, "of the plan") \
		NEED(FLAG, keep_seed, "they stay as seeds"), \
		NEED(LIST, left, "what could not be removed, and why")) \
	OPERATION(ABORT, abort, 3600, "removes all that the made journal says the task has made here", \
		OF_TASK, \
		NEED(LIST, kept, "copies that stay as seeds")) \
	OPERATION(SEEDS, seeds, 3600, "lists the node's seeds, or removes them", \
		MAY_BE_ONE_OF("old|all", prune, "remove those whose time is over, or all") \
		MAY(NAME, guest, "only those of this guest record"), \
		NEED(LIST, seeds, "seeds.h") \
		NEED(LIST, pruned, "those that were removed"))
/* clang-format on */

enum node_op {
#define OPERATION_NUMBER(NAME, name, limit, does, arguments, reply) NODE_##NAME,
	NODE_OPERATIONS(OPERATION_NUMBER)
#undef OPERATION_NUMBER
		NODE_OP_COUNT
};

struct operation {
	const char *name; /* on the wire */
	int limit_s;
	const struct field *arguments, *reply;
};
extern const struct operation node_operations[NODE_OP_COUNT];

#endif
