/* checks-container.c: what containers need of their node - LXC itself, mounts, ids, features. */
#include <string.h>

#include "plan/checks.h"

void look_target_lxc_missing(const struct look *look)
{
	for (enum side side = SOURCE; side < SIDES; side++) {
		if (!look->node[side] || json_true(look->host[side], "up"))
			continue;
		const char *why = json_text(look->host[side], "error.message");
		finding_hint(found(look, look->name[side], "LXC cannot be used on %s%s%s", look->name[side],
				   why ? ": " : "", why ? why : ""),
			     "install the package lxc on %s", look->name[side]);
	}
}

/* A line of an fstab or of an included file names it, which is not rewritten for the target. */
static bool mount_is_fixed(const struct look *look, const char *source)
{
	json_each (mount, look->guest, "mounts")
		if (json_true(mount, "fixed") && str_same(json_text(mount, "source"), source))
			return true;
	return false;
}

/* The target was asked about the mounts that --map-mount puts in their place (migration/facts.c). */
void look_ct_bind_mount(const struct look *look)
{
	json_each (mount, look->fit, "mounts_missing") {
		const char *source = json_text_or(mount, "", "?");
		struct json_object *finding = found(look, source, "%s mounts %s of its host, which is not on %s",
						    look->label, source, look->name[TARGET]);
		if (mount_is_fixed(look, source))
			finding_hint(finding,
				     "make it there, with the content that the container expects, or change the line "
				     "that names it: it is in an fstab or an included file, so that no option does");
		else
			finding_hint(finding,
				     "make it there, with the content that the container expects, or name what takes "
				     "its place: --map-mount %s=PATH",
				     source);
	}
}

/* What the request would have rewritten, but cannot be, since the container's own config does not have it. */
void look_include_mapped(const struct look *look)
{
	json_each (mount, look->guest, "mounts") {
		const char *source = json_text_or(mount, "source", "");
		if (json_true(mount, "fixed") && strcmp(facts_mapped(look->facts, "map_mount", source), source) != 0)
			finding_hint(found(look, source,
					   "%s mounts %s by a line of its fstab or of a file that its config includes: "
					   "--map-mount does not change that",
					   look->label, source),
				     "move that line to the container's own config, as lxc.mount.entry");
	}
	json_each (network, look->guest, "networks") {
		const char *name = json_text_or(network, "name", "");
		if (json_true(network, "included") && strcmp(facts_mapped(look->facts, "map_network", name), name) != 0)
			finding_hint(
				found(look, name,
				      "%s uses %s by a line of a file that its config includes: --map-network does "
				      "not change that",
				      look->label, name),
				"set lxc.net.N.link in the container's own config, below its lxc.include");
	}
	json_each (volume, look->guest, "volumes")
		if (json_true(volume, "included") && volume_asked(look->facts, volume_i))
			finding_hint(
				found(look, volume_name(volume),
				      "%s: a file that the config of %s includes names %s: --targetstorage does not "
				      "change that",
				      volume_name(volume), look->label, json_text_or(volume, "path", "?")),
				"set lxc.rootfs.path in the container's own config, below its lxc.include");
}

void look_ct_logs(const struct look *look)
{
	vmm_auto_text struct text names = {0};
	json_each (log, look->guest, "logs")
		text_add(&names, "%s%s", names.length ? ", " : "", json_text_or(log, "", "?"));
	if (names.length)
		finding_hint(found(look, look->label, "%s has logs in its directory, which stay on %s: %s", look->label,
				   look->name[SOURCE], names.data),
			     "copy them by hand if they are needed: nothing of them is removed");
}

void look_ct_idmap(const struct look *look)
{
	const char *why = json_text(look->fit, "idmap");
	if (why)
		finding_hint(
			found(look, look->label, "the ids of %s cannot be used on %s: %s", look->label,
			      look->name[TARGET], why),
			"give root that range there (usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST root), "
			"which no other user may have a part of");
}

void look_ct_ephemeral(const struct look *look)
{
	if (json_true(look->guest, "ephemeral"))
		finding_hint(found(look, look->label, "%s is ephemeral: LXC destroys it when it stops", look->label),
			     "make a lasting copy of it (lxc-copy -n %s -N NEW-NAME) and migrate that",
			     json_text_or(look->guest, "id", "?"));
}

void look_ct_features(const struct look *look)
{
	json_each (feature, look->fit, "features")
		finding_hint(
			found(look, look->label, "%s asks for what %s does not have: %s", look->label,
			      look->name[TARGET], json_text_or(feature, "", "?")),
			"it may start with less than it has here, or not at all; compare `lxc-checkconfig` on both");
}

/* Both nodes would rename, write and remove the one config, so that the last of them removes the only one. */
void look_ct_shared_definition(const struct look *look)
{
	const char *proof = facts_directory_proof(look->facts), *there = json_text(look->fit, "directory");
	if (!proof || !strcmp(proof, "local"))
		return;
	bool shared = !strcmp(proof, "shared");
	struct json_object *finding =
		shared ? found(look, look->label,
			       "%s: its definition is the same one on both nodes, in the same directory %s",
			       look->label, there)
		       : found(look, look->label,
			       "%s: it is not proven that %s on %s is another directory than its own here", look->label,
			       there, look->name[TARGET]);
	if (shared)
		finding_hint(finding,
			     "give each node a directory of its own for definitions (lxc.lxcpath in /etc/lxc/lxc.conf, "
			     "or a mount) and move %s there; containers' roots may stay on shared storage",
			     json_text_or(look->guest, "directory", "the container's directory"));
	else
		finding_hint(finding, "see that root can write to %s on %s and read it on %s: a token file proves it",
			     json_text_or(look->guest, "directory", "?"), look->name[SOURCE], look->name[TARGET]);
}
