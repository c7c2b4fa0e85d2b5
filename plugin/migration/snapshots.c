/* snapshots.c: what has changed in a volume since the last round of its copy.
 *
 * Each round copies a snapshot of the volume. The storage says what differs between two snapshots, or between the last
 * snapshot and the volume once the guest is off. This only saves time: if it fails, the log says so, and the next round
 * reads the whole volume.
 *
 * Snapshots take room on the source's storage as the guest writes. No guest there may be paused because of them: room
 * for all of them together is looked for before each is made, and during the rounds all are given up as soon as there
 * is too little left.
 */
#include <sys/stat.h>

#include "migration/steps.h"

/* Takes `problem`. */
static void tell_unknown_changes(struct migration *m, const struct plan_volume *volume, struct vmm_error *problem)
{
	task_log(m->task, "warning", "%s: what has changed cannot be told (%s): all of it is read again",
		 volume->target, problem->message);
	error_clear(&problem);
}

/* Bytes that the guest may write, while there are snapshots, to those of its volumes that are on the filesystem of this
 * one: a quarter of each. */
static int64_t room_needed(struct migration *m, const struct plan_volume *volume)
{
	struct stat info, other;
	int64_t need = 0;
	if (stat(volume->from, &info) < 0)
		return 0;
	plan_each_volume (each, m->plan)
		if (each->action == PLAN_COPY && migration_volume(m, each)->tracker->begin &&
		    stat(each->from, &other) == 0 && other.st_dev == info.st_dev)
			need += each->allocated / 4;
	return need;
}

void snapshot_make(struct migration *m, const struct plan_volume *volume, int round)
{
	struct migration_volume *own = migration_volume(m, volume);
	vmm_auto_json struct json_object *reply = NULL;
	struct vmm_error *problem = NULL;
	own->reading = (struct track_snapshot){0};
	if (!own->tracker->begin)
		return;
	struct json_object *args = json_make("path:s tracker:s round:d need:i", volume->from, own->tracker->name, round,
					     room_needed(m, volume));
	if (migration_call(m, SOURCE, NODE_FREEZE, args, &reply, &problem) == 0 &&
	    track_open(json_text_or(reply, "snapshot", ""), (uint64_t)json_number(reply, "device"),
		       (uint64_t)json_number(reply, "inode"), &own->reading, &problem) == 0)
		return;
	tell_unknown_changes(m, volume, problem);
	own->tracker = &track_reread;
}

void snapshot_drop(struct migration *m, struct track_snapshot *snapshot)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	if (!snapshot->path)
		return;
	struct json_object *args = json_make("snapshot:s", snapshot->path);
	track_close(snapshot);
	if (migration_call(m, SOURCE, NODE_THAW, args, NULL, &problem) < 0)
		log_warn("%s", problem->message);
}

int changed_since(struct migration *m, const struct plan_volume *volume, const struct track_snapshot *since, int fd,
		  struct track_changes *changes, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	if (since->path && migration_volume(m, volume)->tracker->changed(since, fd, changes, &problem) == 0)
		return 0;
	if (problem)
		tell_unknown_changes(m, volume, problem);
	return track_reread.changed(since, fd, changes, err);
}

/* ---------------------------------------------------------------- room for them */

static bool has_room(const struct track_snapshot *snapshot)
{
	return !snapshot->path || track_check_room(snapshot->fd, 0, NULL) == 0;
}

/* Once the guest is off it writes nothing more. */
bool snapshots_have_room(struct migration *m)
{
	if (!m->plan || !m->volumes || m->stopped_ms)
		return true;
	plan_each_volume (volume, m->plan) {
		const struct migration_volume *own = migration_volume(m, volume);
		m->no_room |= !has_room(&own->snapshot) || !has_room(&own->reading);
	}
	return !m->no_room;
}

void snapshots_give_up(struct migration *m)
{
	task_log(m->task, "warning",
		 "the storage of %s runs out of room: snapshots are given up, and later rounds read all of each volume",
		 m->plan->source);
	m->warnings++;
	m->no_room = false;
	plan_each_volume (volume, m->plan) {
		struct migration_volume *own = migration_volume(m, volume);
		snapshot_drop(m, &own->snapshot);
		snapshot_drop(m, &own->reading);
		own->tracker = &track_reread;
	}
}
