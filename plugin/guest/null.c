/* null.c: guests that are files, so that the engine can be tested without a hypervisor, ssh or root.
 *
 * Each node's machine is a directory (guest_env.null_root); the machines of one test are side by side in a directory
 * <dir>. A guest is the file <root>/guests/ID.json: {"definition": text, "state", "autostart", "reason": why it is off,
 * "transient": it is gone when it is off, "managed_save", "job", "moments": as their facts, "memory": a text that each
 *start makes anew and that a migration moves}. Its definition is JSON:
 *{"id","name","uuid","memory","volumes","behaviours"}.
 *
 * While a guest runs, the file <dir>/running-UUID exists. If that file is there already when a guest starts, the guest
 * would run twice, and the process ends with a message: that must never happen.
 *
 * "behaviours" makes a guest misbehave:
 *	deaf		it ignores the shutdown request; only `force` ends it
 *	no-start	a held start fails
 *	unknown-storage	its memory moves only where the order vouches for its storage
 *	dies		it powers off as soon as it is released
 *	break		the migration fails midway: the source's guest runs on, the target's stays incomplete
 *	finish-lost	the memory arrives, but the source's guest runs again and the migration fails
 *	source-lost	the memory arrives and the source's process ends, but the migration fails
 *	source-dies	the source's process ends before all of the memory has arrived, and the migration fails
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "guest/guest.h"

struct null_host {
	struct guest_host base;
	char *root;
};

static const char *root_of(struct guest_host *host)
{
	return ((struct null_host *)host)->root;
}

/* The path of the guest that has the UUID `who`, or NULL. */
static char *path_of_uuid(const char *root, const char *who)
{
	vmm_auto_free char *dir = str_format("%s/guests", root), *named = str_format("\"uuid\":\"%s\"", who);
	vmm_auto_json struct json_object *names = NULL;
	if (dir_list(dir, &names, NULL) < 0)
		return NULL;
	json_each (name, names, "") {
		vmm_auto_free char *path = str_format("%s/%s", dir, json_text(name, "")), *text = NULL;
		vmm_auto_json struct json_object *guest = NULL;
		if (str_ends(path, ".json") && file_read(path, 1 << 20, &text, NULL, NULL) == 0 &&
		    json_parse(text, -1, path, &guest, NULL) == 0 &&
		    strstr(json_text_or(guest, "definition", ""), named))
			return str_copy(path);
	}
	return NULL;
}

/* `who` is an id or a UUID. */
static char *null_path(const char *root, const char *who)
{
	char *path = str_format("%s/guests/%s.json", root, who),
	     *found = file_there(path) ? NULL : path_of_uuid(root, who);
	if (found)
		free(path);
	return found ? found : path;
}

static int null_open(const struct guest_env *env, struct guest_host **host, struct vmm_error **err)
{
	if (!env->null_root)
		return error_set(err, VMM_BLOCKED, "null-down", "node %s has no null machine", env->node);
	struct null_host *null = mem_zero(sizeof(*null));
	null->base.ops = &guest_null;
	null->root = str_copy(env->null_root);
	*host = &null->base;
	return 0;
}

static void null_close(struct guest_host *host)
{
	free(((struct null_host *)host)->root);
	free(host);
}

/* *guest is NULL, without an error, where there is no such guest. */
static int null_load(const char *root, const char *id, struct json_object **guest, struct vmm_error **err)
{
	vmm_auto_free char *path = null_path(root, id);
	vmm_auto_free char *text = NULL;
	*guest = NULL;
	if (name_check(id, "guest", err) < 0)
		return -1;
	if (!file_there(path))
		return 0;
	return file_read(path, 1 << 20, &text, NULL, err) < 0 ? -1 : json_parse(text, -1, path, guest, err);
}

static int null_need(const char *root, const char *id, struct json_object **guest, struct vmm_error **err)
{
	if (null_load(root, id, guest, err) < 0)
		return -1;
	return *guest ? 0 : error_set(err, VMM_NOT_FOUND, "no-such-guest", "no guest %s here", id);
}

static int null_save(const char *root, const char *id, struct json_object *guest, struct vmm_error **err)
{
	vmm_auto_free char *path = null_path(root, id), *dir = path_dir(path);
	const char *line = json_line(guest);
	return dir_make(dir, 0700, err) < 0 ? -1 : file_write(path, line, strlen(line), 0600, err);
}

static struct json_object *definition_of(struct json_object *guest)
{
	struct json_object *definition = NULL;
	json_parse(json_text_or(guest, "definition", "{}"), -1, "definition", &definition, NULL);
	return definition;
}

static bool has_behaviour(struct json_object *guest, const char *behaviour)
{
	vmm_auto_json struct json_object *definition = definition_of(guest);
	return json_has(definition, "behaviours", behaviour);
}

/* ---------------------------------------------------------------- a guest must never run twice */

static char *running_path(const char *root, struct json_object *guest)
{
	vmm_auto_json struct json_object *definition = definition_of(guest);
	vmm_auto_free char *dir = path_dir(root);
	return str_format("%s/running-%s", dir, json_text_or(definition, "uuid", "none"));
}

static void mark_running(const char *root, struct json_object *guest)
{
	vmm_auto_free char *path = running_path(root, guest);
	vmm_auto_close int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0) {
		fprintf(stderr, "a guest runs twice: %s: %s\n", path, strerror(errno));
		abort();
	}
}

static void mark_stopped(const char *root, struct json_object *guest)
{
	vmm_auto_free char *path = running_path(root, guest);
	unlink(path);
}

/* Changes the guest's state. */
static int null_enter(const char *root, const char *id, struct json_object *guest, const char *state,
		      const char *reason, struct vmm_error **err)
{
	bool was = str_same(json_text(guest, "state"), "running"), will = !strcmp(state, "running");
	if (was && !will)
		mark_stopped(root, guest);
	if (!was && will)
		mark_running(root, guest);
	json_put(guest, "state:s reason:s", state, reason);
	if (!json_true(guest, "transient") || strcmp(state, "shutoff") != 0)
		return null_save(root, id, guest, err);
	vmm_auto_free char *path = null_path(root, id);
	return file_remove(path, err);
}

/* ---------------------------------------------------------------- facts */

static int null_host_facts(struct guest_host *host, struct json_object **facts, struct vmm_error **err)
{
	(void)host, (void)err;
	*facts = json_make("up:b version:d libvirt:d guard:s", 1, 1, 1, "active");
	return 0;
}

static struct json_object *facts_of(const char *id, struct json_object *guest)
{
	vmm_auto_json struct json_object *definition = definition_of(guest);
	return json_make("kind:s id:s name:s uuid:s title:s state:s persistent:b autostart:b managed_save:b "
			 "job:s moments:O memory:i vcpus:d pinned:d "
			 "volumes:O networks:O needs:O "
			 "definition:s",
			 "null", id, json_text(definition, "name"), json_text(definition, "uuid"),
			 json_text(definition, "title"), json_text_or(guest, "state", "shutoff"),
			 (int)!json_true(guest, "transient"), (int)json_true(guest, "autostart"),
			 (int)json_true(guest, "managed_save"), json_text(guest, "job"), json_at(guest, "moments"),
			 json_number(definition, "memory"), 1, -1, json_at(definition, "volumes"),
			 json_at(definition, "networks"), json_at(definition, "needs"), json_text(guest, "definition"));
}

static int null_list(struct guest_host *host, struct json_object **guests, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/guests", root_of(host));
	vmm_auto_json struct json_object *names = NULL;
	if (dir_list(dir, &names, err) < 0)
		return -1;
	*guests = json_object_new_array();
	json_each (name, names, "") {
		const char *file = json_text(name, "");
		vmm_auto_free char *id = str_format("%.*s", (int)strlen(file) - 5, file);
		vmm_auto_json struct json_object *guest = NULL;
		if (!str_ends(file, ".json") || null_load(root_of(host), id, &guest, NULL) < 0 || !guest)
			continue;
		struct json_object *facts = facts_of(id, guest), *paths = json_object_new_array(),
				   *macs = json_object_new_array();
		json_each (volume, facts, "volumes")
			json_object_array_add(paths, json_object_get(json_at(volume, "path")));
		json_each (network, facts, "networks")
			json_object_array_add(macs, json_object_get(json_at(network, "mac")));
		struct json_object *reads = json_object_new_array();
		json_each (volume, facts, "volumes")
			json_object_array_add(reads, json_object_get(volume));
		json_put(facts, "volumes:o macs:o reads:o", paths, macs, reads);
		json_object_array_add(*guests, facts);
	}
	return 0;
}

static int null_facts(struct guest_host *host, const char *who, struct json_object **facts, struct vmm_error **err)
{
	vmm_auto_json struct json_object *guest = NULL;
	if (null_need(root_of(host), who, &guest, err) < 0)
		return -1;
	vmm_auto_json struct json_object *definition = definition_of(guest);
	*facts = facts_of(json_text_or(definition, "id", who), guest);
	return 0;
}

static int null_fit(struct guest_host *host, struct json_object *guest, struct json_object **fit,
		    struct vmm_error **err)
{
	(void)host, (void)guest, (void)err;
	*fit = json_make("machine:b cpu:s", 1, "ok");
	return 0;
}

static int null_state(struct guest_host *host, const char *id, struct json_object **state, struct vmm_error **err)
{
	vmm_auto_json struct json_object *guest = NULL;
	if (null_load(root_of(host), id, &guest, err) < 0)
		return -1;
	const char *now = guest ? json_text_or(guest, "state", "shutoff") : "absent";
	bool incoming = !strcmp(now, "incoming");
	vmm_auto_json struct json_object *definition = definition_of(guest);
	*state = json_make("state:s complete:b persistent:b uuid:s reason:s", incoming ? "paused" : now,
			   (int)!strcmp(now, "paused"), 1, json_text(definition, "uuid"),
			   incoming ? "migration" : json_text_or(guest, "reason", "user"));
	return 0;
}

/* ---------------------------------------------------------------- definition and power */

static int null_rewrite(const char *definition, struct json_object *volumes, char **rewritten, struct vmm_error **err)
{
	vmm_auto_json struct json_object *json = NULL;
	if (json_parse(definition, -1, "definition", &json, err) < 0)
		return -1;
	json_each (volume, json, "volumes")
		json_each (change, volumes, "")
			if (str_same(json_text(volume, "target"), json_text(change, "target")))
				json_put(volume, "path:s", json_text(change, "path"));
	*rewritten = str_copy(json_line(json));
	return 0;
}

static int null_define(struct guest_host *host, const char *definition, struct vmm_error **err)
{
	vmm_auto_json struct json_object *json = NULL, *guest = NULL;
	const char *id;
	if (json_parse(definition, -1, "definition", &json, err) < 0 ||
	    json_need(json, "id", "definition", &id, err) < 0 || null_load(root_of(host), id, &guest, err) < 0)
		return -1;
	if (!guest)
		guest = json_make("state:s autostart:b", "shutoff", 0);
	json_put(guest, "definition:s", definition);
	return null_save(root_of(host), id, guest, err);
}

static int null_undefine(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_json struct json_object *guest = NULL;
	if (null_load(root_of(host), id, &guest, err) < 0)
		return -1;
	if (guest && !str_same(json_text(guest, "state"), "shutoff"))
		return error_set(err, VMM_FAILED, "guest-state", "guest %s is not stopped", id);
	vmm_auto_free char *path = null_path(root_of(host), id);
	return file_remove(path, err);
}

static int null_moments(struct guest_host *host, const char *id, struct json_object **moments, struct vmm_error **err)
{
	vmm_auto_json struct json_object *guest = NULL;
	if (null_need(root_of(host), id, &guest, err) < 0)
		return -1;
	struct json_object *found = json_at(guest, "moments");
	*moments = found ? json_object_get(found) : json_object_new_array();
	return 0;
}

static int null_define_moments(struct guest_host *host, const char *id, struct json_object *moments,
			       struct json_object *changes, struct vmm_error **err)
{
	(void)changes;
	vmm_auto_json struct json_object *guest = NULL;
	if (null_need(root_of(host), id, &guest, err) < 0)
		return -1;
	json_put(guest, "moments:O", moments);
	return null_save(root_of(host), id, guest, err);
}

static int null_autostart(struct guest_host *host, const char *id, bool on, struct vmm_error **err)
{
	vmm_auto_json struct json_object *guest = NULL;
	if (null_need(root_of(host), id, &guest, err) < 0)
		return -1;
	if (on && json_true(guest, "transient"))
		return error_set(err, VMM_FAILED, "unsupported", "guest %s is transient: it has no autostart", id);
	json_put(guest, "autostart:b", (int)on);
	return null_save(root_of(host), id, guest, err);
}

static int null_start(struct guest_host *host, const char *id, bool held, struct vmm_error **err)
{
	vmm_auto_json struct json_object *guest = NULL;
	if (null_need(root_of(host), id, &guest, err) < 0)
		return -1;
	if (held && has_behaviour(guest, "no-start"))
		return error_set(err, VMM_FAILED, "start-failed", "guest %s cannot be started here", id);
	vmm_auto_free char *memory = random_hex(8);
	json_put(guest, "memory:s", memory);
	return null_enter(root_of(host), id, guest, held ? "paused" : "running", NULL, err);
}

static int null_release(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_json struct json_object *guest = NULL;
	if (null_need(root_of(host), id, &guest, err) < 0)
		return -1;
	if (!str_same(json_text(guest, "state"), "paused"))
		return error_set(err, VMM_FAILED, "guest-state", "guest %s is not held", id);
	if (null_enter(root_of(host), id, guest, "running", NULL, err) < 0)
		return -1;
	return has_behaviour(guest, "dies") ? null_enter(root_of(host), id, guest, "shutoff", "crashed", err) : 0;
}

static int null_destroy(struct guest_host *host, const char *id, struct vmm_error **err)
{
	vmm_auto_json struct json_object *guest = NULL;
	if (null_load(root_of(host), id, &guest, err) < 0)
		return -1;
	return guest ? null_enter(root_of(host), id, guest, "shutoff", "destroyed", err) : 0;
}

static int null_stop(struct guest_host *host, const char *id, int limit_ms, bool force, bool (*cancelled)(void *),
		     void *context, struct vmm_error **err)
{
	(void)limit_ms, (void)cancelled, (void)context;
	vmm_auto_json struct json_object *guest = NULL;
	if (null_need(root_of(host), id, &guest, err) < 0)
		return -1;
	if (has_behaviour(guest, "deaf") && !force)
		return error_set(err, VMM_FAILED, "shutdown-timeout", "guest %s did not shut down in time", id);
	return null_enter(root_of(host), id, guest, "shutoff", "shutdown", err);
}

/* ---------------------------------------------------------------- memory */

/* The directory that plays the target's machine. */
static char *null_peer(const char *root, const char *peer)
{
	vmm_auto_free char *dir = path_dir(root);
	return str_format("%s/%s", dir, peer);
}

static int null_migrate(struct guest_host *host, const struct guest_migration *migration, struct vmm_error **err)
{
	const char *root = root_of(host), *id = migration->id;
	vmm_auto_free char *peer = null_peer(root, migration->peer);
	vmm_auto_json struct json_object *here = NULL, *there = NULL, *definition = NULL;
	if (null_need(root, id, &here, err) < 0)
		return -1;
	definition = definition_of(here);
	id = json_text_or(definition, "id", id);
	if (str_same(json_text(here, "state"), "shutoff"))
		return error_set(err, VMM_FAILED, "guest-state", "guest %s does not run", id);
	if (has_behaviour(here, "unknown-storage") && !migration->unsafe)
		return error_set(err, VMM_BLOCKED, "unsafe-cache", "the storage of guest %s is not known as shared",
				 id);
	there = json_make("state:s autostart:b transient:b definition:s", "incoming", 0,
			  (int)json_true(here, "transient"),
			  migration->definition ? migration->definition : json_text(here, "definition"));
	if (null_save(peer, id, there, err) < 0)
		return -1;
	for (int step = 0; step < 4; step++) {
		struct guest_progress progress = {.done = (uint64_t)step * 25, .total = 100, .downtime_ms = -1};
		if (migration->progress && !migration->progress(migration->context, &progress)) {
			vmm_auto_free char *path = null_path(peer, id);
			unlink(path);
			return error_set(err, VMM_CANCELLED, "cancelled", "migration of %s was cancelled", id);
		}
		if (step == 2 && has_behaviour(here, "source-dies"))
			return null_enter(root, id, here, "shutoff", "crashed", err) < 0
				       ? -1
				       : error_set(err, VMM_FAILED, "link-lost", "the process of guest %s has ended",
						   id);
		if (step == 2 && has_behaviour(here, "break"))
			return error_set(err, VMM_FAILED, "migration-failed", "memory of %s did not arrive", id);
	}
	if (null_enter(root, id, here, "paused", NULL, err) < 0)
		return -1;
	json_put(there, "state:s memory:s", "paused", json_text(here, "memory"));
	if (null_save(peer, id, there, err) < 0)
		return -1;
	if (has_behaviour(here, "finish-lost")) {
		null_enter(root, id, here, "running", NULL, NULL);
		return error_set(err, VMM_FAILED, "link-lost", "guest %s: the answer to the last step was lost", id);
	}
	if (null_enter(root, id, here, "shutoff", "crashed", err) < 0)
		return -1;
	if (has_behaviour(here, "source-lost"))
		return error_set(err, VMM_FAILED, "link-lost", "the process of guest %s has ended", id);
	json_put(here, "reason:s", "migrated");
	return json_true(here, "transient") ? 0 : null_save(root, id, here, err);
}

static int null_migrate_abort(struct guest_host *host, const char *id, struct vmm_error **err)
{
	(void)host, (void)id, (void)err;
	return 0;
}

const struct guest_ops guest_null = {
	.kind = "null",
	.label = "null guest",
	.edit = "its file",
	.resume = "its file",
	.open = null_open,
	.close = null_close,
	.host_facts = null_host_facts,
	.list = null_list,
	.facts = null_facts,
	.fit = null_fit,
	.state = null_state,
	.rewrite = null_rewrite,
	.define = null_define,
	.undefine = null_undefine,
	.moments = null_moments,
	.define_moments = null_define_moments,
	.autostart = null_autostart,
	.start = null_start,
	.release = null_release,
	.stop = null_stop,
	.destroy = null_destroy,
	.migrate = null_migrate,
	.migrate_abort = null_migrate_abort,
};
