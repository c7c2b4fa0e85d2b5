/* config.c: parses vmmigrate.conf to JSON. libinih splits the lines; the tables here define all sections and keys. */
#include <ini.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "cluster/cluster-internal.h"

enum { CONFIG_LIMIT = 1 << 20 };

static const struct config_key node_keys[] = {
	{"address", CONFIG_ADDRESS, NULL, 0, 0,
	 "Name or address that ssh connects to. Without it the node's name is used."},
	{"port", CONFIG_NUMBER, NULL, 1, 65535, "Port of ssh; 22 without it."},
	{"user", CONFIG_NAME, NULL, 0, 0, "User that ssh logs in as; root without it."},
	{"maintenance", CONFIG_FLAG, NULL, 0, 0, "The node takes no guests."},
	{"introduced_by", CONFIG_NODE, NULL, 0, 0,
	 "The node over whose key this one was let in, which vmmigrate notes; without it an administrator did it."},
	{"id", CONFIG_NODE, NULL, 0, 0,
	 "Id of the node, which vmmigrate node add notes: what answers at its address has to have it."},
};

static const struct config_key storage_keys[] = {
	{"kind", CONFIG_CHOICE, "dir|block|network|null", 0, 0,
	 "Kind of its volumes: files, block devices, or disks that QEMU reaches over the network; dir without it."},
	{"path", CONFIG_PATH, NULL, 0, 0,
	 "Directory of the volumes. Without it, that of the libvirt pool of the same name."},
	{"shared", CONFIG_FLAG, NULL, 0, 0,
	 "Whether all nodes see the same volumes there. Checked before each migration; recognised without it."},
	{"keep_seed", CONFIG_KEEP, NULL, 1, 36500,
	 "Whether a volume that has moved away stays as a seed for a faster way back: yes, no, or the number of days."},
};

static const struct config_key migration_keys[] = {
	{"self", CONFIG_NODE, NULL, 0, 0, "Name of this node; the host name up to its first dot without it."},
	{"network", CONFIG_NETWORK, NULL, 0, 0,
	 "Network that carries the memory of insecure migrations, as 192.0.2.0/24."},
	{"type", CONFIG_CHOICE, "secure|insecure", 0, 0, "Whether memory moves encrypted; secure without it."},
	{"data_ports", CONFIG_PORTS, NULL, 0, 0,
	 "TCP ports of this node, as 49216-49279, on which it receives disks over TLS (--data=tls)."},
	{"bwlimit", CONFIG_NUMBER, NULL, 0, INT64_C(1) << 40, "Limit of a migration's rate in KiB/s; 0 is none."},
	{"max_downtime", CONFIG_NUMBER, NULL, 1, 2000000, "Longest pause of a live migration in milliseconds."},
	{"keep_tasks", CONFIG_DURATION, NULL, 0, 0,
	 "How long tasks and their logs are kept, as 30d, 12h or 90m; 30d without it."},
};

static const struct config_key cluster_keys[] = {
	{"joins", CONFIG_CHOICE, "members|administrator", 0, 0,
	 "Who may let another node in here: each node of the cluster, or an administrator of this node only; members "
	 "without it."},
};

const struct config_section config_sections[] = {
	{"node", true, node_keys, VMM_COUNT(node_keys), "A node of the cluster; this node may have a section too."},
	{"storage", true, storage_keys, VMM_COUNT(storage_keys),
	 "A storage whose properties are not to be recognised automatically."},
	{"cluster", false, cluster_keys, VMM_COUNT(cluster_keys), "Who may become a node of the cluster."},
	{"migration", false, migration_keys, VMM_COUNT(migration_keys), "Defaults for migrations from this node."},
};
const size_t config_section_count = VMM_COUNT(config_sections);

/* ------------------------------------------------------------------ the reader */

struct reader {
	const char *file, *at;		      /* at: the rest of the text */
	int line;			      /* number of the line that was read last, from 1 */
	struct json_object *config, *lines;   /* lines: {"[node a]" or "\"port\" of [node a]": its line number} */
	const struct config_section *section; /* the section of that line, or NULL */
	char where[128];		      /* its heading, "[node node2]" */
	struct json_object *into;	      /* its object; belongs to config */
	struct vmm_error *problem;	      /* the first error, or NULL */
};

/* Sets the problem, unless there is one already; returns -1. */
static int malformed(struct reader *r, const char *format, ...) VMM_PRINTF(2, 3);
static int malformed(struct reader *r, const char *format, ...)
{
	if (r->problem)
		return -1;
	va_list args;
	va_start(args, format);
	char *reason;
	if (vasprintf(&reason, format, args) < 0)
		abort();
	va_end(args);
	error_set(&r->problem, VMM_USAGE, "bad-configuration", "%s:%d: %s", r->file, r->line, reason);
	free(reason);
	return -1;
}

/* Takes ownership of `known`, the names that would be right. */
static int malformed_name(struct reader *r, const char *what, const char *name, struct json_object *known)
{
	const char *near = json_suggest(known, name);
	vmm_auto_text struct text all = {0};
	json_each (each, known, "")
		text_add(&all, "%s%s", all.length ? ", " : "", json_text(each, ""));
	malformed(r, "unknown %s \"%s\"", what, name);
	if (near)
		error_hint(&r->problem, "Did you mean \"%s\"?", near);
	else
		error_hint(&r->problem, "There are: %s.", all.data);
	json_object_put(known);
	return -1;
}

/* Remembers the line of a section or key. Returns false, with the problem set, if it was there before. */
static bool is_new(struct reader *r, const char *what)
{
	struct json_object *before = json_member(r->lines, what);
	if (before) {
		malformed(r, "%s is there already, in line %d", what, json_object_get_int(before));
		return false;
	}
	json_object_object_add(r->lines, what, json_object_new_int(r->line));
	return true;
}

/* ------------------------------------------------------------------ values */

bool config_node_name(const char *name)
{
	size_t length = strlen(name);
	return length && length <= CONFIG_NAME_LIMIT && *name != '-' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == length;
}

bool config_address(const char *address)
{
	size_t length = strlen(address);
	return length && length <= 190 && *address != '-' &&
	       strspn(address, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:%") == length;
}

static bool is_choice(const char *value, const char *choices)
{
	size_t length = strlen(value);
	for (const char *at = choices; at; at = strchr(at, '|')) {
		at += *at == '|';
		if (length == strcspn(at, "|") && !strncmp(at, value, length))
			return true;
	}
	return false;
}

static bool is_ports(const char *value)
{
	int first, last, length = 0;
	bool range = sscanf(value, "%5d-%5d%n", &first, &last, &length) == 2 && !value[length];
	if (!range && sscanf(value, "%5d%n", &first, &length) == 1 && !value[length])
		last = first;
	else if (!range)
		return false;
	return strspn(value, "0123456789-") == strlen(value) && first > 0 && first <= last && last <= 65535;
}

static struct json_object *number(const char *value, int64_t least, int64_t most)
{
	size_t digits = strspn(value, "0123456789");
	if (!digits || digits > 15 || value[digits])
		return NULL;
	int64_t number = strtoll(value, NULL, 10);
	return number >= least && number <= most ? json_object_new_int64(number) : NULL;
}

static struct json_object *flag(const char *value)
{
	static const char *const yes[] = {"yes", "true", "on", "1"}, *const no[] = {"no", "false", "off", "0"};
	for (size_t i = 0; i < VMM_COUNT(yes); i++) {
		if (!strcasecmp(value, yes[i]))
			return json_object_new_boolean(1);
		if (!strcasecmp(value, no[i]))
			return json_object_new_boolean(0);
	}
	return NULL;
}

/* Seconds of "30d", "12h", "90m", "45s". */
static struct json_object *duration(const char *value)
{
	static const char units[] = "smhd";
	static const int64_t seconds[] = {1, 60, 3600, 86400};
	size_t digits = strspn(value, "0123456789");
	const char *unit = digits && value[digits] ? strchr(units, value[digits]) : NULL;
	if (!unit || digits > 6 || value[digits + 1])
		return NULL;
	return json_object_new_int64(strtoll(value, NULL, 10) * seconds[unit - units]);
}

static struct json_object *keep(const char *value, int64_t least, int64_t most)
{
	struct json_object *whether = flag(value);
	return whether ? whether : number(value, least, most);
}

static struct json_object *text_if(bool fits, const char *value)
{
	return fits ? json_object_new_string(value) : NULL;
}

/* The value as JSON, or NULL if it is not one of the key's type. *wanted says what it has to be; belongs to the
 * caller. */
static struct json_object *value_of(const struct config_key *key, const char *value, char **wanted)
{
	switch (key->type) {
	case CONFIG_FLAG:
		*wanted = str_copy("yes or no");
		return flag(value);
	case CONFIG_NUMBER:
		*wanted = str_format("a number from %jd to %jd", (intmax_t)key->least, (intmax_t)key->most);
		return number(value, key->least, key->most);
	case CONFIG_DURATION:
		*wanted = str_copy("a number with s, m, h or d: 30d");
		return duration(value);
	case CONFIG_KEEP:
		*wanted = str_format("yes, no, or a number of days from %jd to %jd", (intmax_t)key->least,
				     (intmax_t)key->most);
		return keep(value, key->least, key->most);
	case CONFIG_CHOICE:
		*wanted = str_format("one of %s", key->choices);
		return text_if(is_choice(value, key->choices), value);
	case CONFIG_ADDRESS:
		*wanted = str_copy("a host name or an address");
		return text_if(config_address(value), value);
	case CONFIG_NETWORK:
		*wanted = str_copy("a network: 192.0.2.0/24");
		return text_if(network_is_valid(value), value);
	case CONFIG_PORTS:
		*wanted = str_copy("a range of ports: 49216-49279");
		return text_if(is_ports(value), value);
	case CONFIG_PATH:
		*wanted = str_copy("an absolute path without \".\" and \"..\"");
		return text_if(path_check(value, key->name, NULL) == 0, value);
	case CONFIG_NODE:
		*wanted = str_copy("letters, digits, '-' and '_'");
		return text_if(config_node_name(value), value);
	case CONFIG_NAME:
		break;
	}
	*wanted = str_copy("a name");
	return text_if(config_node_name(value), value);
}

/* ------------------------------------------------------------------ sections and keys */

static struct json_object *section_names(void)
{
	struct json_object *names = json_object_new_array();
	for (size_t i = 0; i < config_section_count; i++)
		json_object_array_add(names, json_object_new_string(config_sections[i].name));
	return names;
}

static struct json_object *key_names(const struct config_section *section)
{
	struct json_object *names = json_object_new_array();
	for (size_t i = 0; i < section->key_count; i++)
		json_object_array_add(names, json_object_new_string(section->keys[i].name));
	return names;
}

static const struct config_section *section_named(const char *name)
{
	for (size_t i = 0; i < config_section_count; i++)
		if (str_same(config_sections[i].name, name))
			return &config_sections[i];
	return NULL;
}

char *config_section_of(const char *line, size_t length)
{
	while (length && (*line == ' ' || *line == '\t')) {
		line++;
		length--;
	}
	const char *end = length && *line == '[' ? memchr(line, ']', length) : NULL;
	if (!end)
		return NULL;
	const char *from = line + 1 + strspn(line + 1, " \t");
	while (end > from && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return str_format("%.*s", (int)(end > from ? end - from : 0), from);
}

/* Begins the section with that heading: "migration", or "node node2". We find sections ourselves, since libinih reports
 * a section only with its first key, and a section may have none. */
static int begin_section(struct reader *r, const char *heading)
{
	size_t length = strcspn(heading, " \t");
	vmm_auto_free char *kind = str_format("%.*s", (int)length, heading);
	const char *name = heading + length + strspn(heading + length, " \t");
	r->section = section_named(kind);
	r->into = json_member(r->config, kind);
	if (!r->section)
		return malformed_name(r, "section", kind, section_names());
	if (r->section->named != (*name != 0))
		return malformed(r, r->section->named ? "[%s] needs a name: [%s NAME]" : "[%s] has no name", kind,
				 kind);
	if (strlen(heading) > CONFIG_NAME_LIMIT)
		return malformed(r, "[%s]: longer than %d characters", heading, CONFIG_NAME_LIMIT);
	if (*name && (str_same(kind, "node") ? !config_node_name(name) : name_check(name, kind, NULL) < 0))
		return malformed(r, "\"%s\" cannot be the name of a %s (letters, digits, '-' and '_')", name, kind);
	snprintf(r->where, sizeof(r->where), "[%s%s%s]", kind, *name ? " " : "", name);
	if (!is_new(r, r->where))
		return -1;
	if (*name) {
		struct json_object *own = json_object_new_object();
		json_object_object_add(r->into, name, own);
		r->into = own;
	}
	return 0;
}

static int take_key(struct reader *r, const char *name, const char *value)
{
	vmm_auto_free char *where = str_format("\"%s\" of %s", name, r->where), *wanted = NULL;
	if (!r->section)
		return malformed(r, "\"%s\" is before the first [section]", name);
	for (size_t i = 0; i < r->section->key_count; i++) {
		const struct config_key *key = &r->section->keys[i];
		if (!str_same(key->name, name))
			continue;
		if (!is_new(r, where))
			return -1;
		struct json_object *json = value_of(key, value, &wanted);
		if (!json)
			return malformed(r, "%s is \"%s\", but has to be %s", name, value, wanted);
		json_object_object_add(r->into, name, json);
		return 0;
	}
	return malformed_name(r, "key", name, key_names(r->section));
}

/* Callback of libinih, which reads the next line. libinih reports the key of a line before it reads another, so that
 * r->line is right in next_key. */
static char *next_line(char *line, int room, void *context)
{
	struct reader *r = context;
	size_t length = strcspn(r->at, "\n"), skip;
	if (!*r->at || r->problem)
		return NULL;
	const char *text = r->at;
	r->line++;
	r->at += length + (r->at[length] == '\n');
	skip = strspn(text, " \t\r"); /* libinih would take an indented line for the continuation of a value */
	text += skip < length ? skip : length;
	length -= skip < length ? skip : length;
	if (length + 2 > (size_t)room) {
		malformed(r, "the line is longer than %d bytes", room - 2);
		return NULL;
	}
	vmm_auto_free char *section = config_section_of(text, length);
	if (section ? begin_section(r, section) < 0
		    : length && *text == '[' && malformed(r, "a [section] without its ']'"))
		return NULL;
	snprintf(line, (size_t)room, "%.*s\n", (int)length, text);
	return line;
}

/* Callback of libinih for each key; 0 is an error. */
static int next_key(void *context, const char *section, const char *name, const char *value)
{
	(void)section;
	struct reader *r = context;
	return r->problem ? 0 : take_key(r, name, value) == 0;
}

/* ------------------------------------------------------------------ the whole file */

static void sort_by_name(struct json_object *config, const char *key)
{
	vmm_auto_json struct json_object *names = json_object_new_array();
	struct json_object *from = json_member(config, key), *sorted = json_object_new_object();
	json_object_object_foreach(from, name, unused)
	{
		(void)unused;
		json_object_array_add(names, json_object_new_string(name));
	}
	json_object_array_sort(names, config_by_text);
	json_each (each, names, "") {
		const char *at = json_text(each, "");
		json_object_object_add(sorted, at, json_object_get(json_member(from, at)));
	}
	json_object_object_add(config, key, sorted);
}

int config_by_text(const void *a, const void *b)
{
	return strcmp(json_text(*(struct json_object *const *)a, ""), json_text(*(struct json_object *const *)b, ""));
}

int config_parse(const char *file, const char *text, struct json_object **config, struct vmm_error **err)
{
	vmm_auto_json struct json_object *into =
		json_make("node:o storage:o cluster:o migration:o", json_object_new_object(), json_object_new_object(),
			  json_object_new_object(), json_object_new_object());
	vmm_auto_json struct json_object *lines = json_object_new_object();
	struct reader r = {.file = file, .at = text, .config = into, .lines = lines, .where = ""};
	if (str_starts(text, "\xef\xbb\xbf"))
		r.at += 3;
	int line = ini_parse_stream(next_line, &r, next_key, &r);
	if (line > 0) {
		r.line = line;
		malformed(&r, "neither a [section] nor key = value");
	}
	if (r.problem) {
		error_take(err, r.problem);
		return -1;
	}
	sort_by_name(into, "node");
	sort_by_name(into, "storage");
	*config = json_object_get(into);
	return 0;
}

static char *own_name(struct json_object *config)
{
	char host[HOST_NAME_MAX + 1] = "";
	const char *self = json_text(config, "migration.self");
	if (self)
		return str_copy(self);
	gethostname(host, sizeof(host) - 1);
	host[strcspn(host, ".")] = 0;
	return str_copy(host);
}

int cluster_load(const char *path, struct json_object **config, struct vmm_error **err)
{
	vmm_auto_free char *text = NULL;
	struct vmm_error *trouble = NULL;
	size_t length = 0;
	*config = NULL;
	if (file_read(path, CONFIG_LIMIT, &text, &length, &trouble) < 0 && !error_is(trouble, "not-there")) {
		error_take(err, trouble);
		return -1;
	}
	error_clear(&trouble);
	if (text && strlen(text) != length)
		return error_set(err, VMM_USAGE, "bad-configuration", "%s: has a NUL byte, so it is not a text file",
				 path);
	if (config_parse(path, text ? text : "", config, err) < 0)
		return -1;
	vmm_auto_free char *self = own_name(*config);
	json_put(*config, "self:s", self);
	return 0;
}
