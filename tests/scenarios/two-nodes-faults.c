/* two-nodes-faults.c: a node that fails as the test says. It stands before a real local node; the engine sees no
 * difference. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "node/local.h"
#include "two-nodes-internal.h"

enum { KILLED = 137 };

const char *const fault_names[FAULTS] = {
	[NO_FAULT] = "no fault",
	[REFUSED] = "refused",
	[DONE_BUT_FAILED] = "done but failed",
	[CUT] = "cut",
	[CANCELLED_MEANWHILE] = "cancelled meanwhile",
	[LIMIT_PASSED] = "limit passed",
	[REPLY_LOST] = "reply lost",
	[GONE_BEFORE] = "gone before",
	[GONE_AFTER] = "gone after",
	[KILLED_BEFORE] = "killed before",
	[KILLED_AFTER] = "killed after",
	[CANCELLED] = "cancelled",
	[CONCURRENT_TASK] = "a concurrent task",
};

struct faulty_node {
	struct vmm_node base;
	struct vmm_node *inner;
	struct two_nodes *w;
	int number;
};

static struct faulty_node *faulty(struct vmm_node *node)
{
	return (struct faulty_node *)node;
}

void two_nodes_link_root(struct two_nodes *w, int node)
{
	if (w->root_node == node + 1)
		return;
	w->root_node = node + 1;
	vmm_auto_free char *link = str_format("%s/root", w->dir), *next = str_format("%s/root.next", w->dir);
	unlink(next);
	if (symlink(path_base(w->machine[node].root), next) < 0 || rename(next, link) < 0)
		fail_msg("%s: %s", link, strerror(errno));
}

void two_nodes_inject(struct two_nodes *w, int node, int call, enum fault what)
{
	w->fault.node = node;
	w->fault.call = call;
	w->fault.what = what;
	w->injected = false;
}

void two_nodes_heal(struct two_nodes *w)
{
	w->fault.what = NO_FAULT;
	for (int i = 0; i < NODES; i++)
		w->lost[i] = w->gone[i] = false;
}

/* ------------------------------------------------------------------ before and after each call */

static int link_lost(struct faulty_node *p, struct vmm_error **err)
{
	return error_set(err, VMM_FAILED, "link-lost", "the link to %s is lost", p->base.name);
}

static void lose(struct faulty_node *p, bool for_good)
{
	p->w->lost[p->number] = true;
	p->w->gone[p->number] = for_good;
}

static void ask_to_cancel(struct two_nodes *w)
{
	vmm_auto_free char *path = str_format("%s/tasks/%s/cancel", w->machine[w->engine_node].state, w->task);
	struct vmm_error *err = NULL;
	if (file_write(path, "", 0, 0600, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

/* The fault for this call, or NO_FAULT. */
static enum fault due(struct faulty_node *p)
{
	struct two_nodes *w = p->w;
	int call = ++w->calls[p->number];
	if (w->fault.what == NO_FAULT || w->injected || w->fault.node != p->number || w->fault.call != call)
		return NO_FAULT;
	w->injected = true;
	return w->fault.what;
}

/* Injects what comes before the call; -1 if the call is not to be done. */
static int before(struct faulty_node *p, enum fault *fault, struct vmm_error **err)
{
	if (p->w->lost[p->number])
		return link_lost(p, err);
	*fault = due(p);
	switch (*fault) {
	case REFUSED:
		return error_set(err, VMM_FAILED, "io-error", "%s: it could not be done", p->base.name);
	case CUT:
	case GONE_BEFORE:
		lose(p, *fault == GONE_BEFORE);
		return link_lost(p, err);
	case KILLED_BEFORE:
		_exit(KILLED);
	case CANCELLED:
		ask_to_cancel(p->w);
		break;
	case CONCURRENT_TASK:
		p->w->concurrent_exit =
			two_nodes_migrate_in_child(p->w, p->w->engine_node, p->w->variant->options, NULL, NULL);
		break;
	default:
		break;
	}
	two_nodes_link_root(p->w, p->number);
	return 0;
}

/* Injects what comes after the call; -1 if the engine is to see an error although it was done. */
static int after(struct faulty_node *p, enum fault fault, struct vmm_error **err)
{
	switch (fault) {
	case DONE_BUT_FAILED:
		error_clear(err);
		return error_set(err, VMM_FAILED, "io-error", "%s: it was done, it says it was not", p->base.name);
	case CANCELLED_MEANWHILE:
		ask_to_cancel(p->w);
		if (!p->base.cancelled || !p->base.cancelled(p->base.context))
			return 0;
		lose(p, false);
		error_clear(err);
		return error_set(err, VMM_CANCELLED, "cancelled", "cancelled while %s worked", p->base.name);
	case LIMIT_PASSED:
		lose(p, false);
		error_clear(err);
		return error_set(err, VMM_FAILED, "link-silent", "%s has not done it in time", p->base.name);
	case REPLY_LOST:
	case GONE_AFTER:
		lose(p, fault == GONE_AFTER);
		error_clear(err);
		return link_lost(p, err);
	case KILLED_AFTER:
		_exit(KILLED);
	default:
		return 0;
	}
}

/* Takes `args`. */
static void tell_watch(struct faulty_node *p, const char *what, struct json_object *args)
{
	if (p->w->watch)
		p->w->watch(p->w->watch_context, p->number, what, args);
	json_object_put(args);
}

/* ------------------------------------------------------------------ node_ops */

static int faulty_call(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
		       struct vmm_error **err)
{
	struct faulty_node *p = faulty(node);
	enum fault fault;
	*reply = NULL;
	tell_watch(p, node_operations[op].name, json_object_get(args));
	if (before(p, &fault, err) < 0)
		return -1;
	int done = node_call(p->inner, op, args, reply, err);
	two_nodes_link_root(p->w, p->w->engine_node);
	if (after(p, fault, err) == 0)
		return done;
	json_object_put(*reply);
	*reply = NULL;
	return -1;
}

static int faulty_session(struct vmm_node *node, const char *task, bool tls, struct stream **session,
			  struct vmm_error **err)
{
	struct faulty_node *p = faulty(node);
	enum fault fault;
	tell_watch(p, "session", json_make("tls:b", (int)tls));
	if (before(p, &fault, err) < 0)
		return -1;
	int done = p->inner->ops->session(p->inner, task, tls, session, err);
	two_nodes_link_root(p->w, p->w->engine_node);
	if (done < 0)
		return -1;
	if (after(p, fault, err) == 0)
		return 0;
	stream_close(*session);
	*session = NULL;
	return -1;
}

static int faulty_tree(struct vmm_node *node, const char *task, const char *name, bool checksum, int fd, uint64_t *wire,
		       struct vmm_error **err)
{
	struct faulty_node *p = faulty(node);
	vmm_auto_close int line = fd;
	vmm_auto_free char *path = NULL;
	enum fault fault;
	(void)wire;
	tell_watch(p, "tree", json_make("checksum:b", (int)checksum));
	if (before(p, &fault, err) < 0)
		return -1;
	int done = local_tree_path(&p->w->machine[p->number].paths, task, name, &path, err);
	if (done == 0)
		done = tree_take(line, path, err);
	two_nodes_link_root(p->w, p->w->engine_node);
	return after(p, fault, err) < 0 ? -1 : done;
}

static int faulty_migrate(struct vmm_node *node, struct vmm_node *peer, const char *task,
			  struct guest_migration *migration, struct json_object *options, struct vmm_error **err)
{
	struct faulty_node *p = faulty(node);
	enum fault fault;
	if (p->w->lost[faulty(peer)->number])
		return link_lost(faulty(peer), err);
	if (before(p, &fault, err) < 0)
		return -1;
	int done = p->inner->ops->migrate(p->inner, faulty(peer)->inner, task, migration, options, err);
	tell_watch(p, "migrate",
		   json_make("paused:b rate_limit:i max_downtime_ms:i suspend_on_stall:b unsafe:b control:s data:s",
			     (int)migration->paused, (int64_t)migration->rate_limit, migration->max_downtime_ms,
			     (int)migration->suspend_on_stall, (int)migration->unsafe, migration->target_uri,
			     migration->data_uri));
	two_nodes_link_root(p->w, p->w->engine_node);
	return after(p, fault, err) < 0 ? -1 : done;
}

static int faulty_migrate_end(struct vmm_node *node, struct vmm_error **err)
{
	struct faulty_node *p = faulty(node);
	return p->inner->ops->migrate_end(p->inner, err);
}

static int faulty_reconnect(struct vmm_node *node, struct vmm_error **err)
{
	struct faulty_node *p = faulty(node);
	if (p->w->gone[p->number])
		return link_lost(p, err);
	p->w->lost[p->number] = false;
	return 0;
}

static void faulty_close(struct vmm_node *node)
{
	node_close(faulty(node)->inner);
	free(node->name);
	free(node);
}

static const struct node_ops faulty_ops = {
	.call = faulty_call,
	.session = faulty_session,
	.tree = faulty_tree,
	.migrate = faulty_migrate,
	.migrate_end = faulty_migrate_end,
	.reconnect = faulty_reconnect,
	.close = faulty_close,
};

int two_nodes_open_node(struct two_nodes *w, int number, struct vmm_node **node, struct vmm_error **err)
{
	struct faulty_node *p = mem_zero(sizeof(*p));
	p->base.ops = &faulty_ops;
	p->base.name = str_format("node%d", number + 1);
	p->w = w;
	p->number = number;
	w->lost[number] = w->gone[number];
	if (node_open_local(&w->machine[number].paths, &p->inner, err) < 0) {
		faulty_close(&p->base);
		return -1;
	}
	*node = &p->base;
	return 0;
}
