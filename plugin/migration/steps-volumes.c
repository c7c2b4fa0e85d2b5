/* steps-volumes.c: the steps that bring volumes over - prepare, copy, verify, publish. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "migration/steps.h"
#include "storage/storage.h"

/* ---------------------------------------------------------------- sessions
 *
 * They carry the copies of all volumes and rounds. After a failure they are of no use any more and are closed. */

static int open_one(struct migration *m, struct stream **session, struct vmm_error **err)
{
	struct vmm_node *target = m->node[TARGET];
	bool tls = str_same(json_text(m->request, "options.data"), "tls");
	return target->ops->session(target, task_id(m->task), tls, session, err);
}

/* One is enough to go on with: sshd may admit no more. */
static int open_another(void *context, struct stream **session)
{
	struct migration *m = context;
	vmm_auto_error struct vmm_error *problem = NULL;
	if (open_one(m, session, &problem) == 0)
		return 0;
	task_log(m->task, "info", "copying goes on over %zu connections: %s", m->sessions.count, problem->message);
	return -1;
}

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

/* ---------------------------------------------------------------- what has changed since the last round
 *
 * Each round copies a snapshot of the volume. What differs between two snapshots, or between the last one and the
 * volume of the guest that is off, is what the storage says. Tracking only saves time: whatever goes wrong with it is
 * logged, and the next round reads the whole volume again. */

/* Takes `problem`. */
static void tell_doubt(struct migration *m, struct json_object *volume, struct vmm_error *problem)
{
	task_log(m->task, "warning", "%s: what has changed cannot be told (%s): all of it is read again",
		 json_text(volume, "target"), problem->message);
	error_clear(&problem);
}

static void snapshot_make(struct migration *m, struct json_object *volume, int round, struct track_snapshot *snapshot)
{
	const char *tracker = json_text(volume, "track");
	vmm_auto_json struct json_object *reply = NULL;
	struct vmm_error *problem = NULL;
	*snapshot = (struct track_snapshot){0};
	if (!track_named(tracker)->begin)
		return;
	struct json_object *args = json_make("path:s tracker:s round:d", json_text(volume, "from"), tracker, round);
	if (migration_call(m, SOURCE, NODE_FREEZE, args, &reply, &problem) == 0 &&
	    track_open(json_text_or(reply, "snapshot", ""), (uint64_t)json_number(reply, "device"),
		       (uint64_t)json_number(reply, "inode"), snapshot, &problem) == 0)
		return;
	tell_doubt(m, volume, problem);
	json_put(volume, "track:s", track_reread.name);
}

static void snapshot_drop(struct migration *m, struct track_snapshot *snapshot)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	if (!snapshot->place)
		return;
	struct json_object *args = json_make("snapshot:s", snapshot->place);
	track_close(snapshot);
	/* It goes at the latest when the guest is unlocked. */
	if (migration_call(m, SOURCE, NODE_THAW, args, NULL, &problem) < 0)
		log_warn("%s", problem->message);
}

static int changed_since(struct migration *m, struct json_object *volume, const struct track_snapshot *since, int fd,
			 struct track_changes *changes, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	if (since->place && track_named(json_text(volume, "track"))->changed(since, fd, changes, &problem) == 0)
		return 0;
	if (problem)
		tell_doubt(m, volume, problem);
	return track_reread.changed(since, fd, changes, err);
}

/* ---------------------------------------------------------------- volumes of the plan */

static size_t volume_index(struct migration *m, struct json_object *volume)
{
	json_each (one, m->plan, "volumes")
		if (one == volume)
			return one_i;
	abort();
}

static struct copy_leaves *leaves_of(struct migration *m, struct json_object *volume)
{
	if (!m->leaves)
		m->leaves = mem_zero(json_count(m->plan, "volumes") * sizeof(*m->leaves));
	return &m->leaves[volume_index(m, volume)];
}

/* What lies at the volume's place goes aside where it was asked for, or where it is a leftover of ours. */
static struct json_object *volume_arguments(struct migration *m, struct json_object *volume)
{
	bool replace = json_true(m->request, "options.replace") || json_true(volume, "set_aside");
	return json_make("volume:O replace:b", volume, (int)replace);
}

int step_prepare(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	vmm_auto_json struct json_object *reply = NULL;
	if (migration_call(m, TARGET, NODE_ALLOCATE, volume_arguments(m, volume), &reply, err) < 0)
		return -1;
	json_put(volume, "begun:b seed:i", (int)json_true(reply, "begun"), json_number(reply, "seed"));
	if (json_number(reply, "seed")) {
		vmm_auto_free char *size = str_size(json_number(reply, "seed"));
		task_log(m->task, "info", "%s: %s has %s of an earlier copy; only what differs is sent",
			 json_text(volume, "target"), json_text(m->plan, "target"), size);
	}
	return 0;
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

/* Trees are not opened: *fd is -1. */
static int open_volume(struct json_object *volume, int *fd, struct vmm_error **err)
{
	*fd = volume_is_tree(volume) ? -1 : open_source(volume, err);
	return *fd < 0 && !volume_is_tree(volume) ? -1 : 0;
}

/* What changes when anybody writes to the volume. */
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

static bool on_progress(void *context, const struct copy_progress *progress)
{
	return watching_report(context, progress->done, progress->total, json_make("wire:i", (int64_t)progress->wire));
}

/* What a pass is of. */
struct pass {
	const char *phase;
	int round;			    /* 0: the only one, or the last */
	int fd;				    /* the volume, or a snapshot of it */
	const struct track_snapshot *since; /* what the pass before was of */
	struct copy_progress result;
	uint64_t wire; /* bytes that it took */
};

/* What the target does not hold yet crosses. */
static int push(struct migration *m, struct json_object *volume, struct pass *pass, struct vmm_error **err)
{
	if (volume_is_tree(volume))
		return tree_step_push(m, volume, pass->phase, pass->round, &pass->wire, err);
	struct track_changes changes;
	struct watching watching = {m, pass->phase, json_text(volume, "target"), pass->round};
	if (sessions_open(m, err) < 0 || changed_since(m, volume, pass->since, pass->fd, &changes, err) < 0)
		return -1;
	off_t size = lseek(pass->fd, 0, SEEK_END); /* of a device, too */
	if (size < 0) {
		track_changes_free(&changes);
		return error_errno(err, errno, "volume %s", json_text(volume, "from"));
	}
	const struct copy_range nothing = {0};
	struct copy_job job = {.fd = pass->fd,
			       .size = (uint64_t)size,
			       .volume = json_text(volume, "temporary"),
			       .name = json_text(volume, "from"),
			       .rate_limit = (uint64_t)json_number(m->request, "options.bwlimit") * 1024,
			       .digest = str_same(json_text(m->request, "options.digest"), "sha256") ? COPY_SHA256
												     : COPY_POLY1305,
			       .gently = pass->round > 0, /* the guest runs */
			       .progress = on_progress,
			       .context = &watching,
			       .only = changes.count ? changes.ranges : &nothing,
			       .only_count = changes.count};
	int done = copy_push(&job, &m->sessions, leaves_of(m, volume), &pass->result, err);
	pass->wire = pass->result.wire;
	statistics_add(m, "wire_bytes", pass->wire);
	statistics_add(m, "read_bytes", pass->result.data);
	statistics_add(m, "present_bytes", pass->result.present);
	track_changes_free(&changes);
	if (done < 0)
		sessions_drop(m);
	if (done < 0 && err && error_is(*err, "read-failed"))
		error_hint(err, "the storage of %s fails under it: see the kernel's log there (journalctl -k)",
			   json_text(m->plan, "source"));
	return done;
}

/* What was sent since it was last asked for is read back from the target's storage. Trees are compared once, at the
 * end; until then they are brought to the disk. */
static int prove(struct migration *m, struct json_object *volume, const char *phase, struct vmm_error **err)
{
	struct watching watching = {m, phase, json_text(volume, "target"), 0};
	const struct copy_job job = {.volume = json_text(volume, "temporary"),
				     .name = json_text(volume, "from"),
				     .progress = on_progress,
				     .context = &watching};
	if (volume_is_tree(volume))
		return tree_step_sync(m, volume, err);
	if (sessions_open(m, err) < 0)
		return -1;
	int done = copy_verify(&job, m->sessions.stream[0], leaves_of(m, volume), NULL, err);
	if (done < 0)
		sessions_drop(m);
	return done;
}

static struct track_snapshot *snapshot_of(struct migration *m, struct json_object *volume)
{
	if (!m->snapshots)
		m->snapshots = mem_zero(json_count(m->plan, "volumes") * sizeof(*m->snapshots));
	return &m->snapshots[volume_index(m, volume)];
}

/* Sends what was written since the round before and has it read back, all while the guest runs. */
static int go_round(struct migration *m, struct json_object *volume, int round, struct vmm_error **err)
{
	struct track_snapshot *last = snapshot_of(m, volume), next;
	int64_t began_ms = clock_steady_ms();
	snapshot_make(m, volume, round, &next);
	vmm_auto_close int live = -1;
	struct pass pass = {.phase = round == 1 ? "precopy" : "rounds", .round = round, .fd = next.fd, .since = last};
	/* What is not frozen changes under our hands: so it is compared with nothing, and nothing will be with it. */
	if (!next.place) {
		snapshot_drop(m, last);
		if (open_volume(volume, &live, err) < 0)
			return -1;
		pass.fd = live;
	}
	int done = push(m, volume, &pass, err);
	snapshot_drop(m, last);
	*last = next;
	if (done < 0 || prove(m, volume, pass.phase, err) < 0)
		return -1;
	vmm_auto_free char *sent = str_size((int64_t)pass.wire);
	int64_t took_ms = clock_steady_ms() - began_ms;
	task_log(m->task, "info", "%s: round %d sent %s in %.1f s%s", json_text(volume, "target"), round, sent,
		 (double)took_ms / 1000, next.place ? ", of a snapshot" : "");
	m->round_wire += pass.wire;
	m->round_ms += took_ms;
	return 0;
}

/* The first round, of each volume: all that the target does not hold yet. */
int step_precopy(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	if (json_true(m->request, "options.no_precopy"))
		return volume_is_tree(volume) ? 0 : sessions_open(m, err);
	return go_round(m, volume, 1, err);
}

static int round_of_all(struct migration *m, int round, struct vmm_error **err)
{
	m->round_wire = 0;
	m->round_ms = 0;
	json_each (volume, m->plan, "volumes")
		if (str_same(json_text(volume, "action"), "copy") && go_round(m, volume, round, err) < 0)
			return error_context(err, "%s", json_text(volume, "target"));
	return 0;
}

/* A round carries what was written during the one before, to all volumes in turn: what was written to the first while
 * the last one was copied is not left for the time without the guest. Once it is little, or does not get less, the next
 * round is the last one. What the first has sent says nothing of that, unless it was over in no time. */
int step_rounds(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	enum { ROUNDS_MOST = 8, ROUND_SMALL = 16 << 20, NO_TIME_MS = 10000 };
	(void)volume;
	uint64_t before = m->round_wire > ROUND_SMALL ? m->round_wire : UINT64_MAX;
	bool going = m->round_wire > ROUND_SMALL || m->round_ms > NO_TIME_MS;
	for (int round = 2; going && round <= ROUNDS_MOST; round++) {
		if (round_of_all(m, round, err) < 0)
			return -1;
		going = m->round_wire > ROUND_SMALL && m->round_wire <= before / 10 * 7;
		before = m->round_wire;
		/* The one without the guest will take about as long. */
		json_put(m->plan, "downtime_ms:i", m->round_ms + PLAN_RESTART_MS);
	}
	return 0;
}

/* Nobody writes any more. */
int step_copy(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	vmm_auto_close int fd = -1;
	struct pass pass = {.phase = "copy", .since = snapshot_of(m, volume)};
	statistics_add(m, "volume_bytes", (uint64_t)json_number(volume, "size"));
	if (open_volume(volume, &fd, err) < 0)
		return -1;
	pass.fd = fd;
	vmm_auto_free char *seen = fingerprint(fd);
	json_put(volume, "seen:s", seen);
	if (push(m, volume, &pass, err) < 0)
		return -1;
	statistics_add(m, "last_read_bytes", pass.result.data);
	statistics_add(m, "last_wire_bytes", pass.wire);
	return 0;
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
	if (unchanged(volume, err) < 0 || prove(m, volume, "verify", err) < 0)
		return -1;
	char root[2 * COPY_SECRET + 1];
	const struct copy_leaves *leaves = leaves_of(m, volume);
	copy_root(leaves, root);
	statistics_digest(m, volume, copy_digest_name(leaves), root);
	return 0;
}

int step_publish(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	sessions_drop(m);
	if (volume_is_tree(volume))
		return tree_step_publish(m, volume, volume_arguments(m, volume), err);
	/* Other volumes were verified since this one was. */
	if (unchanged(volume, err) < 0)
		return -1;
	return migration_call(m, TARGET, NODE_PUBLISH, volume_arguments(m, volume), NULL, err);
}
