/* checks-storage.c: is the storage on the target, has it room, and is it shared or local as it is said to be? */
#include <string.h>

#include "plan/checks.h"
#include "storage/storage.h"

static bool is_copied(const struct look *look, struct json_object *volume, size_t index)
{
	return volume_action(look->facts, volume, index, look->mode) != VOLUME_KEEP;
}

/* Bytes that will be written to a storage of the target. `names` gets the names of the volumes; *seeds gets the bytes
 * of the seeds from which they begin, which are there already. */
static int64_t bytes_for(const struct look *look, struct json_object *storage, struct text *names, int64_t *seeds)
{
	int64_t need = 0;
	json_each (volume, look->guest, "volumes") {
		if (!is_copied(look, volume, volume_i) ||
		    volume_storage_there(look->facts, volume, volume_i) != storage)
			continue;
		int64_t bytes = json_number(volume, "allocated"),
			seed = json_number(volume_there(look->facts, volume_i), "seed");
		need += bytes > seed ? bytes - seed : 0;
		*seeds += seed;
		text_add(names, "%s%s", names->length ? ", " : "", volume_name(volume));
	}
	return need;
}

/* Free bytes, and those of seeds that would be removed to make room: all but the seeds from which volumes begin. */
static int64_t room_on(struct json_object *storage, int64_t seeds_used)
{
	int64_t others = json_number(storage, "seeds") - seeds_used;
	return json_number(storage, "free") + (others > 0 ? others : 0);
}

static bool is_device(struct json_object *volume)
{
	return str_same(json_text(volume, "kind"), storage_block.kind);
}

static bool device_fits(const struct look *look, struct json_object *volume, const char *path,
			struct json_object *device)
{
	int64_t need = json_number(volume, "size"), have = json_number(device, "size");
	if (device && have >= need)
		return true;
	vmm_auto_free char *need_text = str_size(need), *have_text = str_size(have);
	struct json_object *finding =
		device ? found(look, volume_name(volume), "%s needs %s, and the block device %s of %s has %s",
			       volume_name(volume), need_text, path, look->name[TARGET], have_text)
		       : found(look, volume_name(volume), "%s needs a block device %s of %s, which %s does not have",
			       volume_name(volume), path, need_text, look->name[TARGET]);
	finding_hint(finding,
		     "make %s of at least %jd bytes there (lvcreate, lvextend, or a link to a device that is free), or "
		     "choose another storage (--targetstorage)",
		     path, (intmax_t)need);
	return false;
}

/* Can a volume of the kind `from` become one of the kind `to`? Raw content is the same in a file and on a device, if
 * the definition can name either. An image of another format grows, so it cannot become a device. */
static bool can_change(struct json_object *volume, const char *from, const char *to)
{
	bool raw = str_same(json_text_or(volume, "format", "raw"), "raw"), to_file = str_same(to, storage_dir.kind);
	return !json_true(volume, "type_fixed") && !json_true(volume, "directory") &&
	       ((str_same(from, storage_dir.kind) && str_same(to, storage_block.kind) && raw) ||
		(str_same(from, storage_block.kind) && to_file));
}

/* A device has a fixed size, which must be enough. */
static void devices_short(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		struct json_object *device;
		if (is_copied(look, volume, volume_i) && volume_device_there(look->facts, volume, volume_i, &device) &&
		    !json_true(volume_there(look->facts, volume_i), "missing_dir") &&
		    (is_device(volume) || can_change(volume, storage_dir.kind, storage_block.kind)))
			device_fits(look, volume, volume_destination(look->facts, volume, volume_i), device);
	}
}

void look_space_short(const struct look *look)
{
	devices_short(look);
	json_each (storage, look->node[TARGET], "storages") {
		vmm_auto_text struct text names = {0};
		int64_t seeds = 0, need = bytes_for(look, storage, &names, &seeds), have = room_on(storage, seeds);
		if (need <= have || !json_at(storage, "free"))
			continue;
		vmm_auto_free char *need_text = str_size(need), *have_text = str_size(have);
		const char *name = json_text_or(storage, "name", "?");
		struct json_object *finding =
			found(look, name, "%s needs %s on storage \"%s\" of %s, which has %s free (%s)", look->label,
			      need_text, name, look->name[TARGET], have_text, names.data);
		finding_hint(finding,
			     "make room in %s on %s, or choose another storage (--targetstorage) or another node",
			     json_text_or(storage, "path", name), look->name[TARGET]);
	}
}

/* ------------------------------------------------------------------ is the storage there */

void look_volume_missing(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *why = json_text(volume, "error.message"), *hint = json_text(volume, "error.hint");
		if (!why)
			continue;
		vmm_auto_free char *start = str_format("%s:", volume_name(volume));
		bool named = str_starts(why, start);
		finding_hint(found(look, volume_name(volume), "%s%s%s", named ? "" : start, named ? "" : " ", why),
			     "%s",
			     hint ? hint
				  : "bring the volume back, or take the disk out of the guest's definition "
				    "(virsh edit)");
	}
}

static void hint_storages(struct json_object *finding, const char *name, struct json_object *node, const char *whose)
{
	vmm_auto_json struct json_object *names = json_object_new_array();
	vmm_auto_text struct text all = {0};
	json_each (storage, node, "storages") {
		const char *known = json_text_or(storage, "name", "?");
		json_object_array_add(names, json_object_new_string(known));
		text_add(&all, "%s%s", all.length ? ", " : "", known);
	}
	const char *near = json_suggest(names, name);
	if (near)
		finding_hint(finding, "did you mean %s?", near);
	else
		finding_hint(finding, "%s has: %s", whose, all.length ? all.data : "none that has a name");
}

/* --targetstorage names a storage that the target does not have: suggests a name. */
static void missing_as_asked(const struct look *look, struct json_object *volume, const char *name)
{
	hint_storages(found_as(look, CHECK_ERROR, name, "there is no storage \"%s\" (for %s) on %s", name,
			       volume_name(volume), look->name[TARGET]),
		      name, look->node[TARGET], look->name[TARGET]);
}

static bool has_volume_on(struct json_object *guest, const char *name)
{
	json_each (volume, guest, "volumes")
		if (str_same(json_text(volume, "storage"), name))
			return true;
	return false;
}

/* --targetstorage FROM:TO, but no volume of the guest is on FROM: probably a mistyped name. */
static void mapping_unused(const struct look *look)
{
	json_each (item, look->facts->request, "options.targetstorage") {
		const char *pair = json_text_or(item, "", ""), *colon = strchr(pair, ':');
		vmm_auto_free char *from = str_format("%.*s", colon ? (int)(colon - pair) : 0, pair);
		if (colon && !has_volume_on(look->guest, from))
			hint_storages(found_as(look, CHECK_ERROR, from, "%s has no volume on a storage \"%s\"",
					       look->label, from),
				      from, look->node[SOURCE], look->name[SOURCE]);
	}
}

/* A storage of the configuration, or a pool, must be on the target under the same name. A storage that was made for a
 * mount point need not: only the directory must be there. */
static void missing_by_name(const struct look *look, struct json_object *volume, size_t index)
{
	const char *asked = volume_asked(look->facts, index), *name = asked ? asked : json_text(volume, "storage");
	struct json_object *here = storage_named(look->node[SOURCE], name),
			   *there = storage_named(look->node[TARGET], name);
	struct json_object *active = json_at(there, "active");
	if (asked && !there)
		missing_as_asked(look, volume, asked);
	else if (here && !there && !str_same(json_text_or(here, "source", "mount"), "mount"))
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
	mapping_unused(look);
	json_each (volume, look->guest, "volumes") {
		if (!is_copied(look, volume, volume_i))
			continue;
		if (json_true(volume_there(look->facts, volume_i), "missing_dir")) {
			vmm_auto_free char *dir = path_dir(volume_destination(look->facts, volume, volume_i));
			const char *asked = volume_asked(look->facts, volume_i);
			struct json_object *device;
			bool devices = volume_device_there(look->facts, volume, volume_i, &device);
			finding_hint(found(look, asked ? asked : json_text_or(volume, "storage", dir),
					   "%s: the directory %s is not on %s", volume_name(volume), dir,
					   look->name[TARGET]),
				     "%s: mkdir -p %s",
				     devices ? "activate its volume group (vgchange -ay), or make a directory of links "
					       "to devices"
					     : "mount the storage there, or make the directory",
				     dir);
		} else {
			missing_by_name(look, volume, volume_i);
		}
	}
}

static void format_remedy(const struct look *look, struct json_object *volume, const char *here, const char *kind,
			  struct json_object *finding)
{
	const char *format = json_text_or(volume, "format", "raw"), *path = json_text_or(volume, "path", "DISK");
	if (str_same(kind, storage_block.kind) && !str_same(format, "raw"))
		finding_hint(
			finding,
			"choose a storage of files (--targetstorage); or shut the guest down and make %s raw first: "
			"qemu-img convert -O raw %s %s.raw, then virsh edit",
			volume_name(volume), path, path);
	else
		finding_hint(finding,
			     "volumes are copied as they are: give %s a storage of that name and of the type %s",
			     look->name[TARGET], here);
}

static void one_format(const struct look *look, struct json_object *volume, size_t index)
{
	struct json_object *there = volume_storage_there(look->facts, volume, index);
	/* Trees are on storages of the kind "dir". */
	const char *here = json_true(volume, "tree") ? "dir" : json_text(volume, "kind"),
		   *kind = json_text(there, "kind"), *name = json_text_or(there, "name", "?");
	if (json_true(volume, "directory") && !json_true(volume, "tree"))
		finding_hint(found(look, volume_name(volume), "%s: %s is a directory, which is not copied",
				   volume_name(volume), json_text_or(volume, "path", "?")),
			     "put it on storage that both nodes share");
	else if (here && kind && !str_same(here, kind) && !can_change(volume, here, kind))
		format_remedy(look, volume, here, kind,
			      found(look, name,
				    "%s is a %s volume in %s format; storage \"%s\" on %s is of the type %s",
				    volume_name(volume), here, json_text_or(volume, "format", "raw"), name,
				    look->name[TARGET], kind));
}

void look_storage_format(const struct look *look)
{
	json_each (volume, look->guest, "volumes")
		if (is_copied(look, volume, volume_i))
			one_format(look, volume, volume_i);
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

/* ------------------------------------------------------------------ is it shared, or local, as it is said to be */

/* The lines of vmmigrate.conf that declare a storage: "[storage images] path = /srv/images, shared = yes". The path of
 * a storage that was made for a mount point is known to nobody else. Belongs to the caller. */
static char *declaration(const struct look *look, const char *name, const char *shared)
{
	struct json_object *storage = storage_named(look->node[SOURCE], name);
	const char *path = str_same(json_text(storage, "source"), "mount") ? json_text(storage, "path") : NULL;
	return str_format("[storage %s] of vmmigrate.conf: %s%s%sshared = %s", name, path ? "path = " : "",
			  path ? path : "", path ? ", " : "", shared);
}

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
			vmm_auto_free char *lines = declaration(look, storage, "yes");
			finding_hint(finding, "declare it on both nodes, in %s", lines);
		} else {
			finding = found(look, volume_name(volume),
					"%s: it is not proven that %s is not the same on both nodes; if it is, a copy "
					"would overwrite its own source",
					volume_name(volume), path);
			finding_hint(finding,
				     "see that root can write to the storage \"%s\" on %s and read it on %s: a token "
				     "file proves it",
				     storage, look->name[SOURCE], look->name[TARGET]);
		}
	}
}

/* The path that the volume will have on the target, or NULL for a network disk. */
static const char *final_path(const struct look *look, struct json_object *volume, size_t index)
{
	return is_copied(look, volume, index) ? volume_destination(look->facts, volume, index)
					      : json_text(volume, "path");
}

void look_destination_taken_twice(const struct look *look)
{
	json_each (volume, look->guest, "volumes")
		json_each (other, look->guest, "volumes") {
			const char *path = final_path(look, volume, volume_i);
			if (other_i >= volume_i || !path || !str_same(path, final_path(look, other, other_i)) ||
			    (!is_copied(look, volume, volume_i) && !is_copied(look, other, other_i)))
				continue;
			finding_hint(found(look, volume_name(volume), "%s and %s would both become %s on %s",
					   volume_name(other), volume_name(volume), path, look->name[TARGET]),
				     "send them to storages of their own: --targetstorage FROM:TO,FROM:TO");
		}
}

void look_destination_is_source(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *proof = volume_destination_proof(look->facts, volume, volume_i),
			   *to = volume_destination(look->facts, volume, volume_i);
		struct json_object *device;
		if (!is_copied(look, volume, volume_i) || !volume_asked(look->facts, volume_i) ||
		    str_same(proof, "local") || volume_device_there(look->facts, volume, volume_i, &device))
			continue;
		bool known = str_same(proof, "shared");
		struct json_object *finding =
			found(look, volume_name(volume), "%s: %s on %s %s: a copy would overwrite its own source",
			      volume_name(volume), to, look->name[TARGET],
			      known ? "is the very file that is read here, by another mount"
				    : "may be the very file that is read here, by another mount");
		finding_hint(finding, "choose a storage that is not the source's own (--targetstorage)%s",
			     known ? "" : "; a token file proves it, where root can write to the source's directory");
	}
}

/* True for a device whose identity proves that the target has another one, unless the configuration declares its
 * storage shared. */
static bool is_device_of_its_own(const struct look *look, struct json_object *volume, const char *proof)
{
	return is_device(volume) && str_same(proof, "local") &&
	       !json_true(storage_named(look->node[SOURCE], json_text(volume, "storage")), "declared");
}

void look_storage_not_shared(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *proof = volume_proof(look->facts, volume, volume_i),
			   *storage = json_text_or(volume, "storage", "?");
		if (!str_same(json_text(volume, "sharing"), "maybe") || str_same(proof, "shared") ||
		    is_device_of_its_own(look, volume, proof))
			continue;
		const char *root = json_text_or(storage_named(look->node[SOURCE], storage), "path",
						json_text_or(volume, "path", "?"));
		bool local = str_same(proof, "local");
		struct json_object *finding = found(look, storage, "%s: storage \"%s\" counts as shared, but %s",
						    volume_name(volume), storage,
						    local ? "what is written to it here does not appear on the target"
							  : "that could not be proven");
		vmm_auto_free char *lines = declaration(look, storage, "no");
		finding_hint(finding, "mount %s on %s, or have its volumes copied: declare it on both nodes, in %s",
			     root, look->name[TARGET], lines);
	}
}

/* The guest is off, or does not have this volume yet, and a program has it open: it would go on writing to a file that
 * has moved away. */
static bool opened_here(const struct look *look, struct json_object *volume)
{
	const char *opener = json_text(volume, "opener"), *path = json_text_or(volume, "path", "?");
	if (opener)
		finding_hint(found(look, volume_name(volume), "%s: %s is open on %s, and not by %s: %s uses it",
				   volume_name(volume), path, look->name[SOURCE], look->label, opener),
			     "end that program first (fuser -v %s, losetup --associated %s)", path, path);
	return opener;
}

void look_volume_in_use(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		struct json_object *there = volume_there(look->facts, volume_i);
		if (opened_here(look, volume) || is_copied(look, volume, volume_i) || !json_true(there, "open") ||
		    json_true(volume, "readonly") || json_true(volume, "shareable"))
			continue;
		const char *path = json_text_or(volume, "path", "?");
		finding_hint(found(look, volume_name(volume), "%s: %s is open on %s already", volume_name(volume), path,
				   look->name[TARGET]),
			     "find out who has it open there (fuser -v %s): two guests that write to it destroy it",
			     path);
	}
}
