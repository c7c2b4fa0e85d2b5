/* two-nodes-check.c: what must hold after every end of a migration, whatever happened before. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes-internal.h"

static void print_log(const char *dir, const char *task)
{
	vmm_auto_free char *path = str_format("%s/%s/log", dir, task);
	vmm_auto_free char *text = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) == 0)
		fprintf(stderr, "---- %s\n%s", path, text);
}

void two_nodes_fail(struct two_nodes *w, const char *format, ...)
{
	char *message;
	va_list args;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		abort();
	va_end(args);
	for (int node = 0; node < NODES; node++) {
		vmm_auto_free char *dir = str_format("%s/tasks", w->machine[node].state);
		vmm_auto_json struct json_object *tasks = NULL;
		dir_list(dir, &tasks, NULL);
		json_each (task, tasks, "")
			print_log(dir, json_text(task, ""));
	}
	fprintf(stderr, "---- %s\n", w->dir);
	fail_msg("%s: %s", w->description, message);
	abort(); /* not reached: fail_msg does not return, which the compiler does not know */
}

/* ------------------------------------------------------------------ records */

static void record_of(struct two_nodes *w, int node, struct guest_record *record)
{
	struct vmm_error *err = NULL;
	if (record_read(w->machine[node].state, "null-" GUEST_UUID, record, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

bool two_nodes_guard_admits(struct two_nodes *w, int node)
{
	vmm_auto_free char *path = str_format("%s/guests/null-" GUEST_UUID, w->machine[node].state);
	vmm_auto_free char *text = NULL;
	return file_read(path, 1 << 16, &text, NULL, NULL) < 0 || strstr(text, "guard=allow");
}

static void check_records(struct two_nodes *w, int at)
{
	static const char *const names[] = {"node1", "node2"};
	int64_t newest = 0;
	for (int node = 0; node < NODES; node++) {
		vmm_auto_record struct guest_record record = {0};
		record_of(w, node, &record);
		if (!record.guest)
			continue;
		if (record.state != RECORD_IDLE || record.task)
			two_nodes_fail(w, "the record on %s is not idle: %s", names[node],
				       json_line(record_to_json(&record)));
		if (!str_same(record.owner, names[at]))
			two_nodes_fail(w, "the guest is on %s, the record on %s says: %s", names[at], names[node],
				       json_line(record_to_json(&record)));
		if (newest && record.generation != newest)
			two_nodes_fail(w, "the records' generations differ");
		newest = record.generation;
	}
	if (!two_nodes_guard_admits(w, at))
		two_nodes_fail(w, "%s has the guest, and its guard refuses a start", names[at]);
	vmm_auto_record struct guest_record other = {0};
	record_of(w, !at, &other);
	if (other.guest && two_nodes_guard_admits(w, !at))
		two_nodes_fail(w, "%s does not have the guest, and its guard admits a start", names[!at]);
}

void two_nodes_check_guards(struct two_nodes *w)
{
	int ready = 0;
	for (int node = 0; node < NODES; node++) {
		vmm_auto_free char *state = guest_state(w, node);
		ready += !str_same(state, "absent") && two_nodes_guard_admits(w, node);
	}
	if (ready > 1)
		two_nodes_fail(w, "the guest could be started on both nodes");
}

/* ------------------------------------------------------------------ leftovers */

static void check_no_strays(struct two_nodes *w, const char *dir)
{
	DIR *names = opendir(dir);
	struct dirent *entry;
	/* If node1 could not be asked to remove its token, the token is still there; it does no harm. */
	bool allow_tokens = w->injected && w->fault.node == NODE1;
	while (names && (entry = readdir(names)))
		if (str_starts(entry->d_name, ".vmmigrate-") &&
		    !(allow_tokens && str_starts(entry->d_name, ".vmmigrate-token-")))
			two_nodes_fail(w, "%s/%s was left behind", dir, entry->d_name);
	if (names)
		closedir(names);
}

static void check_tasks(struct two_nodes *w, int node)
{
	static const char *const transient[] = {"open", "made"};
	vmm_auto_free char *dir = str_format("%s/tasks", w->machine[node].state);
	vmm_auto_json struct json_object *tasks = NULL;
	dir_list(dir, &tasks, NULL);
	json_each (task, tasks, "") {
		vmm_auto_free char *request = str_format("%s/%s/request", dir, json_text(task, ""));
		if (!file_there(request))
			two_nodes_fail(w, "%s/%s was left behind", dir, json_text(task, ""));
		for (size_t i = 0; i < VMM_COUNT(transient); i++) {
			vmm_auto_free char *path = str_format("%s/%s/%s", dir, json_text(task, ""), transient[i]);
			if (file_there(path))
				two_nodes_fail(w, "%s was left behind", path);
		}
	}
}

static void check_volume(struct two_nodes *w, int at, bool shared, unsigned seed)
{
	vmm_auto_free char *elsewhere = str_format("%s/disks/" GUEST ".raw", w->machine[!at].root);
	if (!volume_holds(w, at, shared, seed))
		two_nodes_fail(w, "the guest's volume on node%d is not the newest", at + 1);
	if (file_there(elsewhere))
		two_nodes_fail(w, "%s was left behind", elsewhere);
}

/* ------------------------------------------------------------------ the guest */

int guest_node(struct two_nodes *w)
{
	int at = -1;
	for (int node = 0; node < NODES; node++) {
		vmm_auto_free char *state = guest_state(w, node);
		if (str_same(state, "absent"))
			continue;
		if (at >= 0)
			two_nodes_fail(w, "the guest's definition is on both nodes");
		at = node;
	}
	if (at < 0)
		two_nodes_fail(w, "the guest's definition is on neither node");
	return at;
}

static struct json_object *guest_of(struct two_nodes *w, int node)
{
	vmm_auto_free char *path = str_format("%s/guests/" GUEST ".json", w->machine[node].root);
	vmm_auto_free char *text = NULL;
	struct json_object *guest = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0 || json_parse(text, -1, path, &guest, NULL) < 0)
		two_nodes_fail(w, "%s cannot be read", path);
	return guest;
}

char *guest_memory(struct two_nodes *w, int node)
{
	vmm_auto_json struct json_object *guest = guest_of(w, node);
	return json_text(guest, "memory") ? str_copy(json_text(guest, "memory")) : NULL;
}

bool variant_moves_memory(const struct variant *variant)
{
	return strstr(variant->options, "online") || strstr(variant->options, "non_live");
}

static void check_guest(struct two_nodes *w, int at, const struct variant *variant, bool runs)
{
	vmm_auto_json struct json_object *guest = guest_of(w, at);
	if (!str_same(json_text(guest, "state"), runs ? "running" : "shutoff"))
		two_nodes_fail(w, "the guest is %s on node%d", json_text_or(guest, "state", "?"), at + 1);
	if (json_count(guest, "moments") != 1)
		two_nodes_fail(w, "the guest on node%d has lost its checkpoint", at + 1);
	if (json_true(guest, "transient") != variant->transient)
		two_nodes_fail(w, "the guest on node%d is %s now", at + 1,
			       variant->transient ? "persistent" : "transient");
	if (!json_true(guest, "autostart") && !variant->transient)
		two_nodes_fail(w, "the guest on node%d has lost its autostart", at + 1);
	if (runs && w->memory && variant_moves_memory(variant) && !str_same(json_text(guest, "memory"), w->memory))
		two_nodes_fail(w, "the guest on node%d has lost its memory", at + 1);
}

void two_nodes_check(struct two_nodes *w, const struct variant *variant, bool runs, unsigned seed)
{
	int at = guest_node(w);
	check_guest(w, at, variant, runs);
	check_records(w, at);
	check_volume(w, at, variant->shared, seed);
	for (int node = 0; node < NODES; node++) {
		vmm_auto_free char *disks = str_format("%s/disks", w->machine[node].root);
		check_no_strays(w, disks);
		check_tasks(w, node);
	}
	vmm_auto_free char *shared = str_format("%s/shared", w->dir);
	check_no_strays(w, shared);
}
