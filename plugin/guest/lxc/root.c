/* root.c: the value of lxc.rootfs.path: [TYPE:]PATH, or overlay:LOWER[:LOWER...]:UPPER. */
#include <string.h>

#include "lxc.h"

/* What the config itself says last, or NULL. */
static char *written(struct guest_host *host, const char *id)
{
	vmm_auto_free char *path = lxc_config_there(host, id), *text = NULL;
	const char *found = NULL;
	if (!path || file_read(path, LXC_CONFIG_MOST, &text, NULL, NULL) < 0)
		return NULL;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		const char *value = lxc_value(line, "lxc.rootfs.path");
		found = value ? value : found;
	}
	return found ? str_format("%.*s", (int)strcspn(found, " \t\r"), found) : NULL;
}

/* LXC's own answer may come without the type; it is right where an included file has the root. */
char *lxc_root(struct guest_host *host, struct lxc_container *c)
{
	char *answer = lxc_item(c, "lxc.rootfs.path");
	vmm_auto_free char *value = written(host, c->name);
	if (!answer || !value || !str_ends(value, answer))
		return answer;
	free(answer);
	answer = value;
	value = NULL;
	return answer;
}

bool lxc_is_overlay(const char *root)
{
	return str_starts(root, "overlay:") || str_starts(root, "overlayfs:");
}

const char *lxc_root_paths(const char *root)
{
	const char *path = strchr(root, ':');
	path = *root == '/' ? root : path ? path + 1 : NULL;
	return path && *path == '/' ? path : NULL;
}

char *lxc_layer(int number, bool last)
{
	return last ? str_copy("upper") : number ? str_format("lower%d", number + 1) : str_copy("lower");
}
