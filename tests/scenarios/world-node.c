/* world-node.c: a node with trouble. It stands before a real local node; the engine cannot tell the difference. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "node/local.h"
#include "world-node.h"

enum { KILLED = 137 };

const char *const trouble_names[TROUBLES] = {
	[NO_TROUBLE] = "no trouble",
	[REFUSED] = "refused",
	[DONE_BUT_FAILED] = "done but failed",
	[CUT] = "cut",
	[REPLY_LOST] = "reply lost",
	[GONE_BEFORE] = "gone before",
	[GONE_AFTER] = "gone after",
	[KILLED_BEFORE] = "killed before",
	[KILLED_AFTER] = "killed after",
	[CANCELLED] = "cancelled",
	[RIVAL] = "a rival",
};

struct played_node {
	struct vmm_node base;
	struct vmm_node *inner;
	struct world *w;
	int number;
};

static struct played_node *played(struct vmm_node *node)
{
	return (struct played_node *)node;
}

void world_view(struct world *w, int node)
{
	if (w->view == node + 1)
		return;
	w->view = node + 1;
	vmm_auto_free char *link = str_format("%s/root", w->dir), *next = str_format("%s/root.next", w->dir);
	unlink(next);
	if (symlink(path_base(w->machine[node].root), next) < 0 || rename(next, link) < 0)
		fail_msg("%s: %s", link, strerror(errno));
}

void world_trouble(struct world *w, int node, int call, enum trouble what)
{
	w->trouble.node = node;
	w->trouble.call = call;
	w->trouble.what = what;
	w->struck = false;
}

void world_heal(struct world *w)
{
	w->trouble.what = NO_TROUBLE;
	for (int i = 0; i < NODES; i++)
		w->lost[i] = w->gone[i] = false;
}

/* ------------------------------------------------------------------ before and after each thing that is asked */

static int link_lost(struct played_node *p, struct vmm_error **err)
{
	return error_set(err, VMM_FAILED, "link-lost", "the link to %s is lost", p->base.name);
}

static void lose(struct played_node *p, bool for_good)
{
	p->w->lost[p->number] = true;
	p->w->gone[p->number] = for_good;
}

static void ask_to_cancel(struct world *w)
{
	vmm_auto_free char *path = str_format("%s/tasks/%s/cancel", w->machine[w->home].state, w->task);
	struct vmm_error *err = NULL;
	if (file_write(path, "", 0, 0600, &err) < 0)
		world_fail(w, "%s", err->message);
}

/* The trouble that is due now, or none. */
static enum trouble due(struct played_node *p)
{
	struct world *w = p->w;
	int call = ++w->calls[p->number];
	if (w->trouble.what == NO_TROUBLE || w->struck || w->trouble.node != p->number || w->trouble.call != call)
		return NO_TROUBLE;
	w->struck = true;
	return w->trouble.what;
}

/* -1 where it is not to be done. */
static int before(struct played_node *p, enum trouble *trouble, struct vmm_error **err)
{
	if (p->w->lost[p->number])
		return link_lost(p, err);
	*trouble = due(p);
	switch (*trouble) {
	case REFUSED:
		return error_set(err, VMM_FAILED, "io-error", "%s: it could not be done", p->base.name);
	case CUT:
	case GONE_BEFORE:
		lose(p, *trouble == GONE_BEFORE);
		return link_lost(p, err);
	case KILLED_BEFORE:
		_exit(KILLED);
	case CANCELLED:
		ask_to_cancel(p->w);
		break;
	case RIVAL:
		p->w->rival = world_migrate_apart(p->w, p->w->home, p->w->way->options, NULL, NULL);
		break;
	default:
		break;
	}
	world_view(p->w, p->number);
	return 0;
}

/* What the engine hears of it: -1 where it hears of a failure although it was done. */
static int after(struct played_node *p, enum trouble trouble, struct vmm_error **err)
{
	switch (trouble) {
	case DONE_BUT_FAILED:
		error_clear(err);
		return error_set(err, VMM_FAILED, "io-error", "%s: it was done, it says it was not", p->base.name);
	case REPLY_LOST:
	case GONE_AFTER:
		lose(p, trouble == GONE_AFTER);
		error_clear(err);
		return link_lost(p, err);
	case KILLED_AFTER:
		_exit(KILLED);
	default:
		return 0;
	}
}

/* ------------------------------------------------------------------ node_ops */

static int played_call(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
		       struct vmm_error **err)
{
	struct played_node *p = played(node);
	enum trouble trouble;
	*reply = NULL;
	if (before(p, &trouble, err) < 0)
		return -1;
	int done = node_call(p->inner, op, args, reply, err);
	world_view(p->w, p->w->home);
	if (after(p, trouble, err) == 0)
		return done;
	json_object_put(*reply);
	*reply = NULL;
	return -1;
}

static int played_session(struct vmm_node *node, const char *task, bool tls, struct stream **session,
			  struct vmm_error **err)
{
	struct played_node *p = played(node);
	enum trouble trouble;
	if (before(p, &trouble, err) < 0)
		return -1;
	int done = p->inner->ops->session(p->inner, task, tls, session, err);
	world_view(p->w, p->w->home);
	if (done < 0)
		return -1;
	if (after(p, trouble, err) == 0)
		return 0;
	stream_close(*session);
	*session = NULL;
	return -1;
}

static int played_tree(struct vmm_node *node, const char *task, const char *name, bool checksum, int fd, uint64_t *wire,
		       struct vmm_error **err)
{
	struct played_node *p = played(node);
	vmm_auto_close int line = fd;
	vmm_auto_free char *place = NULL;
	enum trouble trouble;
	(void)checksum, (void)wire;
	if (before(p, &trouble, err) < 0)
		return -1;
	int done = local_tree_place(&p->w->machine[p->number].paths, task, name, &place, err);
	if (done == 0)
		done = tree_take(line, place, err);
	world_view(p->w, p->w->home);
	return after(p, trouble, err) < 0 ? -1 : done;
}

static int played_migrate(struct vmm_node *node, struct vmm_node *peer, const char *task,
			  struct guest_migration *migration, struct json_object *options, struct vmm_error **err)
{
	struct played_node *p = played(node);
	enum trouble trouble;
	if (p->w->lost[played(peer)->number])
		return link_lost(played(peer), err);
	if (before(p, &trouble, err) < 0)
		return -1;
	int done = p->inner->ops->migrate(p->inner, played(peer)->inner, task, migration, options, err);
	world_view(p->w, p->w->home);
	return after(p, trouble, err) < 0 ? -1 : done;
}

static int played_migrate_end(struct vmm_node *node, struct vmm_error **err)
{
	struct played_node *p = played(node);
	return p->inner->ops->migrate_end(p->inner, err);
}

static int played_reconnect(struct vmm_node *node, struct vmm_error **err)
{
	struct played_node *p = played(node);
	if (p->w->gone[p->number])
		return link_lost(p, err);
	p->w->lost[p->number] = false;
	return 0;
}

static void played_close(struct vmm_node *node)
{
	node_close(played(node)->inner);
	free(node->name);
	free(node);
}

static const struct node_ops played_ops = {
	.call = played_call,
	.session = played_session,
	.tree = played_tree,
	.migrate = played_migrate,
	.migrate_end = played_migrate_end,
	.reconnect = played_reconnect,
	.close = played_close,
};

int world_node(struct world *w, int number, struct vmm_node **node, struct vmm_error **err)
{
	struct played_node *p = mem_zero(sizeof(*p));
	p->base.ops = &played_ops;
	p->base.name = str_format("node%d", number + 1);
	p->w = w;
	p->number = number;
	w->lost[number] = w->gone[number];
	if (node_open_local(&w->machine[number].paths, &p->inner, err) < 0) {
		played_close(&p->base);
		return -1;
	}
	*node = &p->base;
	return 0;
}
