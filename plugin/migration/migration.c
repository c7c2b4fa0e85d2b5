/* migration.c: what all parts of a migration use - opening and closing it, calls to its two nodes, the result's
 * statistics. */
#include <string.h>

#include "cluster/cluster.h"
#include "migration/steps.h"

enum { PATIENCE_MS = 60000 };

/* ---------------------------------------------------------------- opening and closing */

static int connect_target(struct migration *m, struct vmm_error **err)
{
	const char *target = json_text(m->request, "target");
	if (str_same(target, m->node[SOURCE]->name))
		return error_set(err, VMM_BLOCKED, "target-is-source", "the guest is on node %s already", target);
	return node_open_remote(m->paths, target, task_id(m->task), &m->node[TARGET], err);
}

int migration_open(struct migration *m, const struct node_paths *paths, const char *task, struct vmm_error **err)
{
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", paths->etc);
	m->paths = paths;
	m->patience_ms = PATIENCE_MS;
	m->connect = connect_target;
	m->statistics = json_object_new_object();
	m->leftovers = json_object_new_object();
	if (cluster_load(conf, &m->config, err) < 0 || task_open(paths, task, &m->task, err) < 0 ||
	    task_take(m->task, err) < 0 || task_read(m->task, "request", &m->request, err) < 0)
		return -1;
	return node_open_local(paths, &m->node[SOURCE], err);
}

void migration_close(struct migration *m)
{
	for (size_t i = 0; m->volumes && i < m->plan->volume_count; i++) {
		copy_leaves_free(&m->volumes[i].leaves);
		track_close(&m->volumes[i].snapshot);
		track_close(&m->volumes[i].reading);
		free(m->volumes[i].written);
		if (m->volumes[i].clock > 0)
			close(m->volumes[i].clock);
		json_object_put(m->volumes[i].flags);
	}
	free(m->volumes);
	facts_free(&m->facts);
	journal_close(m->journal);
	node_close(m->node[TARGET]);
	node_close(m->node[SOURCE]);
	task_close(m->task);
	json_object_put(m->config);
	json_object_put(m->request);
	plan_free(m->plan);
	json_object_put(m->statistics);
	json_object_put(m->leftovers);
}

enum mode migration_mode(struct migration *m)
{
	return m->plan ? m->plan->mode : MODE_NONE;
}

bool migration_moves_memory(struct migration *m)
{
	return migration_mode(m) == MODE_LIVE || migration_mode(m) == MODE_PAUSED;
}

bool migration_runs(struct migration *m)
{
	return m->plan->running && !str_same(m->plan->state, "paused");
}

const char *migration_node_name(struct migration *m, enum side side)
{
	if (!m->plan)
		return NULL;
	return side == SOURCE ? m->plan->source : m->plan->target;
}

struct migration_volume *migration_volume(struct migration *m, const struct plan_volume *volume)
{
	if (!m->volumes) {
		m->volumes = mem_zero(m->plan->volume_count * sizeof(*m->volumes));
		for (size_t i = 0; i < m->plan->volume_count; i++)
			m->volumes[i].tracker = track_named(m->plan->volumes[i].track);
	}
	return &m->volumes[volume - m->plan->volumes];
}

/* ---------------------------------------------------------------- calls */

static bool hears_cancel(void *context)
{
	struct migration *m = context;
	return m->may_cancel && task_cancelled(m->task);
}

void migration_listen(struct migration *m)
{
	if (!m->node[TARGET])
		return;
	m->node[TARGET]->cancelled = hears_cancel;
	m->node[TARGET]->context = m;
}

int migration_call(struct migration *m, enum side side, enum node_op op, struct json_object *args,
		   struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *held = args ? args : json_object_new_object();
	json_put(held, "task:s guest:s", task_id(m->task), m->plan ? m->plan->guest : NULL);
	if (!m->node[side])
		return error_set(err, VMM_FAILED, "link-lost", "node %s is not reached", migration_node_name(m, side));
	migration_listen(m);
	return node_call(m->node[side], op, held, reply, err);
}

bool migration_is_silence(const struct vmm_error *err)
{
	static const char *const codes[] = {
		"link-lost",	   "link-silent",	  "connection-refused", "connection-timeout", "no-route",
		"name-unresolved", "target-libvirt-down", "not-our-agent",	"agent-missing",      "locked"};
	for (size_t i = 0; i < VMM_COUNT(codes); i++)
		if (error_is(err, codes[i]))
			return true;
	return false;
}

static int reconnect(struct migration *m, enum side side, struct vmm_error **err)
{
	return m->node[side] ? m->node[side]->ops->reconnect(m->node[side], err) : m->connect(m, err);
}

/* True while a node that does not answer, in a call that began at `began_ms`, is to be asked again. */
static bool has_patience(struct migration *m, enum side side, int64_t began_ms)
{
	if (!m->silent_ms[side])
		m->silent_ms[side] = began_ms;
	return clock_steady_ms() < m->silent_ms[side] + m->patience_ms;
}

static int insist(struct migration *m, enum side side, enum node_op op, struct json_object *held,
		  struct json_object **reply, struct vmm_error **err)
{
	int64_t began_ms = clock_steady_ms();
	for (int pause_ms = 100;; pause_ms = pause_ms < 2000 ? pause_ms * 2 : pause_ms) {
		struct vmm_error *problem = NULL;
		bool done = reconnect(m, side, &problem) == 0 &&
			    migration_call(m, side, op, held ? json_copy(held) : NULL, reply, &problem) == 0;
		bool silent = !done && migration_is_silence(problem);
		if (!silent)
			m->silent_ms[side] = 0;
		if (done)
			return 0;
		if (!silent || !has_patience(m, side, began_ms)) {
			error_take(err, problem);
			return -1;
		}
		error_clear(&problem);
		clock_sleep_ms(pause_ms);
	}
}

int migration_insist(struct migration *m, enum side side, enum node_op op, struct json_object *args,
		     struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *held = args;
	bool may_cancel = m->may_cancel;
	m->may_cancel = false;
	int done = insist(m, side, op, held, reply, err);
	m->may_cancel = may_cancel;
	return done;
}

int migration_record(struct migration *m, enum side side, struct guest_record *record, struct vmm_error **err)
{
	vmm_auto_json struct json_object *reply = NULL;
	if (migration_insist(m, side, NODE_RECORD, NULL, &reply, err) < 0)
		return -1;
	return record_from_json(json_at(reply, "record"), migration_node_name(m, side), record, err);
}

/* ---------------------------------------------------------------- progress, statistics */

bool watching_report(const struct watching *watching, uint64_t done, uint64_t total, struct json_object *more)
{
	if (watching->round)
		json_put(more, "round:d", watching->round);
	task_progress(watching->m->task, watching->phase, watching->object, done, total, more);
	return snapshots_have_room(watching->m) && !task_cancelled(watching->m->task);
}

void statistics_add(struct migration *m, const char *what, uint64_t bytes)
{
	json_object_object_add(m->statistics, what,
			       json_object_new_int64(json_number(m->statistics, what) + (int64_t)bytes));
}

void statistics_digest(struct migration *m, const struct plan_volume *volume, const char *kind, const char *root)
{
	json_append(m->statistics, "digests", json_make("volume:s kind:s root:s", volume->target, kind, root));
	task_log(m->task, "info", "%s: verified, %s root %.16s...", volume->target, kind, root);
}
