/* nodes.c: finds a node of the configuration by its name, and adds nodes to the file. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "cluster/cluster-internal.h"

enum { CONF_LIMIT = 1 << 20 };

/* ------------------------------------------------------------------ a peer */

static int unknown(const char *node, struct json_object *nodes, struct vmm_error **err)
{
	vmm_auto_json struct json_object *names = json_object_new_array();
	vmm_auto_text struct text all = {0};
	if (nodes) {
		json_object_object_foreach(nodes, name, section)
		{
			(void)section;
			json_object_array_add(names, json_object_new_string(name));
			text_add(&all, "%s%s", all.length ? ", " : "", name);
		}
	}
	const char *near = json_suggest(names, node);
	error_set(err, VMM_NOT_FOUND, "target-unknown", "there is no node \"%s\" in the cluster", node);
	if (near)
		return error_hint(err, "Did you mean %s? The nodes are: %s.", near, all.data);
	if (all.length)
		return error_hint(err, "The nodes are: %s. To add one: vmmigrate node add NAME ADDRESS", all.data);
	return error_hint(err, "No node is configured. To add one: vmmigrate node add NAME ADDRESS");
}

int cluster_peer(struct json_object *config, const char *etc_dir, const char *node, struct cluster_peer *peer,
		 struct vmm_error **err)
{
	struct json_object *nodes = json_at(config, "node"), *section = json_member(nodes, node);
	*peer = (struct cluster_peer){0};
	if (name_check(node, "node", err) < 0)
		return -1;
	if (!section)
		return unknown(node, nodes, err);
	peer->name = str_copy(node);
	peer->key = str_format("%s/id_vmmigrate", etc_dir);
	peer->known_hosts = str_format("%s/known_hosts", etc_dir);
	if (cluster_read_id(etc_dir, &peer->self_id, err) < 0)
		return -1;
	peer->ssh = (struct ssh_peer){
		.name = peer->name,
		.address = json_text(section, "address"),
		.port = (int)json_number(section, "port"),
		.user = json_text(section, "user"),
		.key = peer->key,
		.known_hosts = peer->known_hosts,
		.id = json_text(section, "id"),
		.self = json_text(config, "self"),
		.self_id = peer->self_id,
	};
	return 0;
}

void cluster_peer_free(struct cluster_peer *peer)
{
	free(peer->name);
	free(peer->key);
	free(peer->known_hosts);
	free(peer->self_id);
	*peer = (struct cluster_peer){0};
}

/* ------------------------------------------------------------------ adding a node to the file */

/* Does this line set the key? */
static bool is_key(const char *line, size_t length, const char *key)
{
	while (length && (*line == ' ' || *line == '\t')) {
		line++;
		length--;
	}
	size_t size = strlen(key);
	if (length <= size || strncmp(line, key, size))
		return false;
	line += size;
	line += strspn(line, " \t");
	return *line == '=' || *line == ':';
}

/* The text with `key = value` in the node's section: in place of the line that sets the key, else as the section's
 * first line, else in a new section at the end. All other bytes stay. Belongs to the caller. */
static char *with_key(const char *text, const char *name, const char *key, const char *value)
{
	vmm_auto_text struct text out = {0};
	vmm_auto_free char *wanted = str_format("node %s", name);
	const char *after = NULL, *old = NULL; /* the end of the section's heading; the line that sets the key */
	bool inside = false;
	for (const char *at = text; *at;) {
		size_t length = strcspn(at, "\n"), whole = length + (at[length] == '\n');
		vmm_auto_free char *section = config_section_of(at, length);
		if (section && (inside = str_same(section, wanted)))
			after = at + whole;
		else if (inside && !old && is_key(at, length, key))
			old = at;
		at += whole;
	}
	const char *until = old ? old : after ? after : text + strlen(text);
	text_add_bytes(&out, text, (size_t)(until - text));
	if (out.length && out.data[out.length - 1] != '\n')
		text_add(&out, "\n");
	if (!after)
		text_add(&out, "%s[node %s]\n", out.length ? "\n" : "", name);
	text_add(&out, "%s = %s\n", key, value);
	if (old)
		until += strcspn(until, "\n") + (until[strcspn(until, "\n")] == '\n');
	text_add(&out, "%s", until);
	return text_take(&out);
}

int cluster_node_check(const char *name, const char *address, struct vmm_error **err)
{
	if (!name || !config_node_name(name) || strlen(name) + strlen("node ") > CONFIG_NAME_LIMIT)
		return error_set(err, VMM_USAGE, "bad-name",
				 "\"%s\" cannot be the name of a node (letters, digits, '-' and '_')",
				 name ? name : "");
	if (!address || !config_address(address))
		return error_set(err, VMM_USAGE, "bad-name", "\"%s\" is neither a host name nor an address",
				 address ? address : "");
	return 0;
}

static bool is_set(struct json_object *config, const char *name, const char *key, const char *value)
{
	struct json_object *old = json_member(json_member(json_at(config, "node"), name), key);
	return old && str_same(json_object_get_string(old), value);
}

static int set_key(const char *path, const char *name, const char *key, const char *value, struct vmm_error **err)
{
	vmm_auto_json struct json_object *before = NULL, *after = NULL;
	vmm_auto_free char *text = NULL;
	char real[PATH_MAX];
	struct stat info = {.st_mode = 0644};
	if (cluster_load(path, &before, err) < 0)
		return -1;
	if (is_set(before, name, key, value))
		return 0;
	/* If the path is a symbolic link, write the file that it leads to, and keep the link. */
	const char *to = realpath(path, real) ? real : path;
	if (stat(to, &info) == 0 && file_read(to, CONF_LIMIT, &text, NULL, err) < 0)
		return -1;
	vmm_auto_free char *written = with_key(text ? text : "", name, key, value);
	if (config_parse(path, written, &after, err) < 0)
		return -1;
	return file_write(to, written, strlen(written), info.st_mode & 0777, err);
}

int cluster_note(const char *path, const char *name, const char *key, const char *value, struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path), *lock_path = str_format("%s/.lock", dir);
	vmm_auto_close int lock = file_lock(lock_path, 10000, err);
	return lock < 0 ? -1 : set_key(path, name, key, value, err);
}

int cluster_add_node_at(const char *path, const char *name, const char *address, int port, const char *id,
			struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path), *lock_path = str_format("%s/.lock", dir),
			   *number = str_format("%d", port);
	if (cluster_node_check(name, address, err) < 0 || dir_make(dir, 0755, err) < 0)
		return -1;
	vmm_auto_close int lock = file_lock(lock_path, 10000, err);
	if (lock < 0 || set_key(path, name, "address", address, err) < 0 ||
	    (id && set_key(path, name, "id", id, err) < 0))
		return -1;
	return port ? set_key(path, name, "port", number, err) : 0;
}

int cluster_add_node(const char *path, const char *name, const char *address, struct vmm_error **err)
{
	return cluster_add_node_at(path, name, address, 0, NULL, err);
}

/* ------------------------------------------------------------------ removing a node from the file */

/* The text without the node's section; belongs to the caller. */
static char *without_section(const char *text, const char *name)
{
	vmm_auto_text struct text out = {0};
	vmm_auto_free char *wanted = str_format("node %s", name);
	bool inside = false;
	for (const char *at = text; *at;) {
		size_t length = strcspn(at, "\n"), whole = length + (at[length] == '\n');
		vmm_auto_free char *section = config_section_of(at, length);
		if (section)
			inside = str_same(section, wanted);
		if (!inside)
			text_add_bytes(&out, at, whole);
		at += whole;
	}
	return text_take(&out);
}

int cluster_drop_node(const char *path, const char *name, struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path), *lock_path = str_format("%s/.lock", dir), *text = NULL;
	char real[PATH_MAX];
	struct stat info = {.st_mode = 0644};
	vmm_auto_close int lock = file_lock(lock_path, 10000, err);
	const char *to = realpath(path, real) ? real : path;
	if (lock < 0 || stat(to, &info) < 0 || file_read(to, CONF_LIMIT, &text, NULL, err) < 0)
		return lock < 0 || *err ? -1 : 0;
	vmm_auto_free char *written = without_section(text, name);
	return file_write(to, written, strlen(written), info.st_mode & 0777, err);
}
