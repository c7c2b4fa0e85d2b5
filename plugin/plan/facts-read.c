/* facts-read.c: how checks and the plan read the facts. */
#include <string.h>

#include "plan/checks.h"

void facts_free(struct facts *facts)
{
	json_object_put(facts->request);
	json_object_put(facts->config);
	json_object_put(facts->sharing);
	json_object_put(facts->target_error);
	json_object_put(facts->node[SOURCE]);
	json_object_put(facts->node[TARGET]);
	*facts = (struct facts){0};
}

const char *facts_name(const struct facts *facts, enum side side)
{
	const char *name = json_text_or(facts->node[side], "node.name", side == SOURCE ? "the source" : "the target");
	return side == TARGET ? json_text_or(facts->request, "target", name) : name;
}

struct json_object *facts_guest(const struct facts *facts)
{
	return json_at(facts->node[SOURCE], "guest");
}

const char *facts_kind(const struct facts *facts)
{
	const char *usual = guest_kinds[0]->kind;
	return json_text_or(facts_guest(facts), "kind", json_text_or(facts->request, "kind", usual));
}

const struct guest_ops *facts_ops(const struct facts *facts)
{
	const struct guest_ops *ops = guest_kind(facts_kind(facts));
	return ops ? ops : guest_kinds[0];
}

struct json_object *facts_host(const struct facts *facts, enum side side)
{
	struct json_object *hosts = json_at(facts->node[side], "host");
	return json_member(hosts, facts_kind(facts));
}

char *facts_label(const struct facts *facts)
{
	const char *id = json_text_or(facts_guest(facts), "id", json_text_or(facts->request, "guest", "?"));
	return str_format("%s %s", facts_ops(facts)->label, id);
}

bool facts_option(const struct facts *facts, const char *name)
{
	struct json_object *options = json_at(facts->request, "options");
	return json_true(json_member(options, name), "");
}

const char *facts_memory_address(const struct facts *facts, enum side side)
{
	const char *network = json_text(facts->request, "options.migration_network");
	struct json_object *node = json_member(json_at(facts->config, "node"), facts_name(facts, side));
	vmm_auto_free char *configured = network_of_one(json_text(node, "address"));
	json_each (address, facts->node[side], "node.addresses")
		if (network_has(network ? network : configured, json_text(address, "")))
			return json_text(address, "");
	return NULL;
}

const char *facts_mapped(const struct facts *facts, const char *option, const char *name)
{
	json_each (pair, json_member(json_at(facts->request, "options"), option), "") {
		const char *text = json_text_or(pair, "", ""), *to = strchr(text, '=');
		if (to && strlen(name) == (size_t)(to - text) && !strncmp(text, name, strlen(name)))
			return to + 1;
	}
	return name;
}

bool facts_have_target(const struct facts *facts)
{
	return facts->node[TARGET] && !str_same(facts_name(facts, SOURCE), facts_name(facts, TARGET));
}

bool facts_active(const struct facts *facts)
{
	return !str_same(json_text_or(facts_guest(facts), "state", "shutoff"), "shutoff");
}

bool look_concerns(const struct look *look, struct json_object *thing)
{
	return look->mode != MODE_RESTART || !str_same(json_text(thing, "in"), "live");
}

const char *look_when(const struct look *look, struct json_object *thing)
{
	bool memory = look->mode == MODE_LIVE || look->mode == MODE_PAUSED;
	return memory && str_same(json_text(thing, "in"), "definition") ? " from its next start on" : "";
}

/* ------------------------------------------------------------------ guests that are in the way */

static bool same_text(struct json_object *a, struct json_object *b, const char *key)
{
	const char *one = json_text(a, key);
	return one && str_same(one, json_text(b, key));
}

bool guest_same(const struct facts *facts, struct json_object *other)
{
	struct json_object *guest = facts_guest(facts);
	return str_same(json_text(other, "kind"), facts_kind(facts)) &&
	       (same_text(guest, other, "id") || same_text(guest, other, "name") || same_text(guest, other, "uuid"));
}

const char *facts_directory_proof(const struct facts *facts)
{
	if (!facts_have_target(facts) || !json_text(facts->node[TARGET], "fit.directory"))
		return NULL;
	return json_text_or(facts_guest(facts), "directory_proof", "unproven");
}

bool facts_record_moved_on(const struct facts *facts, struct json_object *record)
{
	int64_t ours = json_number(facts->node[SOURCE], "record.generation"),
		theirs = json_number(record, "generation");
	if (!record || !json_text(record, "owner"))
		return false;
	return theirs < ours || (theirs == ours && str_same(json_text(record, "owner"), facts_name(facts, SOURCE)));
}

bool guest_leftover(const struct facts *facts, struct json_object *other)
{
	struct json_object *guest = facts_guest(facts);
	return str_same(json_text(other, "kind"), facts_kind(facts)) && same_text(guest, other, "id") &&
	       str_same(json_text(guest, "uuid"), json_text(other, "uuid")) &&
	       str_same(json_text(other, "state"), "shutoff") &&
	       (!json_at(other, "aside") || json_true(other, "aside")) &&
	       facts_record_moved_on(facts, json_at(other, "record"));
}

/* ------------------------------------------------------------------ storages */

struct json_object *storage_named(struct json_object *node, const char *name)
{
	json_each (storage, node, "storages")
		if (name && str_same(json_text(storage, "name"), name))
			return storage;
	return NULL;
}

struct json_object *storage_under(struct json_object *node, const char *path)
{
	struct json_object *best = NULL;
	size_t longest = 0;
	if (!path)
		return NULL;
	json_each (storage, node, "storages") {
		const char *root = json_text(storage, "path");
		size_t length = root ? strlen(root) : 0;
		while (length > 1 && root[length - 1] == '/')
			length--;
		bool within = length && !strncmp(path, root, length) && (length == 1 || path[length] == '/');
		if (within && length > longest) {
			best = storage;
			longest = length;
		}
	}
	return best;
}
