/* steps-trees.c: what the steps do for volumes that are directory trees. rsync copies them in place of our engine for
 * images, and both ends are compared by one digest of the whole tree. */
#include <string.h>

#include "migration/steps.h"

bool volume_is_tree(const struct plan_volume *volume)
{
	const struct storage_ops *ops = storage_kind(volume->kind);
	return ops && ops->tree;
}

/* ---------------------------------------------------------------- push */

/* What carry() needs to start the receiving rsync. */
struct receiver {
	struct migration *m;
	const char *path; /* on the target */
	bool checksum;
};

static int carry(void *context, int fd, uint64_t *wire, struct vmm_error **err)
{
	struct receiver *receiver = context;
	struct vmm_node *target = receiver->m->node[TARGET];
	return target->ops->tree(target, task_id(receiver->m->task), receiver->path, receiver->checksum, fd, wire, err);
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

/* Runs rsync once. `checksum`: it compares every file's content, not only size and time. */
static int push(struct migration *m, const struct plan_volume *volume, const char *phase, int round, bool checksum,
		uint64_t *wire, struct vmm_error **err)
{
	vmm_auto_free char *pipe = str_format("%s/tree-pipe", m->paths->libexec);
	struct watching watching = {m, phase, volume->target, round};
	struct receiver receiver = {m, volume->temporary, checksum};
	struct tree_job job = {.from = volume->from,
			       .pipe = pipe,
			       .running = round > 0,
			       .checksum = checksum,
			       .rate_limit = (uint64_t)json_number(m->request, "options.bwlimit") * 1024,
			       .carry = carry,
			       .carry_context = &receiver,
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

/* The source reads its tree on a thread while the target is asked to read its own. Once the target's call has failed,
 * the thread need not go on. */
struct comparing {
	struct migration *m;
	bool target_failed;
};

static bool wants_to_stop(void *context)
{
	struct comparing *c = context;
	return __atomic_load_n(&c->target_failed, __ATOMIC_RELAXED) || task_cancelled(c->m->task);
}

static const char *digest_kind(struct migration *m)
{
	return str_same(json_text(m->request, "options.digest"), "sha256") ? "sha256" : "poly1305";
}

/* Makes the digest that `options` ask for on both nodes at once; *same: they are equal. *here is the source's. */
static int look_on_both(struct migration *m, const struct plan_volume *volume, struct tree_digest_options options,
			struct tree_digest *here, bool *same, struct vmm_error **err)
{
	struct comparing comparing = {.m = m};
	vmm_auto_free char *key = strcmp(digest_kind(m), "sha256") ? random_hex(32) : NULL;
	vmm_auto_json struct json_object *there = NULL;
	struct vmm_error *problem = NULL;
	struct json_object *args =
		json_make("volume:s key:s contents:b", volume->temporary, key, (int)(options.scope == TREE_ALL));
	if (options.files)
		json_put(args, "files:O", options.files);
	options.key = key;
	if (options.scope != TREE_FILES) {
		json_object_put(migration_volume(m, volume)->flags);
		options.flags = &migration_volume(m, volume)->flags;
	}
	options.cancelled = wants_to_stop;
	options.context = &comparing;
	struct tree_reading *reading = tree_digest_begin(volume->from, &options);
	int asked = migration_call(m, TARGET, NODE_DIGEST, args, &there, err);
	__atomic_store_n(&comparing.target_failed, asked < 0, __ATOMIC_RELAXED);
	int done = tree_digest_end(reading, here, &problem);
	error_take(err, problem);
	if (asked < 0 || done < 0)
		return -1;
	statistics_add(m, "compared_bytes", here->read_bytes);
	*same = str_same(here->hex, json_text(there, "digest"));
	return 0;
}

/* Compares names and attributes of all files, and contents: of all files if `all`, else of those that were written
 * since the first push began. rsync takes a file of the same size and time for the same file, so it may have left such
 * a one as it was. */
static int compare(struct migration *m, const struct plan_volume *volume, bool all, struct tree_digest *here,
		   bool *same, struct vmm_error **err)
{
	vmm_auto_json struct json_object *changed = NULL;
	struct tree_digest_options options = {.scope = all ? TREE_ALL : TREE_NAMES,
					      .since_ns = all ? 0 : migration_volume(m, volume)->since_ns,
					      .changed = &changed};
	if (look_on_both(m, volume, options, here, same, err) < 0)
		return -1;
	if (all || !*same || (changed && !json_count(changed, "")))
		return 0;
	/* If too many files were written to name them all (`changed` is NULL), the contents of all files are
	 * compared. */
	struct tree_digest contents;
	options = changed ? (struct tree_digest_options){.scope = TREE_FILES, .files = changed}
			  : (struct tree_digest_options){.scope = TREE_ALL};
	return look_on_both(m, volume, options, &contents, same, err);
}

/* A clock that was set since the first push may have given a file that was written meanwhile an older time. */
static bool compares_all(struct migration *m, const struct plan_volume *volume)
{
	struct migration_volume *own = migration_volume(m, volume);
	bool clock_was_set = own->since_ns && tree_clock_was_set(own->clock);
	if (clock_was_set)
		task_log(m->task, "info", "%s: the clock was set during the copy; comparing every file",
			 volume->target);
	return clock_was_set || str_same(json_text(m->request, "options.verify"), "full");
}

static void tell_same(struct migration *m, const struct plan_volume *volume, const struct tree_digest *digest)
{
	statistics_digest(m, volume, digest_kind(m), digest->hex);
}

/* ---------------------------------------------------------------- nobody else writes to the source
 *
 * The tree's seal is taken before the last push and compared after it: it is another one after any change in the
 * tree. */

static int take_seal(struct migration *m, const struct plan_volume *volume, struct vmm_error **err)
{
	struct tree_digest digest;
	const struct tree_digest_options options = {.scope = TREE_SEAL};
	if (tree_digest(volume->from, &options, &digest, err) < 0)
		return -1;
	migration_volume(m, volume)->seal = digest.seal;
	return 0;
}

static int has_seal(struct migration *m, const struct plan_volume *volume, uint64_t seal, struct vmm_error **err)
{
	return seal == migration_volume(m, volume)->seal
		       ? 0
		       : error_set(err, VMM_FAILED, "source-changed", "volume %s was written to while it was copied",
				   volume->from);
}

/* ---------------------------------------------------------------- flags of chattr(1) */

enum { FLAGS_AT_ONCE = 1000 };

static void tell_flags_left(struct migration *m, const struct plan_volume *volume, int64_t left, const char *first)
{
	if (!left)
		return;
	task_log(m->task, "warning",
		 "%s: the storage on %s does not know the flags (chattr) of %lld of its files, such as %s: they are "
		 "lost",
		 volume->target, m->plan->target, (long long)left, *first ? first : "the directory itself");
	m->warnings++;
}

/* rsync does not copy them, and a protected file could not be written by a later pass: so they are set at the end. */
static int set_flags(struct migration *m, const struct plan_volume *volume, struct vmm_error **err)
{
	struct json_object *all = migration_volume(m, volume)->flags;
	int64_t left = 0;
	vmm_auto_free char *first = NULL;
	for (size_t at = 0; at < json_count(all, "");) {
		vmm_auto_json struct json_object *reply = NULL;
		struct json_object *args = json_make("volume:s files:o", volume->to, json_object_new_array());
		for (size_t end = at + FLAGS_AT_ONCE; at < end && at < json_count(all, ""); at++)
			json_append(args, "files", json_object_get(json_object_array_get_idx(all, at)));
		if (migration_call(m, TARGET, NODE_FLAGS, args, &reply, err) < 0)
			return -1;
		left += json_number(reply, "left");
		if (!first && json_text(reply, "first"))
			first = str_copy(json_text(reply, "first"));
	}
	tell_flags_left(m, volume, left, first);
	return 0;
}

/* While the target syncs the tree, the source's seal is compared once more: other volumes were verified since this one
 * was. */
int tree_step_publish(struct migration *m, const struct plan_volume *volume, struct json_object *args,
		      struct vmm_error **err)
{
	const struct tree_digest_options options = {.scope = TREE_SEAL};
	struct tree_digest digest;
	struct vmm_error *problem = NULL;
	struct tree_reading *reading = tree_digest_begin(volume->from, &options);
	int published = migration_call(m, TARGET, NODE_PUBLISH, args, NULL, err);
	int looked = tree_digest_end(reading, &digest, &problem);
	if (looked == 0)
		looked = has_seal(m, volume, digest.seal, &problem);
	error_take(err, problem);
	return published < 0 || looked < 0 ? -1 : set_flags(m, volume, err);
}

/* ---------------------------------------------------------------- the steps */

/* A tree that was not written to since an earlier copy of it needs no rsync: to read both ends at the same time is
 * quicker than rsync, which reads them one after the other. This is tried only if the target holds nearly all of the
 * tree. */
static int is_there_already(struct migration *m, const struct plan_volume *volume, bool *same, struct vmm_error **err)
{
	struct migration_volume *own = migration_volume(m, volume);
	struct tree_digest here;
	*same = false;
	if (own->seed < volume->allocated / 10 * 9)
		return 0;
	if (compare(m, volume, true, &here, same, err) < 0)
		return -1;
	if (!*same)
		return 0;
	own->seal = here.seal;
	own->proven = true;
	statistics_add(m, "wire_bytes", 0);
	task_log(m->task, "info", "%s: nothing has changed", volume->target);
	tell_same(m, volume, &here);
	return 0;
}

/* The first push compares what an earlier copy holds by content: its sizes and times prove nothing. */
int tree_step_push(struct migration *m, const struct plan_volume *volume, const char *phase, int round, uint64_t *wire,
		   struct vmm_error **err)
{
	struct migration_volume *own = migration_volume(m, volume);
	bool first = !own->since_ns, begun = first && own->begun, same = false;
	*wire = 0;
	if (round == 0 && begun && is_there_already(m, volume, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	if (round == 0 && take_seal(m, volume, err) < 0)
		return -1;
	/* A lower layer of an overlay, which nobody is to write to, is sent once. If somebody did, the comparison in
	 * the phase verify finds it. */
	if (!first && volume->readonly) {
		task_log(m->task, "info", "%s: read-only, has crossed while the guest ran", volume->target);
		return 0;
	}
	if (first) {
		own->clock = tree_clock_watch();
		own->since_ns = tree_stamp(volume->from);
	}
	return push(m, volume, phase, round, begun, wire, err);
}

int tree_step_sync(struct migration *m, const struct plan_volume *volume, struct vmm_error **err)
{
	return migration_call(m, TARGET, NODE_SYNC, json_make("volume:s", volume->temporary), NULL, err);
}

/* Compares both ends; the source must not have changed since its seal was taken. */
static int prove(struct migration *m, const struct plan_volume *volume, bool *same, struct vmm_error **err)
{
	struct tree_digest here;
	if (compare(m, volume, compares_all(m, volume), &here, same, err) < 0 ||
	    has_seal(m, volume, here.seal, err) < 0)
		return -1;
	if (*same)
		tell_same(m, volume, &here);
	return 0;
}

int tree_step_verify(struct migration *m, const struct plan_volume *volume, struct vmm_error **err)
{
	bool same = migration_volume(m, volume)->proven;
	if (!same && prove(m, volume, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	task_log(m->task, "warning", "%s: the trees differ where size and time do not tell; comparing every file",
		 volume->target);
	if (push(m, volume, "verify", 0, true, NULL, err) < 0 || prove(m, volume, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	return error_set(err, VMM_FAILED, "verify-failed", "volume %s: what arrived differs from what was sent",
			 volume->from);
}
