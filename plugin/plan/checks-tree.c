/* checks-tree.c: is there anything in a directory tree that would not be copied as it is? */
#include "plan/checks.h"

/* The volume's field `name`, which says what in the tree is odd; NULL if it is not copied, or has nothing of that. */
static const char *oddity(const struct look *look, struct json_object *volume, size_t index, const char *name)
{
	return volume_action(look->facts, volume, index, look->mode) == VOLUME_KEEP ? NULL : json_text(volume, name);
}

void look_tree_too_deep(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *at = oddity(look, volume, volume_i, "deep");
		if (at)
			finding_hint(found(look, volume_name(volume),
					   "%s: a path in %s is too long, or more than 512 directories deep, to be "
					   "copied: %s",
					   volume_name(volume), json_text_or(volume, "path", "?"), at),
				     "remove it, or move it up, from within %s; a program that made a directory in a "
				     "directory again and again has most likely gone wrong",
				     look->label);
	}
}

void look_tree_mixed(const struct look *look)
{
	json_each (volume, look->guest, "volumes") {
		const char *path = json_text_or(volume, "path", "?"), *name = volume_name(volume);
		const char *subvolume = oddity(look, volume, volume_i, "subvolume"),
			   *mounted = oddity(look, volume, volume_i, "mounted");
		if (subvolume)
			finding_hint(found(look, name,
					   "%s: %s has a subvolume in it, which would become a directory: %s", name,
					   path, subvolume),
				     "make a directory of it, while nothing uses it: cd %s; mv '%s' '%s.old'; cp -a "
				     "'%s.old' '%s'; btrfs subvolume delete '%s.old'",
				     path, subvolume, subvolume, subvolume, subvolume, subvolume);
		if (mounted)
			finding_hint(found(look, name, "%s: something is mounted in %s, and is not a part of it: %s",
					   name, path, mounted),
				     "umount '%s/%s' on %s; for the container itself, lxc.mount.entry mounts it", path,
				     mounted, look->name[SOURCE]);
	}
}
