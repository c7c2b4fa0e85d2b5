/* checks-read.c: what a guest only reads - CD images, read-only disks, lower layers, backing files - must be the same
 * on the target. A path that both nodes have says nothing about the content. */
#include "plan/checks.h"

/* "is another file on node2 (366.0 KiB here, 1.0 KiB there)". */
static char *how_it_differs(const struct look *look, struct json_object *here, struct json_object *there)
{
	int64_t ours = json_number(here, "size"), theirs = json_number(there, "size");
	vmm_auto_free char *our_size = str_size(ours), *their_size = str_size(theirs);
	if (json_true(here, "tree"))
		return str_format("has another content on %s", look->name[TARGET]);
	if (ours == theirs)
		return str_format("has another content on %s (%s on both nodes)", look->name[TARGET], our_size);
	return str_format("is another file on %s (%s here, %s there; %jd and %jd bytes)", look->name[TARGET], our_size,
			  their_size, (intmax_t)ours, (intmax_t)theirs);
}

/* ------------------------------------------------------------------ volumes */

/* Too large to be copied along: look_local_cdrom would refuse it under --replace. */
static bool can_be_replaced(struct json_object *volume)
{
	return !volume_is_disc(volume) || json_number(volume, "size") <= MEDIA_LIMIT;
}

static void hint_to_replace(const struct look *look, struct json_object *volume, struct json_object *finding)
{
	const char *path = json_text_or(volume, "path", "?");
	if (can_be_replaced(volume))
		finding_hint(
			finding,
			"see which of the two is right: --replace sets that of %s aside and copies this one there, "
			"--ignore %s has the guest use that of %s",
			look->name[TARGET], look->check->code, look->name[TARGET]);
	else
		finding_hint(finding,
			     "copy %s to %s yourself if this one is right; --ignore %s has the guest use that of %s",
			     path, look->name[TARGET], look->check->code, look->name[TARGET]);
}

static void one_volume(const struct look *look, struct json_object *volume, size_t index, const char *content)
{
	struct json_object *there = volume_there(look->facts, index), *finding;
	const char *name = volume_name(volume), *path = json_text_or(volume, "path", "?");
	if (str_same(content, "alike")) {
		finding =
			found_as(look, CHECK_WARNING, name,
				 "%s: %s is too large to be compared with that of %s: only its size and samples of it "
				 "are known to be equal",
				 name, path, look->name[TARGET]);
		finding_hint(finding, "to be certain, compare them: sha256sum %s on both nodes", path);
		return;
	}
	vmm_auto_free char *differs = how_it_differs(look, volume, there);
	if (str_same(content, "differs"))
		finding = found(look, name, "%s: %s %s", name, path, differs);
	else
		finding = found(look, name, "%s: %s is on %s too, and could not be compared: %s", name, path,
				look->name[TARGET], json_text_or(there, "problem", "not asked"));
	hint_to_replace(look, volume, finding);
}

void look_readonly_differs(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *content = volume_content_there(look->facts, volume, volume_i);
		bool stays = look->mode == MODE_RESTART && str_same(json_text(volume, "in"), "live");
		if (content && !stays && !str_same(content, "same"))
			one_volume(look, volume, volume_i, content);
	}
}

/* ------------------------------------------------------------------ files below an image */

static struct json_object *file_there_of(const struct look *look, size_t volume, size_t file)
{
	struct json_object *list = json_at(volume_there(look->facts, volume), "stands_on");
	return list ? json_object_array_get_idx(list, file) : NULL;
}

/* A file below an image that goes along as a volume of the guest itself, or is one file on both nodes. */
static bool goes_along(const struct look *look, struct json_object *file)
{
	json_each (volume, look->guest, "volumes")
		if (str_same(json_text(volume, "path"), json_text(file, "path")))
			return true;
	return str_same(json_text(file, "proof"), "shared") || str_same(json_text(file, "sharing"), "network");
}

static bool same_there(const struct look *look, size_t volume, size_t file)
{
	const char *content = json_text(file_there_of(look, volume, file), "content");
	return str_same(content, "same") || str_same(content, "alike");
}

bool file_comes_along(const struct look *look, const char *path)
{
	json_each (volume, look->guest, "volumes") {
		if (str_same(json_text(volume, "path"), path) || str_same(json_text(volume, "source"), path))
			return true;
		json_each (file, volume, "stands_on")
			if (str_same(json_text(file, "path"), path))
				return goes_along(look, file) || same_there(look, volume_i, file_i);
	}
	struct json_object *storage = storage_under(look->node[SOURCE], path);
	const char *proof = json_text(json_member(look->facts->sharing, json_text(storage, "name")), "");
	return !str_same(json_text(storage, "sharing"), "local") && (!look->node[TARGET] || str_same(proof, "shared"));
}

/* How to make one file of an image and its backing files. */
static char *to_make_one(const struct look *look, struct json_object *volume)
{
	const char *guest = json_text_or(look->guest, "name", "GUEST"), *path = json_text_or(volume, "path", "IMAGE");
	return facts_active(look->facts)
		       ? str_format("virsh blockpull %s %s --wait", guest, volume_name(volume))
		       : str_format("qemu-img rebase -f %s -b '' %s", json_text_or(volume, "format", "qcow2"), path);
}

/* QEMU looks for a data file that has a relative name in the current directory. */
static void data_file_stays(const struct look *look, struct json_object *volume, struct json_object *file)
{
	const char *path = json_text_or(volume, "path", "/IMAGE"), *base = path_base(path), *name = volume_name(volume);
	vmm_auto_free char *dir = path_dir(path);
	struct json_object *finding =
		found(look, name, "%s: its data are in another file, %s, which does not come along", name,
		      json_text_or(file, "path", "?"));
	finding_hint(finding, "%smake it one file: cd %s && qemu-img convert -O qcow2 %s %s.new && mv %s.new %s",
		     facts_active(look->facts) ? "shut the guest down and " : "", dir, base, base, base, base);
}

void look_linked_clone(const struct look *look)
{
	json_each (volume, look->guest, "volumes")
		json_each (file, volume, "stands_on") {
			struct json_object *there = file_there_of(look, volume_i, file_i);
			const char *path = json_text_or(file, "path", "?"), *name = volume_name(volume),
				   *expected = json_text_or(there, "path", path);
			if (goes_along(look, file))
				continue;
			if (str_same(json_text(file, "as"), "data")) {
				data_file_stays(look, volume, file);
				continue;
			}
			if (!look->node[TARGET] || json_true(there, "there"))
				continue;
			vmm_auto_free char *one = to_make_one(look, volume);
			finding_hint(found(look, name, "%s stands on the backing file %s, and %s has no %s", name, path,
					   look->name[TARGET], expected),
				     "copy that file to %s on %s, or make %s one file: %s", expected,
				     look->name[TARGET], name, one);
		}
}

void look_base_differs(const struct look *look)
{
	json_each (volume, look->guest, "volumes")
		json_each (file, volume, "stands_on") {
			struct json_object *there = file_there_of(look, volume_i, file_i), *finding;
			const char *content = json_text_or(there, "content", "unknown"),
				   *path = json_text_or(file, "path", "?"), *name = volume_name(volume);
			if (goes_along(look, file) || !json_true(there, "there") ||
			    !str_same(json_text(file, "as"), "backing") || str_same(content, "same"))
				continue;
			vmm_auto_free char *one = to_make_one(look, volume),
					   *differs = how_it_differs(look, file, there);
			if (str_same(content, "alike"))
				finding =
					found_as(look, CHECK_WARNING, name,
						 "%s: its backing file %s is too large to be compared with that of %s: "
						 "only its size and samples of it are known to be equal",
						 name, path, look->name[TARGET]);
			else if (str_same(content, "differs"))
				finding = found(look, name, "%s: its backing file %s %s", name, path, differs);
			else
				finding = found(look, name,
						"%s: its backing file %s is on %s too, and could not be compared: %s",
						name, path, look->name[TARGET],
						json_text_or(there, "problem", "not asked"));
			finding_hint(finding, "put the same file there, or make %s one file: %s", name, one);
		}
}

/* ------------------------------------------------------------------ files of the host */

/* Another kernel is another guest. Another firmware of the same size is what every update of its package brings, and is
 * only said; memory that moves brings its own. One of another size does not fit the NVRAM, or the memory. */
void look_host_file_differs(const struct look *look)
{
	json_each (need, look->guest, "needs") {
		const char *path = json_text_or(need, "name", "?"), *use = json_text_or(need, "for", "?");
		int64_t ours = json_number(need, "sizes.0"), theirs = json_number(need, "sizes.1");
		bool harmless = ours == theirs && str_same(json_text(need, "same"), "size");
		if (!str_same(json_text(need, "content"), "differs") || !look_concerns(look, need))
			continue;
		finding_hint(found_as(look, harmless ? CHECK_WARNING : look->check->severity, path,
				      "%s reads %s for %s, and has another one on %s (%jd bytes here, %jd there)",
				      look->label, path, use, look->name[TARGET], (intmax_t)ours, (intmax_t)theirs),
			     "bring the two to the same version, or put the same file there");
	}
}
