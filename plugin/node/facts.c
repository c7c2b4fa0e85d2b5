/* facts.c: says what this node is and has, and what it knows of a guest. Changes nothing. */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "node/seeds.h"

/* Bytes of a line "Name:   123 kB" of /proc/meminfo; 0 if there is no such line. */
static int64_t meminfo(const char *text, const char *name)
{
	const char *line = strstr(text, name);
	return line ? strtoll(line + strlen(name), NULL, 10) * 1024 : 0;
}

static bool is_mounted(const char *mounts, const char *point)
{
	vmm_auto_free char *pattern = str_format(" %s ", point);
	return strstr(mounts, pattern) != NULL;
}

/* Another manager on this node that owns the definitions of its guests, and would undo what we define; or NULL. */
static const char *manager(void)
{
	vmm_auto_free char *mounts = NULL;
	if (file_read("/proc/mounts", 4 << 20, &mounts, NULL, NULL) == 0 && is_mounted(mounts, "/etc/pve"))
		return "pve";
	if (file_there("/run/vdsm/vdsmd.pid"))
		return "vdsm";
	return file_there("/run/nova/nova-compute.pid") || file_there("/etc/nova/nova-compute.conf") ? "nova" : NULL;
}

/* Does this node track connections, also those of frames that a bridge forwards? */
static bool bridge_conntrack(void)
{
	vmm_auto_free char *call = NULL, *count = NULL, *modules = NULL;
	if (file_read("/proc/sys/net/netfilter/nf_conntrack_count", 32, &count, NULL, NULL) < 0 || atoi(count) == 0)
		return false;
	if (file_read("/proc/sys/net/bridge/bridge-nf-call-iptables", 16, &call, NULL, NULL) == 0 && *call == '1')
		return true;
	return file_read("/proc/modules", 1 << 20, &modules, NULL, NULL) == 0 &&
	       strstr(modules, "nf_conntrack_bridge ");
}

/* Of a node of a test: the JSON array in the file NULL_ROOT/addresses, if there is one. */
static struct json_object *null_addresses(const char *null_root)
{
	vmm_auto_free char *path = str_format("%s/addresses", null_root), *text = NULL;
	struct json_object *found = NULL;
	if (file_read(path, 64 << 10, &text, NULL, NULL) < 0 || json_parse(text, -1, path, &found, NULL) < 0)
		return json_object_new_array();
	return found;
}

/* The text of an IP address at which other nodes can reach this one, or false: not those of the loopback interface, of
 * an interface that is down or has no link, and those that are valid on one link only (with "%INTERFACE"). */
static bool address_text(const struct ifaddrs *one, char text[NI_MAXHOST])
{
	int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;
	socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if ((family != AF_INET && family != AF_INET6) || !(one->ifa_flags & IFF_UP) ||
	    !(one->ifa_flags & IFF_RUNNING) || (one->ifa_flags & IFF_LOOPBACK))
		return false;
	return getnameinfo(one->ifa_addr, size, text, NI_MAXHOST, NULL, 0, NI_NUMERICHOST) == 0 && !strchr(text, '%');
}

static struct json_object *addresses(const struct node_paths *paths)
{
	if (paths->null_root)
		return null_addresses(paths->null_root);
	struct json_object *found = json_object_new_array();
	struct ifaddrs *all = NULL;
	if (getifaddrs(&all) < 0)
		return found;
	for (struct ifaddrs *one = all; one; one = one->ifa_next) {
		char text[NI_MAXHOST];
		if (address_text(one, text))
			json_object_array_add(found, json_object_new_string(text));
	}
	freeifaddrs(all);
	return found;
}

/* The number in a file of sysfs; 0 where it cannot be read. */
static int64_t sysfs_number(const char *path)
{
	vmm_auto_free char *text = NULL;
	return file_read(path, 64, &text, NULL, NULL) < 0 ? 0 : strtoll(text, NULL, 10);
}

/* The number of the highest CPU that is online, by a list such as "0-3,8-11". */
static int cpu_highest(void)
{
	vmm_auto_free char *online = NULL;
	if (file_read("/sys/devices/system/cpu/online", 4096, &online, NULL, NULL) < 0)
		return (int)sysconf(_SC_NPROCESSORS_ONLN) - 1;
	size_t last = strlen(online);
	while (last && !strchr(",-", online[last - 1]))
		last--;
	return atoi(online + last);
}

/* Pools of huge pages are directories like hugepages-2048kB. */
static struct json_object *hugepages(void)
{
	static const char root[] = "/sys/kernel/mm/hugepages";
	vmm_auto_json struct json_object *all = NULL;
	struct json_object *found = json_object_new_array();
	long kilobytes;
	if (dir_list(root, &all, NULL) < 0)
		return found;
	json_each (item, all, "") {
		const char *name = json_text_or(item, "", "");
		vmm_auto_free char *path = str_format("%s/%s/free_hugepages", root, name);
		if (sscanf(name, "hugepages-%ldkB", &kilobytes) == 1)
			json_object_array_add(found, json_make("size:i free:i", (int64_t)kilobytes * 1024,
							       sysfs_number(path) * kilobytes * 1024));
	}
	return found;
}

static struct json_object *node_part(struct local_node *node)
{
	struct utsname uts;
	uname(&uts);
	vmm_auto_free char *meminfo_text = NULL;
	if (file_read("/proc/meminfo", 64 << 10, &meminfo_text, NULL, NULL) < 0)
		meminfo_text = str_copy("");
	vmm_auto_free char *maintenance = str_format("%s/maintenance", node->paths->etc);
	struct json_object *own = json_member(json_at(node->config, "node"), node->base.name);
	/* Who let a node in is each node's own matter. */
	vmm_auto_json struct json_object *known = json_copy(json_at(node->config, "node"));
	if (known) {
		json_object_object_foreach(known, name, section)
		{
			(void)name;
			json_object_object_del(section, "introduced_by");
		}
	}
	const char *nodes = json_line(known), *storages = json_line(json_at(node->config, "storage"));
	uint32_t digest = crc32c(crc32c(0, nodes, strlen(nodes)), storages, strlen(storages));
	struct json_object *part =
		json_make("name:s version:s arch:s time_us:i cpus:d memory_total:i memory_free:i "
			  "maintenance:b manager:s config:i bridge_conntrack:b",
			  node->base.name, VMM_VERSION, uts.machine, clock_now_us(), (int)sysconf(_SC_NPROCESSORS_ONLN),
			  meminfo(meminfo_text, "MemTotal:"), meminfo(meminfo_text, "MemAvailable:"),
			  (int)(file_there(maintenance) || json_true(own, "maintenance")), manager(), (int64_t)digest,
			  (int)bridge_conntrack());
	json_put(part, "addresses:o hugepages:o cpu_highest:d", addresses(node->paths), hugepages(), cpu_highest());
	json_append(part, "protocol", json_object_new_int(VMM_PROTOCOL_MAJOR));
	json_append(part, "protocol", json_object_new_int(VMM_PROTOCOL_MINOR));
	return part;
}

/* Names of bridges: the interfaces that have a directory bridge/ in sysfs. */
static struct json_object *bridges(void)
{
	vmm_auto_json struct json_object *all = NULL;
	struct json_object *found = json_object_new_array();
	if (dir_list("/sys/class/net", &all, NULL) < 0)
		return found;
	json_each (item, all, "") {
		vmm_auto_free char *path = str_format("/sys/class/net/%s/bridge", json_text(item, ""));
		if (file_there(path))
			json_object_array_add(found, json_object_get(item));
	}
	return found;
}

/* All interfaces. */
static struct json_object *links(void)
{
	vmm_auto_json struct json_object *all = NULL;
	struct json_object *found = json_object_new_array();
	if (dir_list("/sys/class/net", &all, NULL) < 0)
		return found;
	json_each (item, all, "") {
		vmm_auto_free char *path = str_format("/sys/class/net/%s/mtu", json_text(item, ""));
		if (file_there(path)) /* not a control file such as bonding_masters */
			json_object_array_add(found,
					      json_make("name:s mtu:i", json_text(item, ""), sysfs_number(path)));
	}
	return found;
}

static void add_records(struct local_node *node, struct json_object *guests)
{
	json_each (guest, guests, "") {
		vmm_auto_free char *key = guest_record_name(guest);
		vmm_auto_record struct guest_record record = {0};
		if (record_read(node->paths->state, key, &record, NULL) == 0 && record.guest)
			json_put(guest, "record:o", record_to_json(&record));
		json_put(guest, "node:s", node->base.name);
	}
}

/* In tests (null_root is set) a node has null guests only; any other node has all kinds but those. */
static bool has_kind(struct local_node *node, const struct guest_ops *ops)
{
	return (ops == &guest_null) == (node->paths->null_root != NULL);
}

/* All guests of a kind, and facts of its host unless `facts` is NULL. */
static int ask_host(struct local_node *node, const struct guest_ops *ops, struct json_object **facts,
		    struct json_object **list, struct vmm_error **err)
{
	struct guest_host *host = NULL;
	int done = local_host_open(node, ops, &host, err);
	if (done == 0 && facts)
		done = ops->host_facts(host, facts, err);
	if (done == 0)
		done = ops->list(host, list, err);
	local_host_close(node, host);
	return done;
}

/* Adds all guests to `guests`, and facts of each kind's host to `hosts` (or NULL). If a kind does not answer, its error
 * is in its facts instead, and in `errors` (or NULL). */
static void ask_hosts(struct local_node *node, struct json_object *hosts, struct json_object *errors,
		      struct json_object *guests)
{
	for (size_t i = 0; guest_kinds[i]; i++) {
		const struct guest_ops *ops = guest_kinds[i];
		vmm_auto_json struct json_object *facts = NULL, *list = NULL;
		struct vmm_error *problem = NULL;
		if (!has_kind(node, ops))
			continue;
		if (ask_host(node, ops, hosts ? &facts : NULL, &list, &problem) < 0) {
			json_object_put(facts);
			facts = json_make("up:b error:o", 0, error_to_json(problem));
			if (errors)
				json_object_array_add(errors, json_object_get(json_at(facts, "error")));
			error_clear(&problem);
		}
		if (hosts)
			json_object_object_add(hosts, ops->kind, json_object_get(facts));
		json_each (guest, list, "")
			json_object_array_add(guests, json_object_get(guest));
	}
	add_records(node, guests);
}

int local_guests(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)args, (void)err;
	struct json_object *guests = json_object_new_array(), *errors = json_object_new_array();
	ask_hosts(node, NULL, errors, guests);
	*reply = json_make("guests:o errors:o", guests, errors);
	return 0;
}

/* Adds "stands_on" (storage.h) to a volume whose image has a backing or a data file. */
static void add_files_below(struct json_object *volume, struct json_object *storages)
{
	if (!json_text(volume, "backing") && !json_text(volume, "data_file"))
		return;
	vmm_auto_json struct json_object *chain =
		image_chain(json_text(volume, "path"), json_text_or(volume, "format", "raw"));
	json_each (file, chain, "") {
		struct json_object *storage;
		vmm_auto_error struct vmm_error *problem = NULL;
		if (file_i == 0)
			continue; /* the volume itself */
		json_put(file, "type:s", json_text(volume, "type"));
		if (plain_describe(file, &problem) < 0 || storage_at(file, storages, &storage, &problem) < 0)
			log_warn("%s", problem->message);
		else
			json_put(file, "storage:s sharing:s", json_text(storage, "name"),
				 json_text_or(storage, "sharing", "maybe"));
		json_append(volume, "stands_on", json_object_get(file));
	}
}

/* Adds "opener" (storage.h) to an image that the guest does not have open itself. */
static void add_opener(struct json_object *volume)
{
	const char *path = json_text(volume, "path");
	if (!path || json_true(volume, "open") || json_true(volume, "readonly") || json_true(volume, "directory"))
		return;
	vmm_auto_free char *opener = storage_opener(path);
	if (opener)
		json_put(volume, "opener:s", opener);
}

/* A tree that has a directory of its own on a storage: sets "home" to that. */
static void find_own_directory(struct json_object *guest, struct json_object *volume)
{
	vmm_auto_free char *dir = path_dir(json_text_or(volume, "path", "/"));
	if (json_true(volume, "tree") && !json_text(volume, "home") &&
	    tree_is_own_directory(dir, json_text_or(guest, "id", ""), json_text_or(volume, "target", "")))
		json_put(volume, "home:s", dir);
}

static void describe_volumes(struct json_object *guest, struct json_object *storages)
{
	json_each (volume, guest, "volumes") {
		vmm_auto_error struct vmm_error *problem = NULL;
		if (storage_describe(volume, storages, &problem) < 0) {
			json_put(volume, "error:o", error_to_json(problem));
			continue;
		}
		add_files_below(volume, storages);
		add_opener(volume);
		find_own_directory(guest, volume);
	}
}

/* The guest that was asked for; *guest stays NULL if there is none. Error "ambiguous" if no kind was named and two
 * kinds have a guest of that name. If no kind has it, the first failure of a kind is the error, unless libvirt or LXC
 * is just not there. */
static int find_guest(struct local_node *node, struct json_object *args, struct json_object **guest,
		      struct vmm_error **err)
{
	const char *who = json_text(args, "guest"), *kind = json_text(args, "kind");
	struct vmm_error *trouble = NULL;
	for (size_t i = 0; guest_kinds[i]; i++) {
		const struct guest_ops *ops = guest_kinds[i];
		struct guest_host *host = NULL;
		struct json_object *found = NULL;
		struct vmm_error *problem = NULL;
		if (!has_kind(node, ops) || (kind && strcmp(kind, ops->kind)))
			continue;
		if (local_host_open(node, ops, &host, &problem) == 0)
			ops->facts(host, who, &found, &problem);
		local_host_close(node, host);
		if (problem && error_is(problem, "no-such-guest"))
			error_clear(&problem);
		else if (problem)
			error_take(&trouble, problem);
		if (found && *guest) {
			json_object_put(found);
			error_clear(&trouble);
			error_set(err, VMM_USAGE, "ambiguous", "%s is the name of a %s and of a %s", who,
				  json_text_or(*guest, "kind", "?"), ops->kind);
			return error_hint(err, "say which: %s/%s or %s/%s", json_text_or(*guest, "kind", "?"), who,
					  ops->kind, who);
		}
		if (found)
			*guest = found;
	}
	if (*guest || !trouble || error_is(trouble, "target-libvirt-down") || error_is(trouble, "target-lxc-missing")) {
		error_clear(&trouble);
		return 0;
	}
	error_take(err, trouble);
	return -1;
}

static int add_fit(struct local_node *node, struct json_object *reply, struct json_object *args,
		   struct json_object *guests, struct json_object *storages, struct vmm_error **err)
{
	struct json_object *guest = json_at(args, "fit");
	const struct guest_ops *ops = guest_kind(json_text_or(guest, "kind", ""));
	struct guest_host *host = NULL;
	struct json_object *fit = NULL;
	struct vmm_error *problem = NULL;
	if (!ops)
		return error_set(err, VMM_USAGE, "malformed", "guests of kind \"%s\" are not known on %s",
				 json_text_or(guest, "kind", "?"), node->base.name);
	if (local_host_open(node, ops, &host, &problem) < 0 || ops->fit(host, guest, &fit, &problem) < 0) {
		fit = json_make("error:o", error_to_json(problem));
		error_clear(&problem);
	}
	local_host_close(node, host);
	json_put(fit, "volumes:o needs:o", local_destinations(guest, guests, storages, json_at(args, "targetstorage")),
		 local_needs(guest));
	json_put(reply, "fit:o", fit);
	return 0;
}

/* Does a worker on this node work on the task? It holds the lock then. */
static bool worker_alive(struct local_node *node, const char *task)
{
	vmm_auto_error struct vmm_error *problem = NULL;
	vmm_auto_free char *dir = local_task_dir(node, task), *path = str_format("%s/worker.lock", dir);
	if (!file_there(path))
		return false;
	vmm_auto_close int lock = file_lock(path, 0, &problem);
	return lock < 0 && error_is(problem, "locked");
}

static int add_record(struct local_node *node, struct json_object *reply, struct json_object *guest,
		      struct vmm_error **err)
{
	vmm_auto_free char *key = guest_record_name(guest);
	vmm_auto_record struct guest_record record = {0};
	if (record_read(node->paths->state, key, &record, err) < 0)
		return -1;
	json_put(reply, "record:o", record_to_json(&record));
	if (record.state == RECORD_SOURCE)
		json_put(json_at(reply, "record"), "worker_alive:b",
			 (int)worker_alive(node, record.task ? record.task : ""));
	return 0;
}

int local_facts(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *facts = json_object_new_object(), *hosts = json_object_new_object();
	vmm_auto_json struct json_object *guests = json_object_new_array(), *guest = NULL, *storages = NULL;
	ask_hosts(node, hosts, NULL, guests);
	vmm_auto_json struct json_object *pools = json_object_new_array();
	json_object_object_foreach(hosts, kind, host)
	{
		(void)kind;
		json_each (pool, host, "pools")
			json_object_array_add(pools, json_object_get(pool));
	}
	if (storage_list(json_at(node->config, "storage"), pools, &storages, err) < 0)
		return -1;
	if (json_text(args, "guest") && find_guest(node, args, &guest, err) < 0)
		return -1;
	struct json_object *subject = guest ? guest : json_at(args, "fit");
	describe_volumes(guest, storages);
	local_add_users(guest, guests);
	seeds_count(node, storages);
	json_put(facts, "node:o host:O storages:O bridges:o links:o guests:O guest:O", node_part(node), hosts, storages,
		 bridges(), links(), guests, guest);
	if (subject && add_record(node, facts, subject, err) < 0)
		return -1;
	if (json_at(args, "fit") && add_fit(node, facts, args, guests, storages, err) < 0)
		return -1;
	*reply = json_object_get(facts);
	return 0;
}
