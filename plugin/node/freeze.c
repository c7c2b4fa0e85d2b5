/* freeze.c: makes and removes snapshots of the task's volumes on this node, from which the rounds of a copy learn what
 * has changed. Each is noted in the made journal before it is made, so that none outlives its task: THAW removes one,
 * UNLOCK and ABORT remove all that are left. */
#include <limits.h>
#include <sys/stat.h>

#include "node/local.h"
#include "track/track.h"

/* The snapshot's path for a volume whose path without links is `real`: in the same directory, since files can share
 * blocks only within a filesystem. */
static char *snapshot_path(const char *real, const char *task, int64_t round)
{
	vmm_auto_free char *name = str_format("snap-%s-%lld", task, (long long)round);
	return storage_temporary(real, name);
}

static int is_noted(struct local_node *node, const char *task, const char *snapshot, bool *noted,
		    struct vmm_error **err)
{
	struct journal *made;
	*noted = false;
	if (local_made_open(node, task, &made, err) < 0)
		return -1;
	json_each (record, journal_records(made), "")
		*noted |= str_same(json_text(record, "made"), "snapshot") &&
			  str_same(json_text(record, "path"), snapshot);
	journal_close(made);
	return 0;
}

/* Notes the snapshot. If it is noted already, this call is a repetition after a lost reply: what the first call has
 * made is removed, and made again. */
static int note(struct local_node *node, const char *task, const char *snapshot, struct vmm_error **err)
{
	bool noted;
	if (is_noted(node, task, snapshot, &noted, err) < 0)
		return -1;
	return noted ? file_remove(snapshot, err)
		     : local_made_note(node, task, json_make("made:s path:s", "snapshot", snapshot), err);
}

int local_freeze(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = json_text(args, "task"), *path = json_text(args, "path");
	const struct track_ops *tracker = track_named(json_text(args, "tracker"));
	char real[PATH_MAX];
	struct stat info;
	if (!tracker->begin)
		return error_set(err, VMM_FAILED, "track-unable", "the tracker \"%s\" makes no snapshots",
				 tracker->name);
	if (!realpath(path, real))
		return error_set(err, VMM_FAILED, "track-unable", "%s: %m", path);
	vmm_auto_free char *snapshot = snapshot_path(real, task, json_number(args, "round"));
	if (note(node, task, snapshot, err) < 0 ||
	    tracker->begin(real, snapshot, (uint64_t)json_number(args, "need"), err) < 0)
		return -1;
	if (lstat(snapshot, &info) < 0)
		return error_set(err, VMM_FAILED, "track-unable", "%s: %m", snapshot);
	*reply = json_make("snapshot:s device:i inode:i", snapshot, (int64_t)info.st_dev, (int64_t)info.st_ino);
	return 0;
}

int local_thaw(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	const char *task = json_text(args, "task"), *snapshot = json_text(args, "snapshot");
	bool noted;
	if (is_noted(node, task, snapshot, &noted, err) < 0)
		return -1;
	return noted ? file_remove(snapshot, err) : 0;
}
