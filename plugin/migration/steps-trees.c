/* steps-trees.c: volumes that are directory trees - rsync in place of the engine for images, a digest in place of its
 * tags. */
#include <string.h>
#include <time.h>

#include "migration/steps.h"
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

static bool on_progress(void *context, const struct tree_progress *progress)
{
	struct watching *watching = context;
	if (!progress->total) /* rsync is still counting */
		return !task_cancelled(watching->m->task);
	struct json_object *more = json_make("wire:i files:i files_total:i", (int64_t)progress->wire,
					     (int64_t)progress->files, (int64_t)progress->files_total);
	return watching_report(watching, progress->done, progress->total, more);
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

/* ---------------------------------------------------------------- both ends compared */

/* Reads here what the other end is asked to read there; gives up here what has failed there. */
struct comparing {
	struct migration *m;
	bool in_vain;
};

static bool wants_to_stop(void *context)
{
	struct comparing *c = context;
	return __atomic_load_n(&c->in_vain, __ATOMIC_RELAXED) || task_cancelled(c->m->task);
}

static const char *digest_kind(struct migration *m)
{
	return str_same(json_text(m->request, "options.digest"), "sha256") ? "sha256" : "poly1305";
}

static int look_on_both(struct migration *m, struct json_object *volume, struct tree_look look,
			struct tree_digest *here, bool *same, struct vmm_error **err)
{
	struct comparing comparing = {.m = m};
	vmm_auto_free char *key = strcmp(digest_kind(m), "sha256") ? random_hex(32) : NULL;
	vmm_auto_json struct json_object *there = NULL;
	struct vmm_error *problem = NULL;
	struct json_object *args = json_make("volume:s key:s contents:b", json_text(volume, "temporary"), key,
					     (int)(look.cover == TREE_ALL));
	if (look.files)
		json_put(args, "files:O", look.files);
	look.key = key;
	look.cancelled = wants_to_stop;
	look.context = &comparing;
	struct tree_reading *reading = tree_digest_begin(json_text(volume, "from"), &look);
	int asked = migration_call(m, TARGET, NODE_DIGEST, args, &there, err);
	__atomic_store_n(&comparing.in_vain, asked < 0, __ATOMIC_RELAXED);
	int done = tree_digest_end(reading, here, &problem);
	error_take(err, problem);
	if (asked < 0 || done < 0)
		return -1;
	statistics_add(m, "compared_bytes", here->read_bytes);
	*same = str_same(here->hex, json_text(there, "digest"));
	return 0;
}

/* Names and attributes of all; contents of what was touched since the first push began - rsync takes a file of the same
 * size and time for the same file - or of all. */
static int compare(struct migration *m, struct json_object *volume, bool all, struct tree_digest *here, bool *same,
		   struct vmm_error **err)
{
	vmm_auto_json struct json_object *changed = NULL;
	struct tree_look look = {.cover = all ? TREE_ALL : TREE_NAMES,
				 .since_ns = all ? 0 : json_number(volume, "since_ns"),
				 .changed = &changed};
	if (look_on_both(m, volume, look, here, same, err) < 0)
		return -1;
	if (all || !*same || (changed && !json_count(changed, "")))
		return 0;
	struct tree_digest contents;
	look = changed ? (struct tree_look){.cover = TREE_FILES, .files = changed}
		       : (struct tree_look){.cover = TREE_ALL};
	return look_on_both(m, volume, look, &contents, same, err);
}

static bool reads_all(struct migration *m)
{
	return str_same(json_text(m->request, "options.verify"), "full");
}

static void tell_same(struct migration *m, struct json_object *volume, const struct tree_digest *digest)
{
	statistics_digest(m, volume, digest_kind(m), digest->hex);
}

/* ---------------------------------------------------------------- nobody else writes to the source */

static int seal_of(struct json_object *volume, uint64_t *seal, struct vmm_error **err)
{
	struct tree_digest digest;
	const struct tree_look look = {.cover = TREE_SEAL};
	if (tree_digest(json_text(volume, "from"), &look, &digest, err) < 0)
		return -1;
	*seal = digest.seal;
	return 0;
}

static void put_seal(struct json_object *volume, uint64_t seal)
{
	json_put(volume, "seal:i", (int64_t)seal);
}

static int has_seal(struct json_object *volume, uint64_t seal, struct vmm_error **err)
{
	return seal == (uint64_t)json_number(volume, "seal")
		       ? 0
		       : error_set(err, VMM_FAILED, "source-changed", "volume %s was written to while it was copied",
				   json_text(volume, "from"));
}

/* While the target brings it to its disk, the source is looked at once more: other volumes were verified since this one
 * was. */
int tree_step_publish(struct migration *m, struct json_object *volume, struct json_object *args, struct vmm_error **err)
{
	const struct tree_look look = {.cover = TREE_SEAL};
	struct tree_digest digest;
	struct vmm_error *problem = NULL;
	struct tree_reading *reading = tree_digest_begin(json_text(volume, "from"), &look);
	int published = migration_call(m, TARGET, NODE_PUBLISH, args, NULL, err);
	int looked = tree_digest_end(reading, &digest, &problem);
	if (looked == 0)
		looked = has_seal(volume, digest.seal, &problem);
	error_take(err, problem);
	return published < 0 || looked < 0 ? -1 : 0;
}

/* ---------------------------------------------------------------- the steps */

/* A tree that was not touched since an earlier copy of it needs no rsync: reading both ends at once is quicker than one
 * after the other. A copy that is not nearly whole is not asked. */
static int is_there_already(struct migration *m, struct json_object *volume, bool *same, struct vmm_error **err)
{
	struct tree_digest here;
	*same = false;
	if (json_number(volume, "seed") < json_number(volume, "allocated") / 10 * 9)
		return 0;
	if (compare(m, volume, true, &here, same, err) < 0)
		return -1;
	if (!*same)
		return 0;
	put_seal(volume, here.seal);
	json_put(volume, "proven:b", 1);
	statistics_add(m, "wire_bytes", 0);
	task_log(m->task, "info", "%s: nothing has changed", json_text(volume, "target"));
	tell_same(m, volume, &here);
	return 0;
}

/* The first push compares what an earlier copy holds by content: its sizes and times prove nothing. */
int tree_step_push(struct migration *m, struct json_object *volume, const char *phase, int round, uint64_t *wire,
		   struct vmm_error **err)
{
	bool first = !json_number(volume, "since_ns"), begun = first && json_true(volume, "begun"), same = false;
	uint64_t seal;
	*wire = 0;
	if (round == 0 && begun && is_there_already(m, volume, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	if (round == 0 && seal_of(volume, &seal, err) < 0)
		return -1;
	if (round == 0)
		put_seal(volume, seal);
	/* A lower layer of an overlay, which nobody writes to: whether that is so is seen when all is compared. */
	if (!first && json_true(volume, "readonly")) {
		task_log(m->task, "info", "%s: read-only, has crossed while the guest ran",
			 json_text(volume, "target"));
		return 0;
	}
	if (first)
		json_put(volume, "since_ns:i", now_ns());
	return push(m, volume, phase, round, begun, wire, err);
}

int tree_step_sync(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	return migration_call(m, TARGET, NODE_SYNC, json_make("volume:s", json_text(volume, "temporary")), NULL, err);
}

static int prove(struct migration *m, struct json_object *volume, bool *same, struct vmm_error **err)
{
	struct tree_digest here;
	if (compare(m, volume, reads_all(m), &here, same, err) < 0 || has_seal(volume, here.seal, err) < 0)
		return -1;
	if (*same)
		tell_same(m, volume, &here);
	return 0;
}

int tree_step_verify(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	bool same = json_true(volume, "proven");
	if (!same && prove(m, volume, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	task_log(m->task, "warning", "%s: the trees differ where size and time do not tell; comparing every file",
		 json_text(volume, "target"));
	if (push(m, volume, "verify", 0, true, NULL, err) < 0 || prove(m, volume, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	return error_set(err, VMM_FAILED, "verify-failed", "volume %s: what arrived differs from what was sent",
			 json_text(volume, "from"));
}
