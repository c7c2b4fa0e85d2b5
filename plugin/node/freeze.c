/* freeze.c: snapshots of the task's volumes on this node, which tell the rounds of a copy what has changed. The journal knows of each
 * before it is there, so that none outlives its task: THAW removes one, UNLOCK and ABORT all.
 */
#include <limits.h>
#include <sys/stat.h>

#include "node/local.h"
#include "track/track.h"

/* Beside the file itself, whatever links lead to it: only there blocks can be shared. */
static char *place_of(const char *real, const char *task, int64_t round)
{
	vmm_auto_free char *name = str_format("snap-%s-%lld", task, (long long)round);
	return storage_temporary(real, name);
}

static int is_noted(struct local_node *node, const char *task, const char *place, bool *noted, struct vmm_error **err)
{
	struct journal *made;
	*noted = false;
	if (local_made_open(node, task, &made, err) < 0)
		return -1;
	json_each (record, journal_records(made), "")
		*noted |= str_same(json_text(record, "made"), "snapshot") && str_same(json_text(record, "path"), place);
	journal_close(made);
	return 0;
}

/* What a call whose reply was lost has made is of no use any more: it is made anew. */
static int note(struct local_node *node, const char *task, const char *place, struct vmm_error **err)
{
	bool noted;
	if (is_noted(node, task, place, &noted, err) < 0)
		return -1;
	return noted ? file_remove(place, err)
		     : local_made_note(node, task, json_make("made:s path:s", "snapshot", place), err);
}

int local_freeze(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = local_task(args, err), *path;
	const struct track_ops *tracker = track_named(json_text(args, "tracker"));
	char real[PATH_MAX];
	struct stat info;
	if (!task || json_need(args, "path", "call", &path, err) < 0 || path_check(path, "volume", err) < 0)
		return -1;
	if (!tracker->begin)
		return error_set(err, VMM_FAILED, "track-unable", "nothing is known that could track it");
	if (!realpath(path, real))
		return error_set(err, VMM_FAILED, "track-unable", "%s: %m", path);
	vmm_auto_free char *place = place_of(real, task, json_number(args, "round"));
	if (note(node, task, place, err) < 0 || tracker->begin(real, place, err) < 0)
		return -1;
	if (lstat(place, &info) < 0)
		return error_set(err, VMM_FAILED, "track-unable", "%s: %m", place);
	*reply = json_make("snapshot:s device:i inode:i", place, (int64_t)info.st_dev, (int64_t)info.st_ino);
	return 0;
}

int local_thaw(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)reply;
	const char *task = local_task(args, err), *place;
	bool noted;
	if (!task || json_need(args, "snapshot", "call", &place, err) < 0 ||
	    is_noted(node, task, place, &noted, err) < 0)
		return -1;
	return noted ? file_remove(place, err) : 0;
}
