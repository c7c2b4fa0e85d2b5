/* steps-volumes.c: the steps that bring volumes over - prepare, copy, verify, publish. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "engine/steps.h"
#include "storage/storage.h"

static size_t place_of(struct migration *m, struct json_object *volume)
{
	size_t place = 0;
	json_each (one, m->plan, "volumes") {
		if (one == volume)
			return place;
		place++;
	}
	abort();
}

static struct copy_leaves *leaves_of(struct migration *m, struct json_object *volume)
{
	if (!m->leaves)
		m->leaves = mem_zero(json_count(m->plan, "volumes") * sizeof(*m->leaves));
	return &m->leaves[place_of(m, volume)];
}

/* What lies at the volume's place goes aside where it was asked for, or where it is a leftover of ours. */
static struct json_object *place_arguments(struct migration *m, struct json_object *volume)
{
	bool replace = json_true(m->request, "options.replace") || json_true(volume, "set_aside");
	return json_make("volume:O replace:b", volume, (int)replace);
}

int step_prepare(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	return migration_call(m, TARGET, NODE_ALLOCATE, place_arguments(m, volume), NULL, err);
}

static int open_source(struct json_object *volume, struct vmm_error **err)
{
	const struct storage_ops *ops;
	if (storage_of(volume, &ops, err) < 0)
		return -1;
	if (!ops->open)
		return error_set(err, VMM_BLOCKED, "storage-format", "volume %s: a %s storage cannot be copied from",
				 json_text(volume, "target"), ops->kind);
	return ops->open(json_text(volume, "from"), false, err);
}

/* What changes when anybody writes to the file. */
static char *fingerprint(int fd)
{
	struct stat info;
	if (fstat(fd, &info) < 0)
		return str_copy("");
	return str_format("%llu %lld.%09ld %lld.%09ld", (unsigned long long)info.st_size,
			  (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec, (long long)info.st_ctim.tv_sec,
			  info.st_ctim.tv_nsec);
}

/* One session serves all volumes and rounds; it is opened before the guest is stopped, since that takes a while. After a
 * failure it is of no use any more. */
static int session_of(struct migration *m, struct stream **session, struct vmm_error **err)
{
	if (!m->session && m->node[TARGET]->ops->session(m->node[TARGET], task_id(m->task), &m->session, err) < 0)
		return -1;
	*session = m->session;
	return 0;
}

void session_drop(struct migration *m)
{
	stream_close(m->session);
	m->session = NULL;
}

struct watching {
	struct migration *m;
	const char *phase, *object;
	int round; /* 0: the only one, or the last */
};

static bool on_progress(void *context, const struct copy_progress *progress)
{
	struct watching *w = context;
	struct json_object *more = json_make("wire:i", (int64_t)progress->wire);
	if (w->round)
		json_put(more, "round:d", w->round);
	task_progress(w->m->task, w->phase, w->object, progress->done, progress->total, more);
	return !task_cancelled(w->m->task);
}

void statistics_add(struct migration *m, const char *what, uint64_t bytes)
{
	json_object_object_add(m->statistics, what,
			       json_object_new_int64(json_number(m->statistics, what) + (int64_t)bytes));
}

/* One pass over the volume: what the target does not hold yet crosses. `wire` (may be NULL): bytes that this pass took. */
static int push(struct migration *m, struct json_object *volume, const char *phase, int round, uint64_t *wire,
		struct vmm_error **err)
{
	if (volume_is_tree(volume))
		return tree_step_push(m, volume, phase, round, wire, err);
	struct stream *session;
	struct stat info;
	vmm_auto_close int fd = open_source(volume, err);
	if (fd < 0 || session_of(m, &session, err) < 0)
		return -1;
	if (fstat(fd, &info) < 0)
		return error_errno(err, errno, "volume %s", json_text(volume, "from"));
	vmm_auto_free char *seen = fingerprint(fd);
	json_put(volume, "seen:s", seen);
	struct watching watching = {m, phase, json_text(volume, "target"), round};
	struct copy_job job = {.fd = fd,
			       .size = (uint64_t)info.st_size,
			       .volume = json_text(volume, "temporary"),
			       .rate_limit = (uint64_t)json_number(m->request, "options.bwlimit") * 1024,
			       .progress = on_progress,
			       .context = &watching};
	struct copy_progress result = {0};
	uint64_t before = session->sent + session->received;
	int done = copy_push(&job, &session, 1, leaves_of(m, volume), &result, err);
	uint64_t taken = session->sent + session->received - before;
	statistics_add(m, "wire_bytes", taken);
	statistics_add(m, "read_bytes", result.data);
	statistics_add(m, "present_bytes", result.present);
	if (wire)
		*wire = taken;
	if (done < 0)
		session_drop(m);
	return done;
}

/* What was sent since it was last asked for is read back from the target's storage. Trees are compared once, at the end. */
static int prove(struct migration *m, struct json_object *volume, const char *phase, struct vmm_error **err)
{
	struct stream *session;
	struct watching watching = {m, phase, json_text(volume, "target"), 0};
	const struct copy_job job = {
		.volume = json_text(volume, "temporary"), .progress = on_progress, .context = &watching};
	if (volume_is_tree(volume))
		return 0;
	if (session_of(m, &session, err) < 0)
		return -1;
	int done = copy_verify(&job, session, leaves_of(m, volume), NULL, err);
	if (done < 0)
		session_drop(m);
	return done;
}

/* While the guest runs. A round carries what was written during the one before: once that is little, or does not get less, the
 * next round is the last one, without the guest. */
int step_precopy(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	enum { ROUNDS_MOST = 8, ROUND_SMALL = 16 << 20 };
	uint64_t before = 0, wire = 0;
	if (json_true(m->request, "options.no_precopy"))
		return 0;
	for (int round = 1; round <= ROUNDS_MOST; round++) {
		int64_t began_ms = clock_steady_ms();
		if (push(m, volume, "precopy", round, &wire, err) < 0 || prove(m, volume, "precopy", err) < 0)
			return -1;
		vmm_auto_free char *size = str_size((int64_t)wire);
		task_log(m->task, "info", "%s: round %d sent %s in %.1f s", json_text(volume, "target"), round, size,
			 (double)(clock_steady_ms() - began_ms) / 1000);
		if (wire <= ROUND_SMALL || (round > 1 && wire > before / 10 * 7))
			break;
		before = wire;
	}
	return 0;
}

int step_copy(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	statistics_add(m, "volume_bytes", (uint64_t)json_number(volume, "size"));
	return push(m, volume, "copy", 0, NULL, err);
}

static int unchanged(struct json_object *volume, struct vmm_error **err)
{
	vmm_auto_close int fd = open_source(volume, err);
	if (fd < 0)
		return -1;
	vmm_auto_free char *now = fingerprint(fd);
	return str_same(now, json_text(volume, "seen"))
		       ? 0
		       : error_set(err, VMM_FAILED, "source-changed", "volume %s was written to while it was copied",
				   json_text(volume, "from"));
}

int step_verify(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	if (volume_is_tree(volume))
		return tree_step_verify(m, volume, err);
	return unchanged(volume, err) < 0 ? -1 : prove(m, volume, "verify", err);
}

int step_publish(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	session_drop(m);
	return migration_call(m, TARGET, NODE_PUBLISH, place_arguments(m, volume), NULL, err);
}
