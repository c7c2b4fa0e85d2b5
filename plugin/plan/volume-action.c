/* volume-action.c: what becomes of each volume: whether it is kept where it is or copied, to which destination, and
 * whether that is free. */
#include <string.h>

#include "plan/checks.h"
#include "storage/storage.h"

struct json_object *volume_there(const struct facts *facts, size_t index)
{
	struct json_object *volumes = facts_have_target(facts) ? json_at(facts->node[TARGET], "fit.volumes") : NULL;
	return json_object_is_type(volumes, json_type_array) ? json_object_array_get_idx(volumes, index) : NULL;
}

/* What the target says of the volume, if --targetstorage sends it to another storage; else NULL. The volumes of a guest
 * whose memory moves keep their paths: on the target it runs with the same definition. */
static struct json_object *sent_elsewhere(const struct facts *facts, size_t index)
{
	struct json_object *there = volume_there(facts, index);
	bool memory = facts_active(facts) && (facts_option(facts, "online") || facts_option(facts, "non_live"));
	return json_text(there, "to_storage") && !memory ? there : NULL;
}

const char *volume_asked(const struct facts *facts, size_t index)
{
	return json_text(sent_elsewhere(facts, index), "to_storage");
}

const char *volume_destination(const struct facts *facts, struct json_object *volume, size_t index)
{
	return json_text_or(sent_elsewhere(facts, index), "to", json_text(volume, "path"));
}

/* A device has to be there before it is filled; whether it may be filled is told by its "busy". */
bool volume_is_taken(const struct facts *facts, size_t index)
{
	if (json_at(volume_there(facts, index), "device"))
		return false;
	bool elsewhere = json_text(sent_elsewhere(facts, index), "to");
	return json_true(volume_there(facts, index), elsewhere ? "to_there" : "there");
}

bool volume_is_open_there(const struct facts *facts, size_t index)
{
	bool elsewhere = json_text(sent_elsewhere(facts, index), "to");
	struct json_object *there = volume_there(facts, index);
	return json_true(there, elsewhere ? "to_open" : "open") || json_text(there, "opener");
}

struct json_object *volume_storage_there(const struct facts *facts, struct json_object *volume, size_t index)
{
	struct json_object *elsewhere = sent_elsewhere(facts, index);
	if (elsewhere)
		return storage_named(facts->node[TARGET], json_text(elsewhere, "to_storage"));
	struct json_object *same = storage_named(facts->node[TARGET], json_text(volume, "storage"));
	/* A storage that was made for a mount point has no name of its own: the target's storage of that name may be
	 * another filesystem than the one that the path is on there. */
	struct json_object *under = same && !str_same(json_text_or(same, "source", "mount"), "mount")
					    ? NULL
					    : storage_under(facts->node[TARGET], json_text(volume, "path"));
	return under ? under : same;
}

const char *volume_kind_there(const struct facts *facts, struct json_object *volume, size_t index)
{
	const char *own = json_text_or(volume, "kind", "dir");
	/* Trees are on storages of the kind "dir". */
	return json_true(volume, "tree") ? own : json_text_or(volume_storage_there(facts, volume, index), "kind", own);
}

bool volume_device_there(const struct facts *facts, struct json_object *volume, size_t index,
			 struct json_object **device)
{
	*device = json_at(volume_there(facts, index), "device");
	return facts_have_target(facts) && str_same(volume_kind_there(facts, volume, index), storage_block.kind);
}

/* ------------------------------------------------------------------ volumes */

const char *volume_name(struct json_object *volume)
{
	return json_text_or(volume, "target", "?");
}

/* Two devices are the same if their identities are equal, whatever their paths are. If a device has no identity, the
 * administrator's configuration (shared = yes or no) decides. */
static const char *device_proof(struct json_object *volume, struct json_object *there)
{
	struct json_object *device = json_at(there, "device");
	if (json_true(there, "same_block") || json_true(device, "same"))
		return "shared";
	if (str_same(json_text(volume, "sharing"), "local") || json_true(device, "other"))
		return "local";
	bool apart = json_true(there, "other_block") || (json_at(there, "there") && !json_true(there, "there"));
	return apart && !device ? "local" : "unproven";
}

const char *volume_proof(const struct facts *facts, struct json_object *volume, size_t index)
{
	const char *storage = json_text(volume, "storage");
	struct json_object *there = volume_there(facts, index);
	if (str_same(json_text(volume, "kind"), storage_block.kind))
		return device_proof(volume, there);
	if (json_true(there, "same_block"))
		return "shared";
	struct json_object *outcome = json_member(facts->sharing, storage);
	const char *proof = json_text_or(volume, "proof", json_text_or(outcome, "", "unproven"));
	/* If no token could be written (a read-only directory): a file that is missing at that path on the target is
	 * not the same file. */
	return str_same(proof, "unproven") && json_at(there, "there") && !json_true(there, "there") ? "local" : proof;
}

const char *volume_destination_proof(const struct facts *facts, struct json_object *volume, size_t index)
{
	struct json_object *elsewhere = sent_elsewhere(facts, index);
	const char *to = json_text(elsewhere, "to");
	if (!to)
		return volume_proof(facts, volume, index);
	/* A file of another name, or one that is not there, is not the one that is read. */
	if (strcmp(path_base(to), path_base(json_text_or(volume, "path", ""))) != 0)
		return "local";
	const char *proof = json_text_or(elsewhere, "to_proof", "unproven");
	return str_same(proof, "unproven") && !json_true(elsewhere, "to_there") ? "local" : proof;
}

bool volume_is_disc(struct json_object *volume)
{
	const char *device = json_text_or(volume, "device", "disk");
	return json_true(volume, "readonly") && (str_same(device, "cdrom") || str_same(device, "floppy"));
}

static bool volume_is_shared(const struct facts *facts, struct json_object *volume, size_t index)
{
	const char *sharing = json_text_or(volume, "sharing", "local");
	if (str_same(sharing, "network"))
		return true;
	/* If the target could not be asked, the volume counts as shared: no check refuses it for what is not known. */
	return str_same(sharing, "maybe") &&
	       (!facts_have_target(facts) || str_same(volume_proof(facts, volume, index), "shared"));
}

/* A disk that was plugged into the running guest, but is not in its definition, is not moved by a restart. */
static bool volume_stays_behind(struct json_object *volume, enum mode mode)
{
	return mode == MODE_RESTART && str_same(json_text(volume, "in"), "live");
}

const char *volume_content_there(const struct facts *facts, struct json_object *volume, size_t index)
{
	struct json_object *there = volume_there(facts, index);
	bool kept = json_text(volume, "path") && !volume_is_shared(facts, volume, index);
	if (!json_true(volume, "readonly") || !kept || !json_true(there, "there"))
		return NULL;
	return json_text_or(there, "content", "unknown");
}

/* A read-only volume that the target has already is kept, unless it may be another one there and --replace is given. */
static bool is_kept_as_there(const struct facts *facts, struct json_object *volume, size_t index)
{
	const char *content = volume_content_there(facts, volume, index);
	bool equal = str_same(content, "same") || str_same(content, "alike");
	return content && (equal || !facts_option(facts, "replace"));
}

enum action volume_action(const struct facts *facts, struct json_object *volume, size_t index, enum mode mode)
{
	const char *device = json_text_or(volume, "device", "disk");
	bool memory_moves = mode != MODE_RESTART && mode != MODE_OFFLINE;
	bool small = json_number(volume, "size") <= MEDIA_LIMIT;
	if (!json_text(volume, "path") || json_true(volume, "absent") || volume_is_shared(facts, volume, index) ||
	    volume_stays_behind(volume, mode))
		return VOLUME_KEEP;
	/* The memory stream of a running guest holds the TPM's state; libvirt on the target makes the directory for
	 * it. */
	if (memory_moves && str_same(device, "tpm"))
		return VOLUME_KEEP;
	/* The memory stream holds the NVRAM too, and QEMU writes all of it to the file on the target. But a file of
	 * that size has to be there, which is not somebody else's. */
	if (memory_moves && small && str_same(device, "nvram"))
		return VOLUME_MEDIA;
	if (is_kept_as_there(facts, volume, index))
		return VOLUME_KEEP;
	if (volume_is_disc(volume) || (json_true(volume, "readonly") && (small || json_true(volume, "tree"))))
		return VOLUME_MEDIA;
	return VOLUME_COPY;
}

bool facts_vouch_for_storage(const struct facts *facts)
{
	json_each (volume, json_at(facts->node[SOURCE], "guest"), "volumes")
		if (!json_true(volume, "readonly") && !str_same(json_text(volume, "sharing"), "network") &&
		    str_same(json_text_or(volume, "device", "disk"), "disk") &&
		    !str_same(volume_proof(facts, volume, volume_i), "shared"))
			return false;
	return facts_have_target(facts);
}

bool volume_is_ours_there(const struct facts *facts, struct json_object *volume, size_t index)
{
	const char *path = volume_destination(facts, volume, index), *device = json_text_or(volume, "device", "disk");
	json_each (other, facts->node[TARGET], "guests")
		if (!guest_leftover(facts, other) && json_has(other, "volumes", path))
			return false;
	json_each (other, facts->node[TARGET], "guests")
		if (guest_leftover(facts, other) && json_has(other, "volumes", path))
			return true;
	/* The paths of NVRAM and TPM state name their guest. They may still be there after its definition is gone. */
	return (str_same(device, "nvram") || str_same(device, "tpm")) &&
	       facts_record_moved_on(facts, json_at(facts->node[TARGET], "record"));
}
