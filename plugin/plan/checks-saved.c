/* checks-saved.c: what is kept of a guest's past - saved memory, snapshots, checkpoints: can it go with the guest? */
#include <string.h>

#include "plan/checks.h"

static const char *guest_name(const struct look *look)
{
	return json_text_or(look->guest, "name", json_text_or(look->guest, "id", "GUEST"));
}

void look_managed_save(const struct look *look)
{
	const char *name = guest_name(look);
	if (json_true(look->guest, "managed_save"))
		finding_hint(
			found(look, look->label, "%s has a saved memory image, which does not come along", look->label),
			"start it, which goes on from the image, and migrate it while it runs (virsh start %s); "
			"or drop the image, if what was not on its disks may be lost (virsh managedsave-remove %s)",
			name, name);
}

/* The first file that it stands on and that is not on both nodes afterwards, or NULL. */
static const char *left_behind(const struct look *look, struct json_object *moment)
{
	json_each (file, moment, "files")
		if (!file_comes_along(look, json_text_or(file, "", "")))
			return json_text(file, "");
	return NULL;
}

/* libvirt refuses to move the memory of a VM for which it has a record of a snapshot. */
static void snapshots_of_moving_memory(const struct look *look)
{
	vmm_auto_text struct text names = {0};
	size_t count = 0;
	json_each (moment, look->guest, "moments")
		if (str_same(json_text(moment, "kind"), "snapshot"))
			text_add(&names, "%s%s", count++ ? ", " : "", json_text_or(moment, "name", "?"));
	if (!count)
		return;
	struct json_object *finding =
		found(look, look->label, "%s has the snapshot%s %s: libvirt does not move it while it runs",
		      look->label, count == 1 ? "" : "s", names.data);
	hint_ways(look, finding, MODE_RESTART, "delete what is not needed any more (virsh snapshot-delete %s NAME)",
		  guest_name(look));
}

static void one_snapshot(const struct look *look, struct json_object *moment)
{
	const char *file = left_behind(look, moment), *name = json_text_or(moment, "name", "?");
	if (file)
		finding_hint(found(look, name, "the snapshot %s of %s stands on %s, which does not come along", name,
				   look->label, file),
			     "delete the snapshot, which keeps what the guest has now: virsh snapshot-delete %s %s",
			     guest_name(look), name);
}

void look_snapshots(const struct look *look)
{
	int64_t count = json_number(look->guest, "snapshots");
	if (count > 0)
		finding_hint(found(look, look->label, "%s has %lld snapshot%s, which do not come along", look->label,
				   (long long)count, count == 1 ? "" : "s"),
			     "%s", json_text_or(look->guest, "snapshots_remedy", "delete them"));
	if (look->mode == MODE_LIVE || look->mode == MODE_PAUSED) {
		snapshots_of_moving_memory(look);
		return;
	}
	json_each (moment, look->guest, "moments")
		if (str_same(json_text(moment, "kind"), "snapshot"))
			one_snapshot(look, moment);
}

void look_checkpoints(const struct look *look)
{
	json_each (moment, look->guest, "moments") {
		const char *file = left_behind(look, moment), *name = json_text_or(moment, "name", "?");
		if (!file || !str_same(json_text(moment, "kind"), "checkpoint"))
			continue;
		finding_hint(found(look, name,
				   "the checkpoint %s of %s has its bitmap in %s, which does not come along: the next "
				   "incremental backup from it will fail",
				   name, look->label, file),
			     "delete the checkpoint while the guest runs (virsh checkpoint-delete %s %s), and begin "
			     "with a full backup",
			     guest_name(look), name);
	}
}

void look_poweroff_restart(const struct look *look)
{
	const char *action = json_text_or(look->guest, "on_poweroff", "destroy"), *name = guest_name(look);
	if (strcmp(action, "restart") != 0 && strcmp(action, "rename-restart") != 0)
		return;
	finding_hint(found(look, look->label,
			   "%s starts again when it is powered off (on_poweroff is %s): it cannot be shut down",
			   look->label, action),
		     "have it stay off until its next start, which leaves its definition as it is: virsh "
		     "set-lifecycle-action %s poweroff destroy --live",
		     name);
}
