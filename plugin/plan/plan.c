/* plan.c: one mode, and one action for each volume. */
#include "plan/checks.h"
#include "storage/storage.h"
#include "track/track.h"

enum {
	COPY_RATE = 100 * 1000 * 1000, /* bytes a second: what a 1 Gbit/s link, or a plain disk, gives */
	READ_RATE = 400 * 1000 * 1000, /* of a disk that is only read, for its digests */
	FILES_A_MS = 10,	       /* files of a tree that rsync looks at, and that are compared */
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

static char *copy_or_null(const char *text)
{
	return text ? str_copy(text) : NULL;
}

/* True if a volume would have to be copied with its guest running. */
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

/* How the rounds of a copy learn what has changed. If no snapshot can be made, a round reads the whole volume. */
static const char *plan_track(const struct facts *facts, struct json_object *volume, enum mode mode)
{
	enum { WORTH_IT = 16 << 20 }; /* bytes; less is read again as quickly */
	const char *asked = json_text(facts->request, "options.track");
	struct json_object *storage = storage_named(facts->node[SOURCE], json_text(volume, "storage"));
	if (mode != MODE_RESTART || facts_option(facts, "no_precopy") || json_true(volume, "directory"))
		return track_reread.name;
	if (asked)
		return track_named(asked)->name;
	bool fits = track_reflink_fits(json_text(storage, "fs")) && json_number(volume, "size") >= WORTH_IT;
	return fits ? track_reflink.name : track_reread.name;
}

static void copy_to(const struct facts *facts, struct json_object *described, size_t index, enum mode mode,
		    const char *task, struct plan_volume *volume)
{
	const char *to = volume_destination(facts, described, index),
		   *kind = volume_kind_there(facts, described, index);
	volume->action = PLAN_COPY;
	volume->to = str_copy(to);
	volume->to_kind = str_copy(kind);
	volume->temporary = task ? storage_working_path(kind, to, task) : NULL;
	volume->track = str_copy(plan_track(facts, described, mode));
	volume->set_aside = volume_is_taken(facts, index);
}

/* True if the target has an active pool of that name in which the path is. */
static bool pool_has(const struct facts *facts, const char *name, const char *path)
{
	vmm_auto_free char *dir = path_dir(path);
	json_each (pool, facts_host(facts, TARGET), "pools")
		if (str_same(json_text(pool, "name"), name) && json_true(pool, "active") &&
		    str_same(json_text(pool, "path"), dir))
			return true;
	return false;
}

/* The volume as it was described, with what becomes of it. */
static int plan_volume(const struct facts *facts, struct json_object *described, size_t index, enum mode mode,
		       const char *task, struct plan_volume *volume, struct vmm_error **err)
{
	enum action action = volume_action(facts, described, index, mode);
	const char *storage = json_text(volume_storage_there(facts, described, index), "name");
	if (plan_volume_from_facts(described, volume, err) < 0)
		return -1;
	if (!volume->device)
		volume->device = str_copy("disk");
	volume->from = copy_or_null(volume->path);
	volume->to_storage = copy_or_null(storage);
	volume->media = action == VOLUME_MEDIA;
	if (action == VOLUME_KEEP)
		volume->to = copy_or_null(volume->path);
	else
		copy_to(facts, described, index, mode, task, volume);
	volume->as_file = volume->pool && volume->to && !pool_has(facts, volume->pool, volume->to);
	return 0;
}

/* How long the last pass takes, with the guest off, in ms. Without rounds the whole volume is copied. After rounds it
 * is read again, unless a snapshot tells what has changed since; of a tree all files are looked at. */
static int64_t last_pass_ms(const struct facts *facts, const struct plan_volume *volume)
{
	if (facts_option(facts, "no_precopy"))
		return volume->allocated / (COPY_RATE / 1000);
	if (volume->tree)
		return volume->files / FILES_A_MS;
	return str_same(volume->track, track_reflink.name) ? 0 : volume->allocated / (READ_RATE / 1000);
}

/* For how long the guest will be paused or off, in ms; -1: not known. `copy_ms`: for the last pass. */
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
	json_each (described, facts_guest(facts), "volumes") {
		vmm_auto_volume struct plan_volume volume = {0};
		if (plan_volume(facts, described, described_i, MODE_RESTART, NULL, &volume, NULL) == 0 &&
		    volume.action == PLAN_COPY)
			last_ms += last_pass_ms(facts, &volume);
	}
	return expected_downtime(facts_guest(facts), MODE_RESTART, last_ms);
}

/* Names the ways that the checks leave open. */
static int need_mode(const struct facts *facts, struct vmm_error **err)
{
	static const struct {
		enum mode mode;
		const char *what;
	} ways[] = {
		{MODE_LIVE, "--online (live, it goes on running)"},
		{MODE_PAUSED, "--non-live (it stands while its memory moves)"},
		{MODE_RESTART, "--restart (it is shut down, and started there)"},
	};
	vmm_auto_free char *label = facts_label(facts);
	vmm_auto_text struct text open = {0}, closed = {0};
	for (size_t i = 0; i < VMM_COUNT(ways); i++) {
		vmm_auto_json struct json_object *refusal = way_refusal(facts, ways[i].mode);
		if (!refusal)
			text_add(&open, "%s%s", open.length ? ", " : "", ways[i].what);
		else
			text_add(&closed, "%s--%s: %s", closed.length ? "; " : "", mode_option(ways[i].mode),
				 json_text_or(refusal, "message", "?"));
	}
	if (!open.length)
		return error_set(err, VMM_BLOCKED, "mode-needed", "%s runs, and no way is open (%s)", label,
				 closed.data);
	error_set(err, VMM_BLOCKED, "mode-needed", "%s runs, and all its disks are shared: how is it to go?", label);
	return error_hint(err, "name a way: %s%s%s%s", open.data, closed.length ? " (refused - " : "",
			  closed.length ? closed.data : "", closed.length ? ")" : "");
}

static void add_guests_in_the_way(const struct facts *facts, struct plan *plan)
{
	plan->in_the_way = json_object_new_array();
	json_each (other, facts->node[TARGET], "guests") {
		if (!guest_same(facts, other))
			continue;
		plan->set_aside = true;
		json_object_array_add(plan->in_the_way, json_object_new_string(json_text_or(other, "id", "?")));
	}
}

/* Higher than the generation of any node that was asked: a source that has lost its records must not write an older
 * one. */
static int64_t next_generation(const struct facts *facts)
{
	int64_t newest = 0;
	for (enum side side = SOURCE; side < SIDES; side++) {
		int64_t theirs = json_number(facts->node[side], "record.generation"),
			owners = json_number(facts->node[side], "record.owner_says.generation");
		newest = theirs > newest ? theirs : newest;
		newest = owners > newest ? owners : newest;
	}
	return newest + 1;
}

bool facts_record_yields(const struct facts *facts, enum side side)
{
	return str_same(json_text(facts->node[side], "record.owner_says.answer"), "gone");
}

static char *yielding(const struct facts *facts, enum side side)
{
	return facts_record_yields(facts, side) ? copy_or_null(json_text(facts->node[side], "record.owner")) : NULL;
}

static void add_guest(const struct facts *facts, const char *id, enum mode mode, struct plan *plan)
{
	struct json_object *guest = facts_guest(facts);
	plan->mode = mode;
	plan->kind = str_copy(facts_kind(facts));
	plan->id = str_copy(id);
	plan->name = copy_or_null(json_text(guest, "name"));
	plan->uuid = copy_or_null(json_text(guest, "uuid"));
	plan->guest = guest_record_name(guest);
	plan->source = str_copy(facts_name(facts, SOURCE));
	plan->target = str_copy(facts_name(facts, TARGET));
	plan->running = facts_active(facts);
	plan->stops_guest = mode == MODE_RESTART;
	plan->generation = next_generation(facts);
	plan->yields_source = yielding(facts, SOURCE);
	plan->yields_target = yielding(facts, TARGET);
}

static int add_volumes(const struct facts *facts, const char *task, struct plan *plan, struct vmm_error **err)
{
	struct json_object *guest = facts_guest(facts);
	int64_t last_ms = 0;
	plan->volumes = mem_zero(json_count(guest, "volumes") * sizeof(*plan->volumes));
	json_each (described, guest, "volumes") {
		struct plan_volume *volume = &plan->volumes[plan->volume_count];
		if (plan_volume(facts, described, described_i, plan->mode, task, volume, err) < 0)
			return -1;
		plan->volume_count++;
		if (volume->action != PLAN_COPY)
			continue;
		plan->bytes += volume->allocated;
		last_ms += last_pass_ms(facts, volume);
	}
	plan->rounds = plan->mode == MODE_RESTART && plan->bytes && !facts_option(facts, "no_precopy");
	plan->downtime_ms = expected_downtime(guest, plan->mode, last_ms);
	return 0;
}

int plan_make(const struct facts *facts, const char *task, struct plan **plan, struct vmm_error **err)
{
	const char *id;
	enum mode mode = plan_mode(facts);
	*plan = NULL;
	if (json_need(facts_guest(facts), "id", "guest facts", &id, err) < 0)
		return -1;
	if (mode == MODE_NONE)
		return need_mode(facts, err);
	struct plan *made = mem_zero(sizeof(*made));
	add_guest(facts, id, mode, made);
	add_guests_in_the_way(facts, made);
	if (add_volumes(facts, task, made, err) < 0) {
		plan_free(made);
		return -1;
	}
	*plan = made;
	return 0;
}
