/* rewrite.c: guest_ops->rewrite. Changes the lines of a config that name what is elsewhere on the target; all other
 * lines stay as they are, comments too. */
#include <string.h>

#include "lxc.h"

/* The path of the change whose `what` ("target", "mount", "network") is `from`; NULL: there is none. */
static const char *changed_to(struct json_object *changes, const char *what, const char *from, size_t length)
{
	json_each (change, changes, "") {
		const char *old = json_text(change, what);
		if (old && strlen(old) == length && !strncmp(old, from, length))
			return json_text(change, "path");
	}
	return NULL;
}

static const char *root_changed_to(struct json_object *changes, const char *name, const char *path)
{
	const char *to = changed_to(changes, "target", name, strlen(name));
	return to ? to : path;
}

/* "dir:/old" to "dir:/new", "overlay:/lower:/old" to "overlay:/lower:/new". */
static bool rewrite_root(struct text *text, const char *line, struct json_object *changes)
{
	const char *value = lxc_value(line, "lxc.rootfs.path"), *paths = value ? lxc_root_paths(value) : NULL;
	if (!paths)
		return false;
	text_add(text, "%.*s", (int)(paths - line), line);
	if (!lxc_is_overlay(value)) {
		text_add(text, "%s\n", root_changed_to(changes, "rootfs", paths));
		return true;
	}
	vmm_auto_free char *copy = str_copy(paths);
	char *rest = copy, *path;
	for (int number = 0; (path = strsep(&rest, ":")); number++) {
		vmm_auto_free char *name = lxc_layer(number, rest == NULL);
		text_add(text, "%s%s", root_changed_to(changes, name, path), rest ? ":" : "\n");
	}
	return true;
}

static bool rewrite_mount(struct text *text, const char *line, struct json_object *changes)
{
	const char *value = lxc_value(line, "lxc.mount.entry");
	size_t length = value ? strcspn(value, " \t") : 0;
	const char *to = value ? changed_to(changes, "mount", value, length) : NULL;
	if (to)
		text_add(text, "%.*s%s%s\n", (int)(value - line), line, to, value + length);
	return to != NULL;
}

static bool rewrite_network(struct text *text, const char *line, struct json_object *changes)
{
	const char *start = line + strspn(line, " \t");
	char key[32];
	int number;
	if (sscanf(start, "lxc.net.%d.link", &number) != 1)
		return false;
	snprintf(key, sizeof(key), "lxc.net.%d.link", number);
	const char *value = lxc_value(line, key);
	size_t length = value ? strcspn(value, " \t") : 0;
	const char *to = value ? changed_to(changes, "network", value, length) : NULL;
	if (to)
		text_add(text, "%.*s%s\n", (int)(value - line), line, to);
	return to != NULL;
}

int lxc_rewrite(const char *definition, struct json_object *changes, char **rewritten, struct vmm_error **err)
{
	vmm_auto_json struct json_object *json = NULL;
	vmm_auto_text struct text text = {0};
	const char *config;
	if (json_parse(definition, -1, "definition", &json, err) < 0 ||
	    json_need(json, "config", "definition", &config, err) < 0)
		return -1;
	vmm_auto_free char *copy = str_copy(config);
	char *rest = copy, *line;
	while ((line = strsep(&rest, "\n"))) {
		if (!rest && !*line)
			break;
		if (!rewrite_root(&text, line, changes) && !rewrite_mount(&text, line, changes) &&
		    !rewrite_network(&text, line, changes))
			text_add(&text, "%s\n", line);
	}
	json_put(json, "config:s", text.data ? text.data : "");
	*rewritten = str_copy(json_line(json));
	return 0;
}
