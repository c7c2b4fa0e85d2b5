/* steps-trees.c: volumes that are directory trees - rsync in place of the engine for images, a digest in place of its tags. */
#include <string.h>
#include <time.h>

#include "engine/engine.h"
#include "engine/steps.h"
#include "storage/storage.h"

bool volume_is_tree(struct json_object *volume)
{
	const struct storage_ops *ops;
	return storage_of(volume, &ops, NULL) == 0 && ops->tree;
}

/* ---------------------------------------------------------------- push */

struct line {
	struct migration *m;
	const char *place;
	bool checksum;
};

static int carry(void *context, int fd, uint64_t *wire, struct vmm_error **err)
{
	struct line *line = context;
	struct vmm_node *target = line->m->node[TARGET];
	return target->ops->tree(target, task_id(line->m->task), line->place, line->checksum, fd, wire, err);
}

struct watching {
	struct migration *m;
	const char *phase, *object;
	int round;
};

static bool on_progress(void *context, const struct tree_progress *progress)
{
	struct watching *w = context;
	if (!progress->total) /* rsync is still counting */
		return !task_cancelled(w->m->task);
	struct json_object *more = json_make("wire:i files:i files_total:i", (int64_t)progress->wire,
					     (int64_t)progress->files, (int64_t)progress->files_total);
	if (w->round)
		json_put(more, "round:d", w->round);
	task_progress(w->m->task, w->phase, w->object, progress->done, progress->total, more);
	return !task_cancelled(w->m->task);
}

/* File times come from a coarse clock that may lag: what was written in the last moments before counts as later. */
enum { CLOCK_SLACK_NS = 1000000000 };

static int64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - CLOCK_SLACK_NS;
}

static int push(struct migration *m, struct json_object *volume, const char *phase, int round, bool checksum,
		uint64_t *wire, struct vmm_error **err)
{
	vmm_auto_free char *pipe = str_format("%s/tree-pipe", m->paths->libexec);
	struct watching watching = {m, phase, json_text(volume, "target"), round};
	struct line line = {m, json_text(volume, "temporary"), checksum};
	struct tree_job job = {.from = json_text(volume, "from"),
			       .pipe = pipe,
			       .running = round > 0,
			       .checksum = checksum,
			       .rate_limit = (uint64_t)json_number(m->request, "options.bwlimit") * 1024,
			       .carry = carry,
			       .carry_context = &line,
			       .progress = on_progress,
			       .context = &watching};
	struct tree_progress result = {0};
	int done = tree_push(&job, &result, err);
	statistics_add(m, "wire_bytes", result.wire);
	if (wire)
		*wire = result.wire;
	return done;
}

int tree_step_push(struct migration *m, struct json_object *volume, const char *phase, int round, uint64_t *wire,
		   struct vmm_error **err)
{
	/* Of files that are as old as that the contents have been seen by rsync at rest. */
	if (!json_number(volume, "since_ns"))
		json_put(volume, "since_ns:i", now_ns());
	return push(m, volume, phase, round, false, wire, err);
}

/* ---------------------------------------------------------------- verify */

static bool wants_to_stop(void *context)
{
	return task_cancelled(((struct migration *)context)->task);
}

/* Both ends are asked for the digest of the same: names and attributes of all, contents of what was touched since the first
 * round - rsync takes a file of the same size and time for the same file. */
static int compare(struct migration *m, struct json_object *volume, bool *same, struct vmm_error **err)
{
	struct tree_digest here;
	struct json_object *files = NULL;
	vmm_auto_json struct json_object *there = NULL;
	int64_t since = str_same(json_text(m->request, "options.verify"), "full") ? 0 : json_number(volume, "since_ns");
	if (tree_digest(json_text(volume, "from"), since, since ? &files : NULL, wants_to_stop, m, &here, err) < 0)
		return -1;
	statistics_add(m, "compared_bytes", here.read_bytes);
	struct json_object *args = json_make("volume:s", json_text(volume, "temporary"));
	if (files)
		json_put(args, "files:o", files);
	if (migration_call(m, TARGET, NODE_DIGEST, args, &there, err) < 0)
		return -1;
	*same = str_same(here.hex, json_text(there, "digest"));
	if (*same)
		statistics_digest(m, volume, "sha256", here.hex);
	return 0;
}

int tree_step_verify(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	bool same;
	if (compare(m, volume, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	task_log(m->task, "warning", "%s: the trees differ where size and time do not tell; comparing every file",
		 json_text(volume, "target"));
	if (push(m, volume, "verify", 0, true, NULL, err) < 0 || compare(m, volume, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	return error_set(err, VMM_FAILED, "verify-failed", "volume %s: what arrived differs from what was sent",
			 json_text(volume, "from"));
}
