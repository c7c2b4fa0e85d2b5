/* facts.c: facts and state of containers, and of LXC on this node (guest_ops->facts, list, state, host_facts). */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "lxc.h"

enum { NETWORKS_MOST = 64 };

/* ------------------------------------------------------------------ networks, mounts */

static char *net_item(struct lxc_container *c, int number, const char *what)
{
	vmm_auto_free char *key = str_format("lxc.net.%d.%s", number, what);
	return lxc_item(c, key);
}

static void add_need(struct json_object *needs, const char *kind, const char *name, const char *use)
{
	if (name && *name)
		json_object_array_add(needs, json_make("kind:s name:s for:s", kind, name, use));
}

/* The link of a veth is a bridge; that of other types is an interface of the host. One of the type "phys" is moved into
 * the container. */
static void add_network(struct lxc_container *c, const char *text, int number, const char *type,
			struct json_object *networks, struct json_object *devices, struct json_object *needs)
{
	static const char use[] = "a network interface";
	vmm_auto_free char *link = net_item(c, number, "link"), *mac = net_item(c, number, "hwaddr"),
			   *pair = net_item(c, number, "veth.pair"), *mtu = net_item(c, number, "mtu"),
			   *up = net_item(c, number, "script.up"), *down = net_item(c, number, "script.down");
	vmm_auto_free char *key = str_format("lxc.net.%d.link", number);
	bool bridge = !strcmp(type, "veth"), included = link && !lxc_text_has(text, key, link);
	add_need(needs, "file", up, use);
	add_need(needs, "file", down, use);
	if (!bridge)
		add_need(needs, "link", link, use);
	if (!strcmp(type, "phys"))
		json_object_array_add(devices, json_make("class:s name:s", "network", link ? link : "?"));
	else if (link || pair)
		json_object_array_add(networks, json_make("type:s name:s mac:s dev:s mtu:i included:b",
							  bridge ? "bridge" : "interface", link, mac, pair,
							  mtu ? atoll(mtu) : (int64_t)0, (int)included));
}

static void add_networks(struct lxc_container *c, const char *text, struct json_object *networks,
			 struct json_object *devices, struct json_object *needs)
{
	for (int number = 0; number < NETWORKS_MOST; number++) {
		vmm_auto_free char *type = net_item(c, number, "type");
		if (type && strcmp(type, "empty") != 0 && strcmp(type, "none") != 0)
			add_network(c, text, number, type, networks, devices, needs);
	}
}

static bool has_option(const char *options, const char *wanted)
{
	size_t length = strlen(wanted);
	for (const char *at = options; at && *at; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == length && !strncmp(at, wanted, length))
			return true;
	return false;
}

/* Adds those of the lines, in fstab's format, whose source is a path of the host. `own`: the text of the config, which
 * may have them or not; NULL: they are in an fstab. */
static void add_mounts(struct json_object *mounts, const char *lines, const char *own)
{
	vmm_auto_free char *copy = str_copy(lines);
	char *rest = copy, *line;
	while ((line = strsep(&rest, "\n"))) {
		char *source = strtok(line, " \t"), *target = strtok(NULL, " \t"), *type = strtok(NULL, " \t"),
		     *options = strtok(NULL, " \t");
		if (!source || !target || *source != '/')
			continue;
		(void)type;
		json_object_array_add(mounts, json_make("source:s target:s optional:b fixed:b", source, target,
							(int)has_option(options, "optional"),
							(int)(!own || !lxc_text_has(own, "lxc.mount.entry", source))));
	}
}

static struct json_object *mounts_of(struct lxc_container *c, const char *own)
{
	struct json_object *mounts = json_object_new_array();
	vmm_auto_free char *entries = lxc_item(c, "lxc.mount.entry"), *fstab = lxc_item(c, "lxc.mount.fstab"),
			   *text = NULL;
	if (entries)
		add_mounts(mounts, entries, own);
	if (fstab && file_read(fstab, 64 << 10, &text, NULL, NULL) == 0)
		add_mounts(mounts, text, NULL);
	return mounts;
}

static struct json_object *lines_of(struct lxc_container *c, const char *key)
{
	struct json_object *lines = json_object_new_array();
	vmm_auto_free char *value = lxc_item(c, key);
	char *rest = value, *line;
	while (rest && (line = strsep(&rest, "\n")))
		if (*line)
			json_object_array_add(lines, json_object_new_string(line));
	return lines;
}

/* The memory limit in bytes, written with or without a suffix ("2G"); 0: none. */
static int64_t memory_of(struct lxc_container *c)
{
	static const char units[] = "KMGT";
	vmm_auto_free char *two = lxc_item(c, "lxc.cgroup2.memory.max"),
			   *one = two ? NULL : lxc_item(c, "lxc.cgroup.memory.limit_in_bytes");
	const char *value = two ? two : one ? one : "";
	char *end;
	int64_t bytes = strtoll(value, &end, 10);
	const char *unit = *end ? strchr(units, *end & ~32) : NULL;
	for (long i = unit ? unit - units + 1 : 0; i > 0; i--)
		bytes *= 1024;
	return bytes > 0 ? bytes : 0;
}

/* The highest CPU number in a list like "0-3,7"; -1 where there is none. */
static int pinned_of(struct lxc_container *c)
{
	vmm_auto_free char *cpus = lxc_item(c, "lxc.cgroup2.cpuset.cpus");
	long highest = -1;
	for (char *at = cpus; at && *at;) {
		char *end;
		long number = strtol(at, &end, 10);
		highest = end != at && number > highest ? number : highest;
		at = *end ? end + 1 : end;
	}
	return (int)highest;
}

/* ------------------------------------------------------------------ the definition */

static int definition_of(struct guest_host *host, struct lxc_container *c, struct json_object *volumes,
			 struct lxc_extra_files *extra, char **definition, struct vmm_error **err)
{
	vmm_auto_free char *directory = lxc_directory(host, c->name), *path = lxc_present_config(host, c->name);
	vmm_auto_free char *text = NULL;
	struct stat info, config;
	if (!path || stat(directory, &info) < 0 || stat(path, &config) < 0)
		return error_errno(err, path ? errno : ENOENT, "stat %s", directory);
	if (file_read(path, LXC_CONFIG_MOST, &text, NULL, err) < 0 ||
	    lxc_extra_files_read(directory, volumes, extra, err) < 0)
		return -1;
	vmm_auto_json struct json_object *made =
		json_make("name:s config:s mode:d uid:i gid:i files:O", c->name, text, (int)(info.st_mode & 07777),
			  (int64_t)info.st_uid, (int64_t)info.st_gid, extra->files);
	json_put(made, "config_mode:d config_uid:i config_gid:i", (int)(config.st_mode & 07777), (int64_t)config.st_uid,
		 (int64_t)config.st_gid);
	*definition = str_copy(json_line(made));
	return 0;
}

static const char snapshots_remedy[] = "delete them (lxc-snapshot -n NAME -L, lxc-snapshot -n NAME -d SNAPSHOT), or "
				       "make containers of those that are needed (lxc-copy)";

static int snapshots_of(struct lxc_container *c)
{
	struct lxc_snapshot *list = NULL;
	int count = c->snapshot_list(c, &list);
	for (int i = 0; i < count; i++)
		list[i].free(&list[i]);
	free(list);
	return count > 0 ? count : 0;
}

/* The text of its config, without the files that it includes; belongs to the caller. */
static char *own_text(struct guest_host *host, struct lxc_container *c)
{
	vmm_auto_free char *path = lxc_present_config(host, c->name);
	char *text = NULL;
	return path && file_read(path, LXC_CONFIG_MOST, &text, NULL, NULL) == 0 ? text : str_copy("");
}

static struct json_object *short_facts(struct guest_host *host, struct lxc_container *c)
{
	vmm_auto_free char *active = lxc_active_config(host, c->name), *text = own_text(host, c);
	struct json_object *networks = json_object_new_array(), *devices = json_object_new_array(),
			   *needs = json_object_new_array();
	vmm_auto_free char *autostart = lxc_item(c, "lxc.start.auto");
	add_networks(c, text, networks, devices, needs);
	return json_make(
		"kind:s id:s name:s uuid:s title:s state:s memory:i vcpus:d autostart:b persistent:b volumes:o "
		"networks:o devices:o needs:o aside:b",
		"lxc", c->name, c->name, NULL, NULL, lxc_state_of(c), memory_of(c), 0,
		autostart && strcmp(autostart, "0") != 0, 1, lxc_volumes(host, c), networks, devices, needs,
		(int)!file_there(active));
}

/* Adds the programs and files of the host that the config names, except those in the container's own directory, which
 * are carried with it. lxc.hook.start is not among the keys: LXC runs it inside the container. */
static void add_needs(struct guest_host *host, struct lxc_container *c, struct json_object *needs)
{
	static const char *const keys[][2] = {
		{"lxc.hook.pre-start", "file"}, {"lxc.hook.pre-mount", "file"},	   {"lxc.hook.mount", "file"},
		{"lxc.hook.autodev", "file"},	{"lxc.hook.start-host", "file"},   {"lxc.hook.stop", "file"},
		{"lxc.hook.post-stop", "file"}, {"lxc.mount.fstab", "file"},	   {"lxc.seccomp.profile", "file"},
		{"lxc.include", "file"},	{"lxc.console.logfile", "parent"},
	};
	vmm_auto_free char *directory = lxc_directory(host, c->name), *within = str_format("%s/", directory);
	for (size_t i = 0; i < VMM_COUNT(keys); i++) {
		vmm_auto_json struct json_object *lines = lines_of(c, keys[i][0]);
		json_each (line, lines, "") {
			const char *value = json_text_or(line, "", "");
			vmm_auto_free char *path = str_format("%.*s", (int)strcspn(value, " \t"), value);
			if (*path == '/' && !str_starts(path, within))
				add_need(needs, keys[i][1], path, keys[i][0]);
		}
	}
}

int lxc_facts(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	vmm_auto_free char *definition = NULL;
	if (lxc_load(host, who, &c, err) < 0)
		return -1;
	vmm_auto_extra_files struct lxc_extra_files extra = {0};
	vmm_auto_json struct json_object *found = short_facts(host, c);
	if (definition_of(host, c, json_at(found, "volumes"), &extra, &definition, err) < 0)
		return -1;
	int snapshots = snapshots_of(c);
	bool active = !str_same(json_text(found, "state"), "shutoff");
	json_each (volume, found, "volumes")
		json_put(volume, "open:b", (int)(active && !json_true(volume, "readonly")));
	vmm_auto_free char *profile = lxc_item(c, "lxc.apparmor.profile");
	json_put(found, "managed_save:b snapshots:d job:s pinned:d hugepages:i arch:s machine:s definition:s", 0,
		 snapshots, NULL, pinned_of(c), (int64_t)0, NULL, NULL, definition);
	if (snapshots)
		json_put(found, "snapshots_remedy:s", snapshots_remedy);
	vmm_auto_free char *ephemeral = lxc_item(c, "lxc.ephemeral");
	json_put(found, "ephemeral:b", (int)str_same(ephemeral, "1"));
	vmm_auto_free char *directory = lxc_directory(host, c->name), *text = own_text(host, c);
	json_put(found, "directory:s", directory);
	add_needs(host, c, json_at(found, "needs"));
	json_put(found, "mounts:o idmap:o left:O logs:O apparmor:s cgroup1:b", mounts_of(c, text),
		 lines_of(c, "lxc.idmap"), extra.left, extra.logs, profile,
		 (int)(c->get_config_item(c, "lxc.cgroup", NULL, 0) > 0));
	*facts = json_object_get(found);
	return 0;
}

/* Short facts, with what no other guest may use: paths of writable volumes, MAC addresses. */
static struct json_object *listed(struct guest_host *host, struct lxc_container *c)
{
	struct json_object *guest = short_facts(host, c), *paths = json_object_new_array(),
			   *macs = json_object_new_array(), *reads = json_object_new_array();
	json_each (volume, guest, "volumes")
		if (json_text(volume, "path"))
			json_object_array_add(reads, json_make("path:s", json_text(volume, "path")));
	json_each (volume, guest, "volumes")
		if (json_text(volume, "path") && !json_true(volume, "readonly"))
			json_object_array_add(paths, json_object_get(json_at(volume, "path")));
	json_each (network, guest, "networks")
		if (json_text(network, "mac"))
			json_object_array_add(macs, json_object_get(json_at(network, "mac")));
	json_put(guest, "volumes:o macs:o reads:o", paths, macs, reads);
	return guest;
}

/* With those whose config is inactive: they are arriving here, or have left. */
int lxc_list(struct guest_host *host, struct json_object **guests, struct vmm_error **err)
{
	vmm_auto_json struct json_object *names = NULL, *list = json_object_new_array();
	if (dir_list(((struct lxc_host *)host)->path, &names, err) < 0)
		return -1;
	json_each (item, names, "") {
		const char *id = json_text_or(item, "", "");
		vmm_auto_container struct lxc_container *c = NULL;
		vmm_auto_error struct vmm_error *problem = NULL;
		if (lxc_load(host, id, &c, &problem) < 0) {
			if (!error_is(problem, "no-such-guest"))
				log_warn("%s", problem->message);
			continue;
		}
		json_object_array_add(list, listed(host, c));
	}
	*guests = json_object_get(list);
	return 0;
}

int lxc_state(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err)
{
	vmm_auto_container struct lxc_container *c = NULL;
	vmm_auto_error struct vmm_error *problem = NULL;
	const char *now = "absent";
	if (lxc_load(host, id, &c, &problem) == 0)
		now = lxc_state_of(c);
	else if (!error_is(problem, "no-such-guest")) {
		error_take(err, problem);
		problem = NULL;
		return -1;
	}
	bool held = c && lxc_is_held(id);
	*state = json_make("state:s reason:s complete:b job:s uuid:s persistent:b", now, held ? "held" : "user", 1,
			   NULL, NULL, c != NULL);
	return 0;
}

/* ------------------------------------------------------------------ the host */

/* "5.0.2" is 5000002. */
static int64_t version_number(const char *text)
{
	long major = 0, minor = 0, micro = 0;
	sscanf(text, "%ld.%ld.%ld", &major, &minor, &micro);
	return major * 1000000 + minor * 1000 + micro;
}

int lxc_host_facts(struct guest_host *host, struct json_object **facts, struct vmm_error **err)
{
	(void)err;
	*facts = json_make("up:b version:i path:s guard:s", 1, version_number(lxc_get_version()),
			   ((struct lxc_host *)host)->path, "active");
	return 0;
}
