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

/* Adds a root's path, `length` bytes long, or what it becomes. True: it becomes another one. */
static bool add_root(struct text *text, struct json_object *changes, const char *name, const char *path, size_t length)
{
	const char *to = changed_to(changes, "target", name, strlen(name));
	bool same = !to || (strlen(to) == length && !strncmp(to, path, length));
	if (same)
		text_add(text, "%.*s", (int)length, path);
	else
		text_add(text, "%s", to);
	return !same;
}

/* "LOWER[:LOWER...]:UPPER" */
static bool add_layers(struct text *text, struct json_object *changes, const char *paths, size_t length)
{
	bool changed = false;
	for (int number = 0; length; number++) {
		size_t part = strcspn(paths, ":");
		bool last = part >= length;
		vmm_auto_free char *name = lxc_layer(number, last);
		changed |= add_root(text, changes, name, paths, last ? length : part);
		text_add(text, "%s", last ? "" : ":");
		paths += last ? length : part + 1;
		length -= last ? length : part + 1;
	}
	return changed;
}

/* "dir:/old" to "dir:/new", "overlay:/lower:/old" to "overlay:/lower:/new". */
static bool rewrite_root(struct text *text, const char *line, struct json_object *changes)
{
	const char *value = lxc_value(line, "lxc.rootfs.path"), *paths = value ? lxc_root_paths(value) : NULL;
	vmm_auto_text struct text made = {0};
	if (!paths)
		return false;
	size_t length = strlen(paths);
	while (length && strchr(" \t\r", paths[length - 1]))
		length--;
	bool changed = lxc_is_overlay(value) ? add_layers(&made, changes, paths, length)
					     : add_root(&made, changes, "rootfs", paths, length);
	if (changed)
		text_add(text, "%.*s%s%s\n", (int)(paths - line), line, made.data, paths + length);
	return changed;
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
	/* A last line without its newline has got one. */
	size_t length = strlen(config);
	if (text.length && length && config[length - 1] != '\n')
		text.data[--text.length] = 0;
	json_put(json, "config:s", text.data ? text.data : "");
	*rewritten = str_copy(json_line(json));
	return 0;
}
