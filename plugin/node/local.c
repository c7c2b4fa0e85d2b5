/* local.c: this node. The table at the end says which file carries out what. */
#include <string.h>

#include "cluster/cluster.h"
#include "node/local.h"

static struct local_node *local_of(struct vmm_node *node)
{
	return (struct local_node *)node;
}

/* ---------------------------------------------------------------- hosts and guests */

/* Where the connection to the hypervisor of that kind is kept. */
static struct guest_host **kept_host(struct local_node *node, const struct guest_ops *ops)
{
	size_t kind = 0;
	while (guest_kinds[kind] != ops)
		kind++;
	return &node->hosts[kind];
}

static void drop_host(struct guest_host **host)
{
	if (*host)
		(*host)->ops->close(*host);
	*host = NULL;
}

static void drop_hosts(struct local_node *node)
{
	for (size_t i = 0; i < VMM_COUNT(node->hosts); i++)
		drop_host(&node->hosts[i]);
}

int local_host_open(struct local_node *node, const struct guest_ops *ops, struct guest_host **host,
		    struct vmm_error **err)
{
	struct guest_env env = {.node = node->base.name, .null_root = node->paths->null_root};
	struct guest_host **kept = kept_host(node, ops);
	if (*kept && ops->alive && !ops->alive(*kept))
		drop_host(kept);
	*host = *kept;
	*kept = NULL;
	return *host ? 0 : ops->open(&env, host, err);
}

void local_host_close(struct local_node *node, struct guest_host *host)
{
	if (!host)
		return;
	struct guest_host **kept = kept_host(node, host->ops);
	drop_host(kept);
	*kept = host;
}

const struct guest_ops *local_guest_kind(struct json_object *args, struct vmm_error **err)
{
	const char *key = json_text(args, "guest"), *dash = strchr(key, '-');
	vmm_auto_free char *kind = dash ? str_format("%.*s", (int)(dash - key), key) : NULL;
	const struct guest_ops *ops = kind ? guest_kind(kind) : NULL;
	if (!ops)
		error_set(err, VMM_USAGE, "malformed", "guest \"%s\": its kind is not known here", key);
	return ops;
}

int local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
		     struct vmm_error **err)
{
	*guest = (struct local_guest){.node = node};
	guest->ops = local_guest_kind(args, err);
	if (!guest->ops)
		return -1;
	guest->key = json_text(args, "guest");
	guest->id = strchr(guest->key, '-') + 1;
	return local_host_open(node, guest->ops, &guest->host, err);
}

void local_guest_close(struct local_guest *guest)
{
	local_host_close(guest->node, guest->host);
	guest->host = NULL;
}

/* ---------------------------------------------------------------- tasks */

char *local_task_dir(struct local_node *node, const char *task)
{
	return str_format("%s/tasks/%s", node->paths->state, task);
}

int local_made_open(struct local_node *node, const char *task, struct journal **made, struct vmm_error **err)
{
	vmm_auto_free char *dir = local_task_dir(node, task), *path = str_format("%s/made", dir);
	if (dir_make(dir, 0700, err) < 0)
		return -1;
	return journal_open(path, true, made, err);
}

int local_made_note(struct local_node *node, const char *task, struct json_object *record, struct vmm_error **err)
{
	struct journal *made;
	if (local_made_open(node, task, &made, err) < 0) {
		json_object_put(record);
		return -1;
	}
	int done = journal_add(made, record, err);
	journal_close(made);
	return done;
}

/* ---------------------------------------------------------------- the node */

/* clang-format off */
static local_op *const local_table[NODE_OP_COUNT] = {
	[NODE_FACTS] = local_facts,
	[NODE_GUESTS] = local_guests,
	[NODE_TOKEN] = local_token,
	[NODE_CONTENT] = local_content,
	[NODE_RECORD] = local_record,
	[NODE_LOCK] = local_lock,
	[NODE_FORGET] = local_forget,
	[NODE_ADVANCE] = local_advance,
	[NODE_RECLAIM] = local_reclaim,
	[NODE_UNLOCK] = local_unlock,
	[NODE_HOOKS] = local_hooks,
	[NODE_ALLOCATE] = local_allocate,
	[NODE_PUBLISH] = local_publish,
	[NODE_DEFINE] = local_define,
	[NODE_FREEZE] = local_freeze,
	[NODE_THAW] = local_thaw,
	[NODE_AUTOSTART] = local_autostart,
	[NODE_STATE] = local_state,
	[NODE_INSPECT] = local_inspect,
	[NODE_MOMENTS] = local_moments,
	[NODE_DEFINE_MOMENTS] = local_define_moments,
	[NODE_START] = local_start,
	[NODE_RELEASE] = local_release,
	[NODE_STOP] = local_stop,
	[NODE_DESTROY] = local_destroy,
	[NODE_PERMIT] = local_permit_op,
	[NODE_MIGRATE_ABORT] = local_migrate_abort,
	[NODE_GIVE_UP] = local_give_up,
	[NODE_ABORT] = local_abort,
	[NODE_DIGEST] = local_digest,
	[NODE_FLAGS] = local_flags,
	[NODE_SYNC] = local_sync,
	[NODE_SEEDS] = local_seeds,
};
/* clang-format on */

static int local_call(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
		      struct vmm_error **err)
{
	*reply = NULL;
	log_debug("%s: %s %s", node->name, node_operations[op].name, args ? json_line(args) : "");
	return local_table[op](local_of(node), args, reply, err);
}

static int local_reconnect(struct vmm_node *node, struct vmm_error **err)
{
	(void)node, (void)err;
	return 0;
}

static void local_close(struct vmm_node *node)
{
	local_migrate_end(node, NULL);
	drop_hosts(local_of(node));
	json_object_put(local_of(node)->config);
	free(node->name);
	free(node);
}

static const struct node_ops local_ops = {
	.call = local_call,
	.session = local_session,
	.tree = local_tree,
	.migrate = local_migrate,
	.migrate_end = local_migrate_end,
	.reconnect = local_reconnect,
	.close = local_close,
};

int node_open_local(const struct node_paths *paths, struct vmm_node **node, struct vmm_error **err)
{
	vmm_auto_free char *path = str_format("%s/vmmigrate.conf", paths->etc);
	vmm_auto_json struct json_object *config = NULL;
	const char *self;
	if (cluster_load(path, &config, err) < 0 || json_need(config, "self", "configuration", &self, err) < 0)
		return -1;
	struct local_node *local = mem_zero(sizeof(*local));
	local->base.ops = &local_ops;
	local->base.name = str_copy(self);
	local->paths = paths;
	local->config = json_object_get(config);
	*node = &local->base;
	return 0;
}
