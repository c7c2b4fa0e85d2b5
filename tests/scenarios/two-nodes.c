/* two-nodes.c: two machines, a guest, and tasks that move it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "two-nodes-internal.h"

const struct variant variants[] = {
	{.name = "live", .options = "{\"online\":true}", .shared = true, .runs = true},
	{.name = "paused", .options = "{\"non_live\":true}", .shared = true, .runs = true},
	{.name = "restart, local volume", .options = "{\"restart\":true}", .runs = true},
	{.name = "restart, shared volume", .options = "{\"restart\":true}", .shared = true, .runs = true},
	{.name = "offline, local volume", .options = "{}"},
	{.name = "offline, shared volume", .options = "{}", .shared = true},
	{.name = "restart, tree", .options = "{\"restart\":true}", .runs = true, .tree = true},
};
const size_t variant_count = VMM_COUNT(variants);

const struct variant *variant_named(const char *name)
{
	for (size_t i = 0; i < variant_count; i++)
		if (!strcmp(variants[i].name, name))
			return &variants[i];
	fail_msg("no variant %s", name);
	return NULL;
}

static void must(struct two_nodes *w, int done, struct vmm_error *err)
{
	if (done < 0)
		two_nodes_fail(w, "%s", err->message);
}

/* ------------------------------------------------------------------ machines */

/* Where the directory is made: in memory, where that is possible. */
static const char *scratch(void)
{
	const char *chosen = getenv("TMPDIR");
	return chosen ? chosen : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static void machine_make(struct two_nodes *w, int number)
{
	struct machine *machine = &w->machine[number];
	struct vmm_error *err = NULL;
	machine->root = str_format("%s/node%d", w->dir, number + 1);
	char **const dirs[] = {&machine->state, &machine->etc, &machine->run, &machine->hooks};
	static const char *const names[] = {"state", "etc", "run", "hooks"};
	for (size_t i = 0; i < VMM_COUNT(dirs); i++) {
		*dirs[i] = str_format("%s/%s", machine->root, names[i]);
		must(w, dir_make(*dirs[i], 0700, &err), err);
	}
	vmm_auto_free char *disks = str_format("%s/disks", machine->root);
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", machine->etc);
	vmm_auto_free char *text = str_format("[migration]\nself = node%d\n\n[node node1]\n[node node2]\n", number + 1);
	must(w, dir_make(disks, 0700, &err), err);
	must(w, file_write(conf, text, strlen(text), 0600, &err), err);
	machine->paths = (struct node_paths){.state = machine->state,
					     .etc = machine->etc,
					     .run = machine->run,
					     .hooks = machine->hooks,
					     .null_root = machine->root};
}

struct two_nodes *two_nodes_make(void)
{
	struct two_nodes *w = mem_zero(sizeof(*w));
	struct vmm_error *err = NULL;
	vmm_auto_free char *pattern = str_format("%s/vmmigrate-two-nodes-XXXXXX", scratch());
	if (!mkdtemp(pattern))
		fail_msg("%s: %s", pattern, strerror(errno));
	w->dir = str_copy(pattern);
	w->description = str_copy("");
	for (int i = 0; i < NODES; i++)
		machine_make(w, i);
	vmm_auto_free char *shared = str_format("%s/shared", w->dir), *mark = str_format("%s/.shared", shared);
	must(w, dir_make(shared, 0700, &err), err);
	must(w, file_write(mark, "", 0, 0600, &err), err);
	two_nodes_link_root(w, NODE1);
	return w;
}

void two_nodes_free(struct two_nodes *w)
{
	dir_remove(w->dir, NULL);
	for (int i = 0; i < NODES; i++) {
		struct machine *machine = &w->machine[i];
		free(machine->root);
		free(machine->state);
		free(machine->etc);
		free(machine->run);
		free(machine->hooks);
	}
	free(w->memory);
	free(w->task);
	free(w->description);
	free(w->dir);
	free(w);
}

void two_nodes_describe(struct two_nodes *w, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	free(w->description);
	if (vasprintf(&w->description, format, args) < 0)
		abort();
	va_end(args);
}

/* ------------------------------------------------------------------ the guest */

static struct guest_host *host_of(struct two_nodes *w, int node)
{
	struct guest_env env = {.node = "node", .null_root = w->machine[node].root};
	struct guest_host *host;
	struct vmm_error *err = NULL;
	must(w, guest_null.open(&env, &host, &err), err);
	return host;
}

/* Of each guest: it has one checkpoint, which no migration may lose. */
static struct json_object *moments_of_guest(void)
{
	struct json_object *moments = json_object_new_array();
	json_object_array_add(moments, json_make("kind:s name:s current:b files:o", "checkpoint", "monday", 0,
						 json_object_new_array()));
	return moments;
}

void two_nodes_guest(struct two_nodes *w, int node, const struct variant *variant, const char *behaviours)
{
	struct vmm_error *err = NULL;
	vmm_auto_free char *text = str_copy(behaviours ? behaviours : "[]");
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	vmm_auto_free char *definition = str_format(
		"{\"id\":\"" GUEST "\",\"name\":\"web\",\"uuid\":\"" GUEST_UUID "\",\"memory\":1048576,"
		"\"behaviours\":%s,\"volumes\":[{\"target\":\"vda\",\"type\":\"%s\",\"format\":\"raw\","
		"\"device\":\"disk\","
		"\"path\":\"%s/%s/" GUEST ".raw\"}]}",
		text, variant->tree ? "null-tree" : "null", w->dir, variant->shared ? "shared" : "root/disks");
	if (variant->tree)
		two_nodes_make_tree(w, node);
	struct guest_host *host = host_of(w, node);
	must(w, guest_null.define(host, definition, &err), err);
	must(w, guest_null.autostart(host, GUEST, true, &err), err);
	if (variant->runs)
		must(w, guest_null.start(host, GUEST, false, &err), err);
	guest_null.close(host);
	guest_says(w, node,
		   json_make("moments:o transient:b autostart:b", moments_of_guest(), (int)variant->transient,
			     (int)!variant->transient));
	free(w->memory);
	w->memory = guest_memory(w, node);
}

void two_nodes_forget_memory(struct two_nodes *w)
{
	free(w->memory);
	w->memory = NULL;
}

static char *volume_path(struct two_nodes *w, int node, bool shared)
{
	return shared ? str_format("%s/shared/" GUEST ".raw", w->dir)
		      : str_format("%s/disks/" GUEST ".raw", w->machine[node].root);
}

/* A third of the content is zeros. */
static void fill(char *bytes, unsigned seed)
{
	for (size_t i = 0; i < GUEST_BYTES; i++) {
		seed = seed * 1103515245 + 12345;
		bytes[i] = i / (GUEST_BYTES / 3) == 1 ? 0 : (char)(seed >> 16);
	}
}

void guest_writes(struct two_nodes *w, int node, bool shared, unsigned seed)
{
	static char bytes[GUEST_BYTES];
	vmm_auto_free char *path = volume_path(w, node, shared);
	tree_clear(&path, seed);
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	fill(bytes, seed);
	if (fd < 0 || fd_write_all(fd, bytes, sizeof(bytes)) < 0)
		two_nodes_fail(w, "%s: %s", path, strerror(errno));
}

bool volume_holds(struct two_nodes *w, int node, bool shared, unsigned seed)
{
	static char expected[GUEST_BYTES], found[GUEST_BYTES + 1];
	vmm_auto_free char *path = volume_path(w, node, shared);
	if (!tree_holds(&path, seed))
		return false;
	vmm_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	fill(expected, seed);
	return fd >= 0 && fd_read_all(fd, found, sizeof(found)) == GUEST_BYTES && !memcmp(expected, found, GUEST_BYTES);
}

char *guest_state(struct two_nodes *w, int node)
{
	struct guest_host *host = host_of(w, node);
	vmm_auto_json struct json_object *state = NULL;
	struct vmm_error *err = NULL;
	must(w, guest_null.state(host, GUEST, &state, &err), err);
	guest_null.close(host);
	return str_copy(json_text_or(state, "state", "?"));
}

/* ------------------------------------------------------------------ power */

/* From now on the tasks of this machine see another boot id than the one that they began with. */
static void forget_boot(struct two_nodes *w, int node)
{
	vmm_auto_free char *dir = str_format("%s/tasks", w->machine[node].state);
	vmm_auto_json struct json_object *names = NULL;
	struct vmm_error *err = NULL;
	must(w, dir_list(dir, &names, &err), err);
	json_each (name, names, "") {
		vmm_auto_free char *path = str_format("%s/%s/plan", dir, json_text(name, ""));
		vmm_auto_free char *text = NULL;
		vmm_auto_json struct json_object *plan = NULL;
		if (!file_there(path))
			continue;
		must(w, file_read(path, 1 << 20, &text, NULL, &err), err);
		must(w, json_parse(text, -1, path, &plan, &err), err);
		json_put(plan, "boot:s", "another boot");
		must(w, file_write(path, json_line(plan), strlen(json_line(plan)), 0600, &err), err);
	}
}

/* The guard compares a permit with the id of the boot. */
static void forget_permit(struct two_nodes *w, int node)
{
	vmm_auto_record struct guest_record record = {0};
	vmm_auto_free char *name = str_format("node%d", node + 1);
	struct vmm_error *err = NULL;
	must(w, record_read(w->machine[node].state, "null-" GUEST_UUID, &record, &err), err);
	if (!record.permit)
		return;
	str_replace(&record.permit, "another boot");
	must(w, record_write(w->machine[node].state, name, &record, &err), err);
}

void guest_starts(struct two_nodes *w, int node)
{
	struct guest_host *host = host_of(w, node);
	struct vmm_error *err = NULL;
	must(w, guest_null.start(host, GUEST, false, &err), err);
	guest_null.close(host);
}

void guest_says(struct two_nodes *w, int node, struct json_object *changes)
{
	vmm_auto_free char *path = str_format("%s/guests/" GUEST ".json", w->machine[node].root), *text = NULL;
	vmm_auto_json struct json_object *guest = NULL, *held = changes;
	struct vmm_error *err = NULL;
	if (!file_there(path))
		return;
	must(w, file_read(path, 1 << 20, &text, NULL, &err), err);
	must(w, json_parse(text, -1, path, &guest, &err), err);
	json_object_object_foreach(held, key, value)
	{
		json_object_object_add(guest, key, json_object_get(value));
	}
	must(w, file_write(path, json_line(guest), strlen(json_line(guest)), 0600, &err), err);
}

void guest_ends(struct two_nodes *w, int node)
{
	struct guest_host *host = host_of(w, node);
	struct vmm_error *err = NULL;
	must(w, guest_null.destroy(host, GUEST, &err), err);
	guest_null.close(host);
}

void machine_loses_power(struct two_nodes *w, int node)
{
	guest_ends(w, node);
	guest_says(w, node, json_make("reason:s", NULL));
	forget_boot(w, node);
	forget_permit(w, node);
	two_nodes_forget_memory(w);
}

void machine_boots(struct two_nodes *w, int node)
{
	struct guest_host *host = host_of(w, node);
	vmm_auto_json struct json_object *facts = NULL;
	struct vmm_error *err = NULL;
	if (guest_null.facts(host, GUEST, &facts, NULL) == 0 && json_true(facts, "autostart") &&
	    str_same(json_text(facts, "state"), "shutoff") && two_nodes_guard_admits(w, node))
		must(w, guest_null.start(host, GUEST, false, &err), err);
	guest_null.close(host);
}

/* ------------------------------------------------------------------ tasks */

/* The migration is the first member: connect_other gets from it to the two nodes. */
struct test_migration {
	struct migration m;
	struct two_nodes *w;
};

static int connect_other(struct migration *m, struct vmm_error **err)
{
	struct two_nodes *w = ((struct test_migration *)m)->w;
	const char *target = json_text(m->request, "target");
	int number = str_same(target, "node1") ? NODE1 : NODE2;
	if (w->gone[number])
		return error_set(err, VMM_FAILED, "link-lost", "%s cannot be reached", target);
	return two_nodes_open_node(w, number, &m->node[TARGET], err);
}

void outcome_free(struct outcome *outcome)
{
	free(outcome->message);
	free(outcome->task);
	*outcome = (struct outcome){0};
}

static void read_result(struct two_nodes *w, struct test_migration *migration, struct outcome *outcome)
{
	vmm_auto_json struct json_object *result = NULL;
	struct vmm_error *err = NULL;
	must(w, task_read(migration->m.task, "result", &result, &err), err);
	outcome->settled = json_true(result, "settled");
	outcome->message = str_copy(json_text_or(result, "message", "no result"));
	snprintf(outcome->code, sizeof(outcome->code), "%s", json_text_or(result, "error.code", ""));
}

static void test_migration_open(struct two_nodes *w, struct test_migration *migration, int from, const char *task)
{
	struct vmm_error *err = NULL;
	*migration = (struct test_migration){.w = w};
	w->engine_node = from;
	w->calls[NODE1] = w->calls[NODE2] = 0;
	str_replace(&w->task, task);
	two_nodes_link_root(w, from);
	must(w, migration_open(&migration->m, &w->machine[from].paths, task, &err), err);
	migration->m.connect = connect_other;
	migration->m.patience_ms = 0;
	node_close(migration->m.node[SOURCE]);
	must(w, two_nodes_open_node(w, from, &migration->m.node[SOURCE], &err), err);
}

void two_nodes_migrate(struct two_nodes *w, int from, const char *options, struct outcome *outcome)
{
	vmm_auto_json struct json_object *asked = NULL, *raw = NULL, *request = NULL;
	struct vmm_error *err = NULL;
	struct test_migration migration;
	*outcome = (struct outcome){0};
	must(w, json_parse(options, -1, "options", &asked, &err), err);
	raw = json_make("api:d guest:s target:s options:O", 1, w->called ? w->called : GUEST,
			from == NODE1 ? "node2" : "node1", asked);
	must(w, request_read(raw, NULL, &request, &err), err);
	must(w, task_make(&w->machine[from].paths, from == NODE1 ? "node1" : "node2", request, &outcome->task, &err),
	     err);
	test_migration_open(w, &migration, from, outcome->task);
	outcome->exit = migrate_run(&migration.m);
	read_result(w, &migration, outcome);
	migration_close(&migration.m);
}

int two_nodes_migrate_in_child(struct two_nodes *w, int from, const char *options, journal_watch_fn *watch,
			       void *context)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		struct outcome outcome;
		journal_watch(watch, context);
		two_nodes_migrate(w, from, options, &outcome);
		_exit((int)outcome.exit);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		two_nodes_fail(w, "a process of its own: %s", strerror(errno));
	w->root_node = 0; /* the child has left DIR/root as it was when it ended */
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void two_nodes_recover(struct two_nodes *w, int from, const char *task, const char *keep, struct outcome *outcome)
{
	struct test_migration migration;
	*outcome = (struct outcome){.task = str_copy(task)};
	test_migration_open(w, &migration, from, task);
	json_object_put(migration.m.request);
	migration.m.request = NULL;
	outcome->exit = recover_run(&migration.m, keep);
	read_result(w, &migration, outcome);
	migration_close(&migration.m);
}

static bool is_settled(struct two_nodes *w, int node, const char *id)
{
	struct task *task;
	vmm_auto_json struct json_object *result = NULL;
	struct vmm_error *err = NULL;
	if (task_open(&w->machine[node].paths, id, &task, NULL) < 0)
		return true;
	must(w, task_read(task, "result", &result, &err), err);
	task_close(task);
	return json_true(result, "settled");
}

/* True if no task is unsettled afterwards. */
static bool recover_each(struct two_nodes *w, int from)
{
	vmm_auto_free char *dir = str_format("%s/tasks", w->machine[from].state);
	vmm_auto_json struct json_object *names = NULL;
	struct vmm_error *err = NULL;
	bool all = true;
	must(w, dir_list(dir, &names, &err), err);
	json_each (name, names, "") {
		struct outcome outcome;
		if (is_settled(w, from, json_text(name, "")))
			continue;
		two_nodes_recover(w, from, json_text(name, ""), NULL, &outcome);
		all &= outcome.settled;
		outcome_free(&outcome);
	}
	return all;
}

void two_nodes_recover_all(struct two_nodes *w, int from)
{
	for (int attempt = 0; attempt < 3; attempt++)
		if (recover_each(w, from))
			return;
	two_nodes_fail(w, "a task is still unsettled after recover");
}

void two_nodes_migrate_again(struct two_nodes *w, const struct variant *variant, unsigned seed)
{
	int from = guest_node(w);
	struct outcome outcome;
	guest_writes(w, from, variant->shared, seed);
	two_nodes_migrate(w, from, variant->options, &outcome);
	if (outcome.exit != VMM_DONE || !outcome.settled || guest_node(w) == from)
		two_nodes_fail(w, "the second try: exit %d: %s", (int)outcome.exit, outcome.message);
	two_nodes_check(w, variant, variant->runs, seed);
	outcome_free(&outcome);
}
