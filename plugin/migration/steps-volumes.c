/* steps-volumes.c: the steps that copy volumes - prepare, precopy, rounds, copy, verify, publish. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "migration/steps.h"

/* ---------------------------------------------------------------- sessions
 *
 * Connections to the target that all volumes and rounds share. After a failed copy they are closed; the next copy opens
 * new ones. */

static int open_one(struct migration *m, struct stream **session, struct vmm_error **err)
{
	struct vmm_node *target = m->node[TARGET];
	bool tls = str_same(json_text(m->request, "options.data"), "tls");
	return target->ops->session(target, task_id(m->task), tls, session, err);
}

/* A session beyond the first may fail to open, for example since sshd admits no more: the copy goes on with those that
 * are open. */
static int open_another(void *context, struct stream **session)
{
	struct migration *m = context;
	vmm_auto_error struct vmm_error *problem = NULL;
	if (open_one(m, session, &problem) == 0)
		return 0;
	task_log(m->task, "info", "copying goes on over %zu connections: %s", m->sessions.count, problem->message);
	return -1;
}

/* Opens as many as the request says. If it says nothing, one is opened now, and the copy opens more when that makes it
 * faster. */
static int sessions_open(struct migration *m, struct vmm_error **err)
{
	struct copy_sessions *sessions = &m->sessions;
	if (sessions->count)
		return 0;
	if (open_one(m, &sessions->stream[0], err) < 0)
		return -1;
	size_t asked = (size_t)json_number(m->request, "options.parallel_connections");
	*sessions = (struct copy_sessions){.stream = {sessions->stream[0]}, .count = 1, .context = m};
	if (!asked)
		sessions->open = open_another;
	while (sessions->count < asked && open_another(m, &sessions->stream[sessions->count]) == 0)
		sessions->count++;
	return 0;
}

void sessions_drop(struct migration *m)
{
	while (m->sessions.count)
		stream_close(m->sessions.stream[--m->sessions.count]);
}

/* ---------------------------------------------------------------- prepare */

/* Of ALLOCATE and PUBLISH. A file of the volume's name on the target is set aside if the request says so, or the plan,
 * which knows it as a leftover of this guest. */
static struct json_object *volume_arguments(struct migration *m, const struct plan_volume *volume)
{
	bool replace = json_true(m->request, "options.replace") || volume->set_aside;
	return json_make("volume:o replace:b", plan_volume_write(volume), (int)replace);
}

int step_prepare(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	struct migration_volume *own = migration_volume(m, volume);
	vmm_auto_json struct json_object *reply = NULL;
	if (migration_call(m, TARGET, NODE_ALLOCATE, volume_arguments(m, volume), &reply, err) < 0)
		return -1;
	own->begun = json_true(reply, "begun");
	own->seed = json_number(reply, "seed");
	if (own->seed) {
		vmm_auto_free char *size = str_size(own->seed);
		task_log(m->task, "info", "%s: %s has %s of an earlier copy; only what differs is sent", volume->target,
			 m->plan->target, size);
	}
	return 0;
}

/* ---------------------------------------------------------------- the source's volume */

static int open_source(const struct plan_volume *volume, struct vmm_error **err)
{
	const struct storage_ops *ops = storage_kind_of(volume->kind, volume->target, err);
	if (!ops)
		return -1;
	if (!ops->open)
		return error_set(err, VMM_BLOCKED, "storage-format", "volume %s: a %s storage cannot be copied from",
				 volume->target, ops->kind);
	return ops->open(volume->from, false, err);
}

/* Trees are not opened: *fd is -1. */
static int open_volume(const struct plan_volume *volume, int *fd, struct vmm_error **err)
{
	*fd = volume_is_tree(volume) ? -1 : open_source(volume, err);
	return *fd < 0 && !volume_is_tree(volume) ? -1 : 0;
}

/* A text that is different once anybody has written to the volume. */
static char *fingerprint(int fd)
{
	struct stat info;
	if (fstat(fd, &info) < 0)
		return str_copy("");
	if (S_ISBLK(info.st_mode))
		return device_written(fd);
	return str_format("%llu %lld.%09ld %lld.%09ld", (unsigned long long)info.st_size,
			  (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec, (long long)info.st_ctim.tv_sec,
			  info.st_ctim.tv_nsec);
}

/* The guest is off: who has the volume open now may write to it until it is given up, and afterwards. */
static int not_opened(struct migration *m, const struct plan_volume *volume, struct vmm_error **err)
{
	vmm_auto_free char *opener =
		migration_moves_memory(m) || volume->readonly ? NULL : storage_opener(volume->from);
	if (!opener)
		return 0;
	error_set(err, VMM_FAILED, "volume-in-use", "volume %s is open on %s: %s uses it", volume->from,
		  m->plan->source, opener);
	return error_hint(err, "end that program first (fuser -v %s)", volume->from);
}

static int unchanged(struct migration *m, const struct plan_volume *volume, struct vmm_error **err)
{
	vmm_auto_close int fd = open_source(volume, err);
	if (fd < 0 || not_opened(m, volume, err) < 0)
		return -1;
	vmm_auto_free char *now = fingerprint(fd);
	return str_same(now, migration_volume(m, volume)->written)
		       ? 0
		       : error_set(err, VMM_FAILED, "source-changed", "volume %s was written to while it was copied",
				   volume->from);
}

/* ---------------------------------------------------------------- push and verify */

static bool on_progress(void *context, const struct copy_progress *progress)
{
	return watching_report(context, progress->done, progress->total, json_make("wire:i", (int64_t)progress->wire));
}

/* One pass over a volume: a round, or the last copy. */
struct pass {
	const char *phase;
	int round;			    /* 0: the only pass, or the last */
	int fd;				    /* the volume, or a snapshot of it */
	const struct track_snapshot *since; /* what the pass before has copied */
	struct copy_progress result;
	uint64_t wire; /* bytes that were sent */
};

static int push_image(struct migration *m, const struct plan_volume *volume, struct pass *pass,
		      const struct track_changes *changes, struct vmm_error **err)
{
	const struct copy_range nothing = {0};
	struct watching watching = {m, pass->phase, volume->target, pass->round};
	bool sha256 = str_same(json_text(m->request, "options.digest"), "sha256");
	off_t size = lseek(pass->fd, 0, SEEK_END); /* of a device, too */
	if (size < 0)
		return error_errno(err, errno, "volume %s", volume->from);
	struct copy_job job = {.fd = pass->fd,
			       .size = (uint64_t)size,
			       .volume = volume->temporary,
			       .name = volume->from,
			       .rate_limit = (uint64_t)json_number(m->request, "options.bwlimit") * 1024,
			       .digest = sha256 ? COPY_SHA256 : COPY_POLY1305,
			       .idle_io = pass->round > 0, /* the guest runs */
			       .progress = on_progress,
			       .context = &watching,
			       .changed = changes->count ? changes->ranges : &nothing,
			       .changed_count = changes->count};
	int done = copy_push(&job, &m->sessions, &migration_volume(m, volume)->leaves, &pass->result, err);
	pass->wire = pass->result.wire;
	statistics_add(m, "wire_bytes", pass->wire);
	statistics_add(m, "read_bytes", pass->result.data);
	statistics_add(m, "present_bytes", pass->result.present);
	if (done < 0)
		sessions_drop(m);
	if (done < 0 && err && error_is(*err, "read-failed"))
		error_hint(err, "the storage of %s fails under it: see the kernel's log there (journalctl -k)",
			   m->plan->source);
	return done;
}

/* Sends what the target does not hold yet. */
static int push(struct migration *m, const struct plan_volume *volume, struct pass *pass, struct vmm_error **err)
{
	if (volume_is_tree(volume))
		return tree_step_push(m, volume, pass->phase, pass->round, &pass->wire, err);
	struct track_changes changes;
	if (sessions_open(m, err) < 0 || changed_since(m, volume, pass->since, pass->fd, &changes, err) < 0)
		return -1;
	int done = push_image(m, volume, pass, &changes, err);
	track_changes_free(&changes);
	return done;
}

/* Has the target read back from its storage what was sent since this was last asked. A tree is compared once, in the
 * phase verify; until then the target only syncs it. */
static int read_back(struct migration *m, const struct plan_volume *volume, const char *phase, struct vmm_error **err)
{
	struct watching watching = {m, phase, volume->target, 0};
	const struct copy_job job = {
		.volume = volume->temporary, .name = volume->from, .progress = on_progress, .context = &watching};
	if (volume_is_tree(volume))
		return tree_step_sync(m, volume, err);
	if (sessions_open(m, err) < 0)
		return -1;
	int done = copy_verify(&job, m->sessions.stream[0], &migration_volume(m, volume)->leaves, NULL, err);
	if (done < 0)
		sessions_drop(m);
	return done;
}

/* ---------------------------------------------------------------- rounds */

static void tell_round(struct migration *m, const struct plan_volume *volume, const struct pass *pass, int64_t took_ms,
		       bool of_snapshot)
{
	vmm_auto_free char *sent = str_size((int64_t)pass->wire);
	task_log(m->task, "info", "%s: round %d sent %s in %.1f s%s", volume->target, pass->round, sent,
		 (double)took_ms / 1000, of_snapshot ? ", of a snapshot" : "");
}

/* Sends what was written since the round before and has it read back, all while the guest runs. */
static int go_round_once(struct migration *m, const struct plan_volume *volume, int round, struct vmm_error **err)
{
	struct migration_volume *own = migration_volume(m, volume);
	int64_t began_ms = clock_steady_ms();
	snapshot_make(m, volume, round);
	vmm_auto_close int live = -1;
	struct pass pass = {.phase = round == 1 ? "precopy" : "rounds",
			    .round = round,
			    .fd = own->reading.fd,
			    .since = &own->snapshot};
	bool of_snapshot = own->reading.path;
	/* Without a snapshot the guest writes to the volume while it is read. So neither this round nor the next one
	 * can be told what has changed: each reads the whole volume. */
	if (!of_snapshot) {
		snapshot_drop(m, &own->snapshot);
		if (open_volume(volume, &live, err) < 0)
			return -1;
		pass.fd = live;
	}
	int done = push(m, volume, &pass, err);
	snapshot_drop(m, &own->snapshot);
	own->snapshot = own->reading;
	own->reading = (struct track_snapshot){0};
	if (done < 0 || read_back(m, volume, pass.phase, err) < 0)
		return -1;
	int64_t took_ms = clock_steady_ms() - began_ms;
	tell_round(m, volume, &pass, took_ms, of_snapshot);
	m->round_wire += pass.wire;
	m->round_ms += took_ms;
	return 0;
}

/* If the source's storage runs out of room meanwhile, all snapshots are given up, and the round begins again from the
 * volume itself. What the target has by then is not sent again. */
static int go_round(struct migration *m, const struct plan_volume *volume, int round, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	if (m->no_room)
		snapshots_give_up(m);
	if (go_round_once(m, volume, round, &problem) == 0)
		return 0;
	if (!m->no_room) {
		error_take(err, problem);
		return -1;
	}
	error_clear(&problem);
	snapshots_give_up(m);
	return go_round_once(m, volume, round, err);
}

/* The first round, of each volume: all that the target does not hold yet. */
int step_precopy(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	if (json_true(m->request, "options.no_precopy"))
		return volume_is_tree(volume) ? 0 : sessions_open(m, err);
	return go_round(m, volume, 1, err);
}

static int round_of_all(struct migration *m, int round, struct vmm_error **err)
{
	m->round_wire = 0;
	m->round_ms = 0;
	plan_each_volume (volume, m->plan)
		if (volume->action == PLAN_COPY && go_round(m, volume, round, err) < 0)
			return error_context(err, "%s", volume->target);
	return 0;
}

/* Goes round all volumes until little was written during the last round, or it sent not much less than the one before;
 * then only the last pass is left, with the guest off. All volumes take part in each round, so that what was written to
 * the first one while the others were copied is not left for the last pass. The amount that the first round has sent
 * does not say how much is written meanwhile: so there is a second one, unless the first was small and short. */
int step_rounds(struct migration *m, struct plan_volume *unused, struct vmm_error **err)
{
	enum { ROUNDS_MOST = 8, ROUND_SMALL = 16 << 20, ROUND_SHORT_MS = 10000 };
	(void)unused;
	uint64_t before = m->round_wire > ROUND_SMALL ? m->round_wire : UINT64_MAX;
	bool going = m->round_wire > ROUND_SMALL || m->round_ms > ROUND_SHORT_MS;
	for (int round = 2; going && round <= ROUNDS_MOST; round++) {
		if (round_of_all(m, round, err) < 0)
			return -1;
		going = m->round_wire > ROUND_SMALL && m->round_wire <= before / 10 * 7;
		before = m->round_wire;
		/* The last pass will take about as long. */
		m->plan->downtime_ms = m->round_ms + PLAN_RESTART_MS;
	}
	return 0;
}

/* ---------------------------------------------------------------- the last pass, and its end */

/* The guest is off, or the volume is one that it does not write to: what differs is sent. */
int step_copy(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	struct migration_volume *own = migration_volume(m, volume);
	vmm_auto_close int fd = -1;
	struct pass pass = {.phase = "copy", .since = &own->snapshot};
	statistics_add(m, "volume_bytes", (uint64_t)volume->size);
	if (open_volume(volume, &fd, err) < 0)
		return -1;
	pass.fd = fd;
	free(own->written);
	own->written = fingerprint(fd);
	if (push(m, volume, &pass, err) < 0)
		return -1;
	statistics_add(m, "last_read_bytes", pass.result.data);
	statistics_add(m, "last_wire_bytes", pass.wire);
	return 0;
}

int step_verify(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	if (volume_is_tree(volume))
		return tree_step_verify(m, volume, err);
	if (unchanged(m, volume, err) < 0 || read_back(m, volume, "verify", err) < 0)
		return -1;
	char root[2 * COPY_SECRET + 1];
	const struct copy_leaves *leaves = &migration_volume(m, volume)->leaves;
	copy_root(leaves, root);
	statistics_digest(m, volume, copy_digest_name(leaves), root);
	return 0;
}

int step_publish(struct migration *m, struct plan_volume *volume, struct vmm_error **err)
{
	sessions_drop(m);
	if (volume_is_tree(volume))
		return tree_step_publish(m, volume, volume_arguments(m, volume), err);
	/* Once more, since other volumes were verified after this one. */
	if (unchanged(m, volume, err) < 0)
		return -1;
	return migration_call(m, TARGET, NODE_PUBLISH, volume_arguments(m, volume), NULL, err);
}
