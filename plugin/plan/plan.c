/* plan.c: one mode, and one action for each volume. */
#include "plan/checks.h"
#include "storage/storage.h"
#include "track/track.h"

enum {
	COPY_RATE = 100 * 1000 * 1000, /* bytes a second: what a 1 Gbit/s link, or a plain disk, gives */
	READ_RATE = 400 * 1000 * 1000, /* and a disk that is only read, and its tags made */
	FILES_A_MS = 10,	       /* of a tree, looked at by rsync and compared */
};

const char *mode_name(enum mode mode)
{
	switch (mode) {
	case MODE_LIVE:
		return "live";
	case MODE_PAUSED:
		return "paused";
	case MODE_RESTART:
		return "restart";
	case MODE_OFFLINE:
		return "offline";
	case MODE_NONE:
		break;
	}
	return "none";
}

/* True where a volume has to be copied round by round, were the guest to move while it runs. */
static bool has_local_volume(const struct facts *facts)
{
	json_each (volume, facts_guest(facts), "volumes")
		if (volume_action(facts, volume, volume_i, MODE_LIVE) == VOLUME_COPY)
			return true;
	return false;
}

enum mode plan_mode(const struct facts *facts)
{
	if (!facts_active(facts))
		return MODE_OFFLINE;
	if (facts_option(facts, "online"))
		return MODE_LIVE;
	if (facts_option(facts, "non_live"))
		return MODE_PAUSED;
	if (facts_option(facts, "restart") || !facts_ops(facts)->migrate || has_local_volume(facts))
		return MODE_RESTART;
	return MODE_NONE;
}

/* How the rounds of a running guest's copy learn what has changed. Where that is tried in vain all is read again. */
static const char *plan_track(const struct facts *facts, struct json_object *volume, enum mode mode)
{
	enum { WORTH_IT = 16 << 20 }; /* bytes that are read in no time */
	const char *asked = json_text(facts->request, "options.track");
	struct json_object *storage = storage_named(facts->node[SOURCE], json_text(volume, "storage"));
	if (mode != MODE_RESTART || facts_option(facts, "no_precopy") || json_true(volume, "directory"))
		return track_reread.name;
	if (asked)
		return track_named(asked)->name;
	bool fits = track_reflink_fits(json_text(storage, "fs")) && json_number(volume, "size") >= WORTH_IT;
	return fits ? track_reflink.name : track_reread.name;
}

/* The volume as it was described, with what becomes of it. */
static struct json_object *plan_volume(const struct facts *facts, struct json_object *volume, size_t index,
				       enum mode mode, const char *task)
{
	enum action action = volume_action(facts, volume, index, mode);
	const char *path = json_text(volume, "path");
	bool copied = action != VOLUME_KEEP;
	const char *to = copied ? volume_place(facts, volume, index) : path,
		   *kind = volume_kind_there(facts, volume, index);
	vmm_auto_free char *temporary = copied && task ? storage_working_path(kind, to, task) : NULL;
	struct json_object *planned = json_copy(volume);
	json_put(planned, "device:s action:s size:i allocated:i readonly:b to_storage:s from:s to:s",
		 json_text_or(volume, "device", "disk"), copied ? "copy" : "keep", json_number(volume, "size"),
		 json_number(volume, "allocated"), json_true(volume, "readonly"),
		 json_text(volume_destination(facts, volume, index), "name"), path, to);
	if (copied)
		json_put(planned, "to_kind:s temporary:s media:b set_aside:b track:s", kind, temporary,
			 action == VOLUME_MEDIA, volume_is_taken(facts, index), plan_track(facts, volume, mode));
	return planned;
}

/* What the last pass costs, with the guest off, in ms: all of it is copied; or rounds ran before, and all is read again, unless a
 * snapshot tells what has changed since the last one. Of a tree all files are looked at. */
static int64_t last_pass_ms(const struct facts *facts, struct json_object *volume)
{
	int64_t bytes = json_number(volume, "allocated");
	if (facts_option(facts, "no_precopy"))
		return bytes / (COPY_RATE / 1000);
	if (json_true(volume, "tree"))
		return json_number(volume, "files") / FILES_A_MS;
	return str_same(json_text(volume, "track"), track_reflink.name) ? 0 : bytes / (READ_RATE / 1000);
}

/* How long the guest will stand or be off, in ms; -1 where that cannot be said. `copy_ms`: for the last pass. */
static int64_t expected_downtime(struct json_object *guest, enum mode mode, int64_t copy_ms)
{
	if (mode == MODE_RESTART)
		return copy_ms + PLAN_RESTART_MS;
	if (mode == MODE_PAUSED)
		return json_number(guest, "memory") / (COPY_RATE / 1000);
	return -1;
}

int64_t plan_restart_ms(const struct facts *facts)
{
	int64_t last_ms = 0;
	json_each (volume, facts_guest(facts), "volumes") {
		vmm_auto_json struct json_object *planned = plan_volume(facts, volume, volume_i, MODE_RESTART, NULL);
		if (str_same(json_text(planned, "action"), "copy"))
			last_ms += last_pass_ms(facts, planned);
	}
	return expected_downtime(facts_guest(facts), MODE_RESTART, last_ms);
}

static int need_mode(const struct facts *facts, struct vmm_error **err)
{
	vmm_auto_free char *label = facts_label(facts);
	error_set(err, VMM_BLOCKED, "mode-needed", "%s runs, and all its disks are shared: it could go in three ways",
		  label);
	return error_hint(
		err,
		"name one: --online (live, it goes on running), --non-live (it stands while its memory moves), "
		"--restart (it is shut down and started on %s)",
		facts_name(facts, TARGET));
}

static void add_guests_in_the_way(const struct facts *facts, struct json_object *plan)
{
	json_put(plan, "set_aside:b in_the_way:o", false, json_object_new_array());
	json_each (other, facts->node[TARGET], "guests") {
		if (!guest_same(facts, other))
			continue;
		json_put(plan, "set_aside:b", true);
		json_append(plan, "in_the_way", json_object_new_string(json_text_or(other, "id", "?")));
	}
}

/* Newer than all that either node has noted: a source that has lost its records must not make an older one. */
static int64_t next_generation(const struct facts *facts)
{
	int64_t here = json_number(facts->node[SOURCE], "record.generation"),
		there = json_number(facts->node[TARGET], "record.generation");
	return (here > there ? here : there) + 1;
}

int plan_make(const struct facts *facts, const char *task, struct json_object **plan, struct vmm_error **err)
{
	struct json_object *guest = facts_guest(facts);
	const char *kind = facts_kind(facts), *id;
	enum mode mode = plan_mode(facts);
	*plan = NULL;
	if (json_need(guest, "id", "guest facts", &id, err) < 0)
		return -1;
	if (mode == MODE_NONE)
		return need_mode(facts, err);
	vmm_auto_free char *record = str_format("%s-%s", kind, id);
	bool active = facts_active(facts);
	struct json_object *made = json_make(
		"mode:s kind:s id:s name:s uuid:s guest:s source:s target:s running:b stops_guest:b generation:i",
		mode_name(mode), kind, id, json_text(guest, "name"), json_text(guest, "uuid"), record,
		facts_name(facts, SOURCE), facts_name(facts, TARGET), active, mode == MODE_RESTART,
		next_generation(facts));
	add_guests_in_the_way(facts, made);
	json_put(made, "volumes:o", json_object_new_array());
	int64_t bytes = 0, last_ms = 0;
	json_each (volume, guest, "volumes") {
		struct json_object *planned = plan_volume(facts, volume, volume_i, mode, task);
		if (str_same(json_text(planned, "action"), "copy")) {
			bytes += json_number(planned, "allocated");
			last_ms += last_pass_ms(facts, planned);
		}
		json_append(made, "volumes", planned);
	}
	int64_t downtime = expected_downtime(guest, mode, last_ms);
	json_put(made, "bytes:i rounds:b downtime_ms:o", bytes,
		 (int)(mode == MODE_RESTART && bytes && !facts_option(facts, "no_precopy")),
		 downtime < 0 ? NULL : json_object_new_int64(downtime));
	*plan = made;
	return 0;
}
