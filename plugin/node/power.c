/* power.c: a guest's definition and its power on this node. */
#include <string.h>

#include "node/local.h"

int local_state(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_guest struct local_guest g;
	return local_guest_open(node, args, &g, err) < 0 ? -1 : g.ops->state(g.host, g.id, reply, err);
}

int local_inspect(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_guest struct local_guest g;
	vmm_auto_json struct json_object *facts = NULL, *state = NULL;
	if (local_guest_open(node, args, &g, err) < 0 || g.ops->state(g.host, g.id, &state, err) < 0)
		return -1;
	struct json_object *made = json_make("state:s reason:s", json_text(state, "state"), json_text(state, "reason"));
	if (!str_same(json_text(state, "state"), "absent")) {
		if (g.ops->facts(g.host, g.id, &facts, err) < 0) {
			json_object_put(made);
			return -1;
		}
		json_put(made, "definition:s managed_save:b job:s moments:O snapshots:i",
			 json_text(facts, "definition"), (int)json_true(facts, "managed_save"), json_text(facts, "job"),
			 json_at(facts, "moments"), json_number(facts, "snapshots"));
	}
	*reply = made;
	return 0;
}

/* The guest's snapshots and checkpoints; an empty list where its kind has none, or where there is no such guest: the
 * source has given it up. */
static int moments_of(struct local_guest *g, const char *who, struct json_object **moments, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	*moments = NULL;
	if (g->ops->moments && g->ops->moments(g->host, who, moments, &problem) < 0 &&
	    !error_is(problem, "no-such-guest")) {
		error_take(err, problem);
		return -1;
	}
	error_clear(&problem);
	if (!*moments)
		*moments = json_object_new_array();
	return 0;
}

int local_moments(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_guest struct local_guest g;
	struct json_object *moments = NULL;
	if (local_guest_open(node, args, &g, err) < 0 || moments_of(&g, g.id, &moments, err) < 0)
		return -1;
	*reply = json_make("moments:o", moments);
	return 0;
}

int local_define_moments(struct local_node *node, struct json_object *args, struct json_object **reply,
			 struct vmm_error **err)
{
	(void)reply;
	vmm_auto_guest struct local_guest g;
	if (local_guest_open(node, args, &g, err) < 0)
		return -1;
	if (!json_count(args, "moments"))
		return 0;
	if (!g.ops->define_moments)
		return error_set(err, VMM_FAILED, "not-supported", "the snapshots of a %s cannot be recorded",
				 g.ops->label);
	return g.ops->define_moments(g.host, g.id, json_at(args, "moments"), json_at(args, "volumes"), err);
}

static int state_is(struct local_guest *g, const char *wanted, bool *is, struct vmm_error **err)
{
	vmm_auto_json struct json_object *state = NULL;
	if (g->ops->state(g->host, g->id, &state, err) < 0)
		return -1;
	*is = str_same(json_text(state, "state"), wanted);
	return 0;
}

/* Sets the stopped guest that answers to `who` aside: notes its definition and the records of its snapshots in
 * the made journal and undefines it. The checks have allowed that; ABORT defines it again. */
static int set_definition_aside(struct local_node *node, struct local_guest *g, const char *who, const char *task,
				struct vmm_error **err)
{
	vmm_auto_json struct json_object *facts = NULL, *moments = NULL;
	if (g->ops->facts(g->host, who, &facts, err) < 0 || moments_of(g, who, &moments, err) < 0)
		return -1;
	if (!str_same(json_text(facts, "state"), "shutoff"))
		return error_set(err, VMM_BLOCKED, "name-taken", "guest %s is on %s already and is not stopped", who,
				 node->base.name);
	vmm_auto_free char *theirs = guest_record_name(facts);
	struct json_object *note =
		json_make("made:s guest:s definition:s autostart:b moments:O", "aside-definition", theirs,
			  json_text(facts, "definition"), (int)json_true(facts, "autostart"), moments);
	return local_made_note(node, task, note, err) < 0 ? -1 : g->ops->undefine(g->host, who, err);
}

/* *made: the task's made journal has a record of `what`. */
static int already_made(struct local_node *node, const char *task, const char *what, bool *made, struct vmm_error **err)
{
	struct journal *journal;
	if (local_made_open(node, task, &journal, err) < 0)
		return -1;
	*made = false;
	json_each (record, journal_records(journal), "")
		*made |= str_same(json_text(record, "made"), what);
	journal_close(journal);
	return 0;
}

/* If a guest answers to `who`: sets it aside, where `replace` allows it. */
static int clear_away(struct local_node *node, struct local_guest *g, const char *who, bool replace, const char *task,
		      struct vmm_error **err)
{
	vmm_auto_json struct json_object *state = NULL;
	if (g->ops->state(g->host, who, &state, err) < 0)
		return -1;
	if (str_same(json_text(state, "state"), "absent"))
		return 0;
	return replace ? set_definition_aside(node, g, who, task, err)
		       : error_set(err, VMM_BLOCKED, "name-taken", "guest %s is on %s already", who, node->base.name);
}

/* Before a definition appears here: sets aside the guests that have its UUID, id or name, where `replace` allows it,
 * and notes in the made journal that the definition is this task's. */
static int make_room(struct local_node *node, struct local_guest *g, struct json_object *args, const char *task,
		     struct vmm_error **err)
{
	bool made, replace = json_true(args, "replace");
	vmm_auto_record struct guest_record record = {0};
	if (already_made(node, task, "definition", &made, err) < 0)
		return -1;
	if (made)
		return 0;
	if (record_read(node->paths->state, g->key, &record, err) < 0)
		return -1;
	const char *const called[] = {record.id, record.name, g->id};
	for (size_t i = 0; i < VMM_COUNT(called); i++)
		if (called[i] && clear_away(node, g, called[i], replace, task, err) < 0)
			return -1;
	return local_made_note(node, task, json_make("made:s guest:s", "definition", g->key), err);
}

int local_define(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	const char *task = json_text(args, "task");
	vmm_auto_guest struct local_guest g = {0};
	vmm_auto_free char *rewritten = NULL;
	if (local_guest_open(node, args, &g, err) < 0 || make_room(node, &g, args, task, err) < 0 ||
	    g.ops->rewrite(json_text(args, "definition"), json_at(args, "volumes"), &rewritten, err) < 0)
		return -1;
	return g.ops->define(g.host, rewritten, err);
}

int local_autostart(struct local_node *node, struct json_object *args, struct json_object **reply,
		    struct vmm_error **err)
{
	(void)reply;
	vmm_auto_guest struct local_guest g;
	return local_guest_open(node, args, &g, err) < 0 ? -1
							 : g.ops->autostart(g.host, g.id, json_true(args, "on"), err);
}

/* Starts the guest with a permit for the guard, and takes the permit back, also where the start has failed. */
static int start_with_permit(struct local_node *node, struct local_guest *g, const char *task, bool held,
			     struct vmm_error **err)
{
	if (local_permit(node, g->key, task, PERMIT_START, err) < 0)
		return -1;
	int done = g->ops->start(g->host, g->id, held, err);
	vmm_auto_error struct vmm_error *problem = NULL;
	if (local_permit(node, g->key, task, PERMIT_NONE, &problem) < 0)
		log_warn("%s", problem->message);
	return done;
}

int local_own(struct local_node *node, struct json_object *args, bool own, struct vmm_error **err)
{
	vmm_auto_guest struct local_guest g = {0};
	const struct guest_ops *ops = local_guest_kind(args, err);
	if (!ops || !ops->own)
		return ops ? 0 : -1;
	return local_guest_open(node, args, &g, err) < 0 ? -1 : g.ops->own(g.host, g.id, own, err);
}

/* A held start belongs to the handover. One that arrives late, when the guest is this node's or the task was abandoned,
 * would leave a guest that nobody releases. */
static int check_held_start(struct local_node *node, const char *guest, const char *task, struct vmm_error **err)
{
	vmm_auto_record struct guest_record record = {0};
	if (record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (str_same(record.task, task) && record.state == RECORD_HANDOVER)
		return 0;
	return error_set(err, VMM_FAILED, "wrong-state", "guest %s on %s is not handed over by task %s now", guest,
			 node->base.name, task);
}

int local_start(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	const char *task = json_text(args, "task");
	vmm_auto_guest struct local_guest g = {0};
	bool off;
	/* A held guest is not this node's yet. One that is not held is started where it belongs: its kind's own guard
	 * is told so, also if it turns out that the guest is running. */
	if (!json_true(args, "held") && local_own(node, args, true, err) < 0)
		return -1;
	if (json_true(args, "held") && check_held_start(node, json_text(args, "guest"), task, err) < 0)
		return -1;
	if (local_guest_open(node, args, &g, err) < 0 || state_is(&g, "shutoff", &off, err) < 0)
		return -1;
	return off ? start_with_permit(node, &g, task, json_true(args, "held"), err) : 0;
}

/* Lets the guest run: it is held, or gone since the node was restarted, and is started anew then. */
static int let_go(struct local_node *node, struct local_guest *g, const char *task, struct vmm_error **err)
{
	vmm_auto_json struct json_object *state = NULL;
	if (g->ops->state(g->host, g->id, &state, err) < 0)
		return -1;
	const char *now = json_text_or(state, "state", "");
	if (!strcmp(now, "running"))
		return 0;
	if (!strcmp(now, "shutoff"))
		return start_with_permit(node, g, task, false, err);
	return g->ops->release(g->host, g->id, err);
}

/* Only the owner releases a guest: so it never runs on two nodes. One that was released in this boot is its users' from
 * then on: if they have stopped it, it stays so. */
int local_release(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	const char *task = json_text(args, "task");
	vmm_auto_guest struct local_guest g = {0};
	vmm_auto_record struct guest_record record = {0};
	bool released;
	if (local_guest_open(node, args, &g, err) < 0 || record_read(node->paths->state, g.key, &record, err) < 0)
		return -1;
	if (!str_same(record.owner, node->base.name) || record.state == RECORD_ABANDONED)
		return error_set(err, VMM_FAILED, "wrong-state", "guest %s is not owned by %s: it is not released",
				 record.guest ? record_label(&record) : g.id, node->base.name);
	if (local_was_released(&record, &released, err) < 0)
		return -1;
	if (released)
		return 0;
	if (let_go(node, &g, task, err) < 0)
		return -1;
	return record.state == RECORD_COMMITTED ? local_permit(node, g.key, task, PERMIT_RELEASED, err) : 0;
}

/* Has somebody asked to cancel the task? The node that runs it has a file that says so. Then the wait for the guest to
 * shut down, which may take minutes, ends. */
static bool is_cancelled(void *mark)
{
	return file_there(mark);
}

int local_stop(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	const char *task = json_text(args, "task");
	vmm_auto_guest struct local_guest g = {0};
	if (local_own(node, args, false, err) < 0 || local_guest_open(node, args, &g, err) < 0)
		return -1;
	vmm_auto_free char *dir = local_task_dir(node, task), *mark = str_format("%s/cancel", dir);
	return g.ops->stop(g.host, g.id, (int)json_number(args, "limit_ms"), json_true(args, "force"), is_cancelled,
			   mark, err);
}

int local_destroy(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	vmm_auto_guest struct local_guest g;
	return local_guest_open(node, args, &g, err) < 0 ? -1 : g.ops->destroy(g.host, g.id, err);
}

/* The hypervisor listens at a socket for the guest's memory, and leaves it behind when it is killed. */
static int expect_memory(struct local_node *node, const struct local_guest *g, const char *task, struct vmm_error **err)
{
	uid_t user;
	gid_t group;
	vmm_auto_free char *socket = relay_migration_socket(task);
	if (!g->ops->control_socket)
		return 0;
	if (local_memory_directory(g, task, &user, &group, err) < 0)
		return -1;
	return local_made_note(node, task, json_make("made:s path:s", "memory-socket", socket), err);
}

/* Before memory arrives from the source. libvirt makes the definition here, so it is noted in the made journal now;
 * after the socket, which is removed when the hypervisor that listens there has been ended. */
int local_permit_op(struct local_node *node, struct json_object *args, struct json_object **reply,
		    struct vmm_error **err)
{
	(void)reply;
	const char *task = json_text(args, "task");
	vmm_auto_guest struct local_guest g = {0};
	if (local_guest_open(node, args, &g, err) < 0 || expect_memory(node, &g, task, err) < 0 ||
	    make_room(node, &g, args, task, err) < 0)
		return -1;
	return local_permit(node, g.key, task, PERMIT_INCOMING, err);
}

int local_migrate_abort(struct local_node *node, struct json_object *args, struct json_object **reply,
			struct vmm_error **err)
{
	(void)reply;
	const char *task = json_text(args, "task");
	vmm_auto_guest struct local_guest g = {0};
	if (local_guest_open(node, args, &g, err) < 0 ||
	    (g.ops->migrate_abort && g.ops->migrate_abort(g.host, g.id, err) < 0))
		return -1;
	return local_end_relays(node, task, err);
}
