/* checks-disk.c: can the guest's disks and images be moved with it, in this mode? */
#include "plan/checks.h"

/* "32.0 GiB on storage "default"". */
static char *size_and_storage(struct json_object *volume)
{
	vmm_auto_free char *size = str_size(json_number(volume, "size"));
	return str_format("%s on storage \"%s\"", size,
			  json_text_or(volume, "storage", json_text_or(volume, "path", "?")));
}

/* True if the destination is a block device. What it holds is overwritten and cannot be set aside: so it must not be in
 * use. */
static bool device_taken(const struct look *look, struct json_object *volume, size_t index)
{
	struct json_object *device;
	if (!volume_device_there(look->facts, volume, index, &device))
		return false;
	if (json_text(device, "busy"))
		finding_hint(found_as(look, CHECK_ERROR, volume_name(volume), "%s: on %s %s", volume_name(volume),
				      look->name[TARGET], json_text(device, "busy")),
			     "free it, or choose another storage (--targetstorage)");
	return true;
}

/* True if another guest of the target stands on what is at the destination: it is never moved aside. */
static bool needed_there(const struct look *look, struct json_object *volume, size_t index)
{
	const char *path = volume_destination(look->facts, volume, index);
	json_each (other, volume_there(look->facts, index), "used_by")
		finding_hint(found_as(look, CHECK_ERROR, volume_name(volume),
				      "%s: %s on %s is needed by guest %s there", volume_name(volume), path,
				      look->name[TARGET], json_text_or(other, "", "?")),
			     "give the volume another place (--targetstorage), or take %s from guest %s first", path,
			     json_text_or(other, "", "?"));
	return json_count(volume_there(look->facts, index), "used_by") > 0;
}

/* The guest has no NVRAM or TPM state yet, and would find what is in its place on the target. */
static bool would_be_found(const struct look *look, struct json_object *volume, size_t index)
{
	const char *path = json_text_or(volume, "path", "?"), *target = look->name[TARGET];
	bool shared = str_same(volume_proof(look->facts, volume, index), "shared");
	if (json_true(volume, "absent") && !shared && json_true(volume_there(look->facts, index), "there"))
		finding_hint(found_as(look, CHECK_ERROR, volume_name(volume),
				      "%s: %s has none yet, and %s is on %s already: it would use that",
				      volume_name(volume), look->label, path, target),
			     "see what it is; remove or rename it on %s", target);
	return json_true(volume, "absent");
}

void look_volume_taken(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		if (would_be_found(look, volume, volume_i))
			continue;
		const char *path = volume_destination(look->facts, volume, volume_i);
		if (volume_action(look->facts, volume, volume_i, look->mode) == VOLUME_KEEP ||
		    device_taken(look, volume, volume_i) || !volume_is_taken(look->facts, volume_i) ||
		    /* Never advise to remove what is, or may be, the source; other checks refuse that. */
		    !str_same(volume_destination_proof(look->facts, volume, volume_i), "local"))
			continue;
		bool open = volume_is_open_there(look->facts, volume_i);
		if (needed_there(look, volume, volume_i) ||
		    (!open && (volume_is_ours_there(look->facts, volume, volume_i) ||
			       volume_content_there(look->facts, volume, volume_i)))) /* look_readonly_differs */
			continue;
		struct json_object *finding = found_as(look, open ? CHECK_ERROR : CHECK_OVERRIDE, volume_name(volume),
						       "%s: %s is on %s already%s", volume_name(volume), path,
						       look->name[TARGET], open ? " and is in use" : "");
		if (open)
			finding_hint(finding,
				     "find out who has it open there (fuser -v %s); a file in use is never replaced",
				     path);
		else
			finding_hint(finding,
				     "see what it is; remove or rename it on %s, or give --replace to set it aside",
				     look->name[TARGET]);
	}
}

void look_local_disk_online(const struct look *look)
{
	if (!facts_ops(look->facts)->migrate)
		return; /* another check says that a guest of this kind never moves while it runs */
	vmm_auto_text struct text names = {0}, disks = {0};
	json_each (volume, look->guest, "volumes") {
		/* One that is proven to be shared, and not declared so, is another check's finding. */
		if (volume_action(look->facts, volume, volume_i, look->mode) != VOLUME_COPY ||
		    str_same(volume_proof(look->facts, volume, volume_i), "shared"))
			continue;
		vmm_auto_free char *about = size_and_storage(volume);
		text_add(&names, "%s%s", names.length ? ", " : "", volume_name(volume));
		text_add(&disks, "%s%s (%s)", disks.length ? ", " : "", volume_name(volume), about);
	}
	if (!names.length)
		return;
	struct json_object *finding = found(look, names.data, "%s cannot move while it runs: local to %s: %s",
					    look->label, look->name[SOURCE], disks.data);
	hint_restart(look, finding, "copies the disks while the guest runs");
}

void look_local_cdrom(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		if (!volume_is_disc(volume) || json_number(volume, "size") <= MEDIA_LIMIT ||
		    volume_action(look->facts, volume, volume_i, look->mode) != VOLUME_MEDIA)
			continue;
		vmm_auto_free char *about = size_and_storage(volume);
		const char *path = json_text(volume, "path"), *name = volume_name(volume);
		struct json_object *finding =
			found(look, name, "%s: the image %s (%s) is not on %s, and is too large to be copied along",
			      name, path, about, look->name[TARGET]);
		finding_hint(finding,
			     "eject it (virsh change-media %s %s --eject --live --config), or copy it to the same path "
			     "on %s first",
			     json_text_or(look->guest, "name", "GUEST"), name, look->name[TARGET]);
	}
}

void look_sata_disk(const struct look *look)
{
	json_each (volume, look->guest, "volumes")
		if (str_same(json_text(volume, "bus"), "sata") &&
		    str_same(json_text_or(volume, "device", "disk"), "disk"))
			finding_hint(found(look, volume_name(volume),
					   "%s is a SATA disk, whose controller older QEMU cannot migrate",
					   volume_name(volume)),
				     "if it fails, the guest goes on running here; virtio or SCSI disks have no such "
				     "limit");
}

void look_shared_by_other(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *path = json_text(volume, "path"), *name = volume_name(volume);
		if (volume_action(look->facts, volume, volume_i, look->mode) != VOLUME_COPY ||
		    json_true(volume, "readonly"))
			continue;
		json_each (other, volume, "used_by")
			finding_hint(found(look, name, "%s: guest %s needs %s: one of its disks or layers stands on it",
					   name, json_text_or(other, "", "?"), path),
				     "make guest %s independent of it first: virsh blockpull (a VM that runs), "
				     "qemu-img rebase "
				     "-b '' (a VM that is off), lxc-copy without -s (a container)",
				     json_text_or(other, "", "?"));
		json_each (other, look->node[SOURCE], "guests")
			if (!guest_same(look->facts, other) && json_has(other, "volumes", path) &&
			    !json_has(volume, "used_by", json_text_or(other, "id", "")))
				finding_hint(
					found(look, name, "%s: %s is a disk of guest %s too", name, path,
					      json_text_or(other, "name", json_text_or(other, "id", "?"))),
					"detach it from one of the two: one copy cannot serve guests on two nodes");
	}
}

/* Two disks that are one file become two on the target, or are written to from two nodes. Of a volume that is copied,
 * shared-by-other names the other guests. */
void look_volume_alias(const struct look *look)
{
	json_each (volume, look->guest, "volumes")
		json_each (alias, volume, "alias") {
			const char *name = volume_name(volume), *path = json_text_or(volume, "path", "?"),
				   *other = json_text_or(alias, "path", "?"), *own = json_text(alias, "target");
			bool kept = volume_action(look->facts, volume, volume_i, look->mode) == VOLUME_KEEP;
			if (json_true(volume, "readonly") || (kept ? json_true(volume, "shareable") : !own))
				continue;
			if (own)
				finding_hint(found(look, name, "%s (%s) and %s (%s) are one and the same file", own,
						   other, name, path),
					     "take one of the two out of the definition (%s)",
					     facts_ops(look->facts)->edit);
			else
				finding_hint(
					found(look, name, "%s: %s is the same file as %s, a disk of guest %s", name,
					      path, other, json_text_or(alias, "guest", "?")),
					"detach it from one of the two: nobody would notice if both ran, on two nodes");
		}
}

/* QEMU 4.0 and newer drops the page cache of a disk when its guest moves, so that only a cache mode that never syncs is
 * unsafe; older ones need "none" or "directsync". Network disks that QEMU opens itself have no page cache. */
static bool cache_is_safe(const struct look *look, struct json_object *volume)
{
	const char *cache = json_text_or(volume, "cache", "default");
	int64_t version = json_number(look->host[SOURCE], "version");
	if (json_true(volume, "readonly") || str_same(json_text(volume, "type"), "network") ||
	    !str_same(json_text_or(volume, "device", "disk"), "disk"))
		return true;
	if (str_same(cache, "unsafe"))
		return false;
	return version >= 4000000 || str_same(cache, "none") || str_same(cache, "directsync");
}

void look_unsafe_cache(const struct look *look)
{
	json_each (volume, look->guest, "volumes")
		if (!cache_is_safe(look, volume))
			hint_ways(look,
				  found(look, volume_name(volume),
					"%s has the cache mode %s: the target could read old data", volume_name(volume),
					json_text_or(volume, "cache", "default")),
				  MODE_RESTART, "set cache='none' on it (virsh edit, then restart the guest)");
}

void look_pending_changes(const struct look *look)
{
	const char *guest = json_text_or(look->guest, "name", "GUEST");
	json_each (volume, look->guest, "volumes") {
		const char *in = json_text_or(volume, "in", "both"), *name = volume_name(volume);
		if (str_same(in, "differs"))
			finding_hint(found(look, name,
					   "%s is another image in the definition of %s than in the running guest",
					   name, look->label),
				     "make them agree (virsh change-media or update-device with --config), or shut the "
				     "guest down and start it");
		else if (str_same(in, "live") && look->mode == MODE_RESTART)
			finding_hint(found_as(look, CHECK_WARNING, name,
					      "%s was plugged into the running guest alone: it stays behind on %s",
					      name, look->name[SOURCE]),
				     "virsh attach-device %s --config makes it part of the definition", guest);
	}
}

/* The state of an emulated TPM belongs to the user under whom swtpm runs. Its files keep their numeric owner when they
 * are copied, and swtpm could not open them if that is another user on the target. A guest whose memory moves needs no
 * copy: the memory holds the state. */
void look_tpm_state(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		struct json_object *here = json_at(look->host[SOURCE], "uids.swtpm"),
				   *there = json_at(look->host[TARGET], "uids.swtpm");
		const char *name = volume_name(volume);
		if (!str_same(json_text(volume, "device"), "tpm") || !here ||
		    volume_action(look->facts, volume, volume_i, look->mode) != VOLUME_COPY)
			continue;
		if (!there)
			finding_hint(found(look, name, "%s has no user tss, to whom the TPM's state belongs",
					   look->name[TARGET]),
				     "install swtpm-tools on %s", look->name[TARGET]);
		else if (json_object_get_int64(here) != json_object_get_int64(there))
			hint_ways(
				look,
				found(look, name,
				      "the TPM's state belongs to the user tss, whose id is %jd on %s and %jd on %s",
				      (intmax_t)json_object_get_int64(here), look->name[SOURCE],
				      (intmax_t)json_object_get_int64(there), look->name[TARGET]),
				facts_active(look->facts) ? MODE_LIVE : 0,
				"give tss the same id on both nodes; a guest that runs can take the state along in its "
				"memory");
	}
}
