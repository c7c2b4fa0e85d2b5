/* rounds.c: what a later round of a copy has to look at. Each round copies a frozen state of the volume; what differs between two
 * such states, or between the last one and the volume of the guest that is off, is what the storage says.
 *
 * Tracking saves time, no more: whatever goes wrong with it is said in the log, and all is read again.
 */
#include "engine/engine.h"
#include "engine/steps.h"

/* Takes `problem`. */
static void tell_doubt(struct migration *m, struct json_object *volume, struct vmm_error *problem)
{
	task_log(m->task, "warning", "%s: what has changed cannot be told (%s): all of it is read again",
		 json_text(volume, "target"), problem->message);
	error_clear(&problem);
}

void rounds_freeze(struct migration *m, struct json_object *volume, int round, struct track_snapshot *snapshot)
{
	const char *tracker = json_text(volume, "track");
	vmm_auto_json struct json_object *reply = NULL;
	struct vmm_error *problem = NULL;
	*snapshot = (struct track_snapshot){0};
	if (!track_named(tracker)->begin)
		return;
	struct json_object *args = json_make("path:s tracker:s round:d", json_text(volume, "from"), tracker, round);
	if (migration_call(m, SOURCE, NODE_FREEZE, args, &reply, &problem) == 0 &&
	    track_open(json_text_or(reply, "place", ""), (uint64_t)json_number(reply, "device"),
		       (uint64_t)json_number(reply, "inode"), snapshot, &problem) == 0)
		return;
	tell_doubt(m, volume, problem);
	json_put(volume, "track:s", track_reread.name);
}

void rounds_thaw(struct migration *m, struct track_snapshot *snapshot)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	if (!snapshot->place)
		return;
	struct json_object *args = json_make("place:s", snapshot->place);
	track_close(snapshot);
	/* It goes at the latest when the guest is unlocked. */
	if (migration_call(m, SOURCE, NODE_THAW, args, NULL, &problem) < 0)
		log_warn("%s", problem->message);
}

int rounds_changed(struct migration *m, struct json_object *volume, const struct track_snapshot *since, int fd,
		   struct track_changes *changes, struct vmm_error **err)
{
	struct vmm_error *problem = NULL;
	if (since->place && track_named(json_text(volume, "track"))->changed(since, fd, changes, &problem) == 0)
		return 0;
	if (problem)
		tell_doubt(m, volume, problem);
	return track_reread.changed(since, fd, changes, err);
}
