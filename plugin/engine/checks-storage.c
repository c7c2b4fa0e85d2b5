/* checks-storage.c: is the storage there, is there room, and is it what it is said to be - shared or local? */
#include "engine/checks.h"

static bool is_copied(const struct look *look, struct json_object *volume, size_t index)
{
	return volume_action(look->facts, volume, index, look->mode) != VOLUME_KEEP;
}

/* Bytes that will be written to a storage of the target; `names` lists the volumes. */
static int64_t bytes_for(const struct look *look, struct json_object *storage, struct text *names)
{
	int64_t need = 0;
	json_each (volume, look->guest, "volumes") {
		if (!is_copied(look, volume, volume_i) || volume_destination(look->facts, volume) != storage)
			continue;
		/* A seed takes its room already; what it lacks is not known, but no more than there is. */
		int64_t all = json_number(volume, "allocated"),
			seed = json_number(volume_there(look->facts, volume_i), "seed");
		need += seed < all ? all - seed : 0;
		text_add(names, "%s%s", names->length ? ", " : "", volume_name(volume));
	}
	return need;
}

void look_space_short(const struct look *look)
{
	json_each (storage, look->node[TARGET], "storages") {
		vmm_auto_text struct text names = {0};
		int64_t need = bytes_for(look, storage, &names), have = json_number(storage, "free");
		if (need <= have || !json_at(storage, "free"))
			continue;
		vmm_auto_free char *need_text = str_size(need), *have_text = str_size(have);
		const char *name = json_text_or(storage, "name", "?");
		struct json_object *finding =
			found(look, name, "%s needs %s on storage \"%s\" of %s, which has %s free (%s)", look->label,
			      need_text, name, look->name[TARGET], have_text, names.data);
		finding_hint(finding, "make room in %s on %s, or choose another node",
			     json_text_or(storage, "path", name), look->name[TARGET]);
	}
}

/* ------------------------------------------------------------------ is it there */

void look_volume_missing(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *why = json_text(volume, "error.message"), *hint = json_text(volume, "error.hint");
		if (why)
			finding_hint(found(look, volume_name(volume), "%s: %s", volume_name(volume), why), "%s",
				     hint ? hint
					  : "bring the volume back, or take the disk out of the guest's definition "
					    "(virsh edit)");
	}
}

/* A storage with a name of its own (from the configuration or a pool) is asked for by that name; one that is just a
 * mounted filesystem only has to have the directory. */
static void missing_by_name(const struct look *look, struct json_object *volume)
{
	const char *name = json_text(volume, "storage");
	struct json_object *here = storage_named(look->node[SOURCE], name),
			   *there = storage_named(look->node[TARGET], name);
	struct json_object *active = json_at(there, "active");
	if (here && !there && !str_same(json_text_or(here, "source", "mount"), "mount"))
		finding_hint(found(look, name, "%s is on storage \"%s\", which %s does not have", volume_name(volume),
				   name, look->name[TARGET]),
			     "make a storage of that name there: a [storage %s] section in vmmigrate.conf, or a "
			     "libvirt pool",
			     name);
	else if (active && !json_true(there, "active"))
		finding_hint(found(look, name, "storage \"%s\" (for %s) is not active on %s", name, volume_name(volume),
				   look->name[TARGET]),
			     "on %s: virsh pool-start %s, or mount it", look->name[TARGET], name);
}

void look_storage_missing(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		if (!is_copied(look, volume, volume_i))
			continue;
		if (json_true(volume_there(look->facts, volume_i), "missing_dir")) {
			vmm_auto_free char *dir = path_dir(json_text(volume, "path"));
			finding_hint(found(look, json_text_or(volume, "storage", dir),
					   "%s: the directory %s is not on %s", volume_name(volume), dir,
					   look->name[TARGET]),
				     "mount the storage there, or make the directory: mkdir -p %s", dir);
		} else {
			missing_by_name(look, volume);
		}
	}
}

static void one_format(const struct look *look, struct json_object *volume)
{
	struct json_object *there = volume_destination(look->facts, volume);
	/* Trees lie on storages of directories. */
	const char *here = json_true(volume, "tree") ? "dir" : json_text(volume, "kind"),
		   *kind = json_text(there, "kind"), *name = json_text_or(there, "name", "?");
	if (json_true(volume, "directory") && !json_true(volume, "tree") &&
	    !str_same(json_text(volume, "device"), "tpm"))
		finding_hint(found(look, volume_name(volume), "%s: %s is a directory, which is not copied",
				   volume_name(volume), json_text_or(volume, "path", "?")),
			     "put it on storage that both nodes share");
	else if (here && kind && !str_same(here, kind))
		finding_hint(found(look, name, "%s is a %s volume in %s format; storage \"%s\" on %s is of the type %s",
				   volume_name(volume), here, json_text_or(volume, "format", "raw"), name,
				   look->name[TARGET], kind),
			     "volumes are copied as they are: give %s a storage of that name and of the type %s",
			     look->name[TARGET], here);
}

void look_storage_format(const struct look *look)
{
	json_each (volume, look->guest, "volumes")
		if (is_copied(look, volume, volume_i))
			one_format(look, volume);
}

void look_storage_path(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		struct json_object *there = volume_there(look->facts, volume_i);
		const char *path = json_text(volume, "path");
		if (!path || !there || str_same(json_text(volume, "sharing"), "local") || json_true(there, "there") ||
		    !str_same(volume_proof(look->facts, volume, volume_i), "shared"))
			continue;
		const char *storage = json_text_or(volume, "storage", "?");
		const char *root = json_text(storage_named(look->node[TARGET], storage), "path");
		struct json_object *finding =
			found(look, storage, "%s: the shared storage \"%s\" has no %s on %s%s%s", volume_name(volume),
			      storage, path, look->name[TARGET], root ? "; it is mounted at " : "", root ? root : "");
		finding_hint(finding, "mount it at the same path on both nodes");
	}
}

/* ------------------------------------------------------------------ is it what it is said to be */

void look_storage_shared_unawares(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *proof = volume_proof(look->facts, volume, volume_i), *path = json_text(volume, "path");
		if (!is_copied(look, volume, volume_i) ||
		    !str_same(json_text_or(volume, "sharing", "local"), "local") || str_same(proof, "local"))
			continue;
		const char *storage = json_text_or(volume, "storage", path);
		struct json_object *finding;
		if (str_same(proof, "shared")) {
			finding = found(look, volume_name(volume),
					"%s: %s counts as local, but is the same on both nodes: a copy would overwrite "
					"its own source",
					volume_name(volume), path);
			finding_hint(finding,
				     "declare it: shared = yes in [storage %s] of vmmigrate.conf on both nodes",
				     storage);
		} else {
			finding = found(look, volume_name(volume),
					"%s: it is not proven that %s is not the same on both nodes, and a copy would "
					"overwrite its own source then",
					volume_name(volume), path);
			finding_hint(finding,
				     "see that root can write to the storage \"%s\" on %s and read it on %s: a token "
				     "file proves it",
				     storage, look->name[SOURCE], look->name[TARGET]);
		}
	}
}

void look_storage_not_shared(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *proof = volume_proof(look->facts, volume, volume_i),
			   *storage = json_text_or(volume, "storage", "?");
		if (!str_same(json_text(volume, "sharing"), "maybe") || str_same(proof, "shared"))
			continue;
		const char *root = json_text_or(storage_named(look->node[SOURCE], storage), "path",
						json_text_or(volume, "path", "?"));
		bool local = str_same(proof, "local");
		struct json_object *finding = found(look, storage, "%s: storage \"%s\" counts as shared, but %s",
						    volume_name(volume), storage,
						    local ? "what is written to it here does not appear on the target"
							  : "that could not be proven");
		finding_hint(finding,
			     "mount %s on %s, or say shared = no in [storage %s] of vmmigrate.conf: its volumes are "
			     "copied then",
			     root, look->name[TARGET], storage);
	}
}

void look_volume_in_use(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		struct json_object *there = volume_there(look->facts, volume_i);
		if (is_copied(look, volume, volume_i) || !json_true(there, "open") || json_true(volume, "readonly") ||
		    json_true(volume, "shareable"))
			continue;
		const char *path = json_text_or(volume, "path", "?");
		finding_hint(found(look, volume_name(volume), "%s: %s is open on %s already", volume_name(volume), path,
				   look->name[TARGET]),
			     "find out who has it open there (fuser -v %s): two writers destroy it", path);
	}
}
