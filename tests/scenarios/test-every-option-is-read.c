/* Every option of the request table and every key of the section [migration] changes something: the checks' findings,
 * the mode, or what a migration asks its nodes to do. For each of them a row below says what is asked for and where it
 * is looked at. The same is done without the option; what comes out must differ.
 *
 * wrap: copy_push local_guest_open posix_spawn relay_migration_socket tree_push */
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "cluster/cluster-internal.h"
#include "engine/engine.h"
#include "node/local.h"
#include "scenario.h"
#include "two-nodes.h"

/* ------------------------------------------------------------------ the rows */

struct proof {
	const char *option, *value; /* of request_options; the value as JSON, with ' for " */
	const char *with;	    /* what both requests have besides: members of an object, as JSON; or NULL */
	/* Either facts and what differs from them, on which the checks run (scenario.h) ... */
	const char *base, *patch;
	/* ... or the variant of a migration between two null nodes. `relayed`: the null hypervisor has a control
	 * socket, as libvirt has, so that URIs for control and memory are made. */
	const char *variant;
	bool relayed;
};

#define LIVE	 "live"
#define LOCAL	 "restart, local volume"
#define TREE	 "restart, tree"
#define ONLINE	 "'online':true"
#define RESTART	 "'restart':true"
#define INSECURE ONLINE ",'migration_type':'insecure'"

static const struct proof proofs[] = {
	{"online", "true", .base = "shared", .patch = "{}"},
	{"non_live", "true", .base = "shared", .patch = "{}"},
	{"restart", "true", .base = "shared", .patch = "{}"},
	{"no_precopy", "true", RESTART, .variant = LOCAL},
	{"track", "'reflink'", RESTART, .variant = LOCAL},
	{"targetstorage", "['nowhere:default']", RESTART, .base = "local", .patch = "{}"},
	{"targetstorage", "['nowhere']", RESTART, .variant = LOCAL},
	{"timeout", "77", RESTART, .variant = LOCAL},
	{"force_stop", "true", RESTART, .variant = LOCAL},
	{"max_downtime", "300", ONLINE, .variant = LIVE},
	{"on_stall", "'suspend'", ONLINE, .variant = LIVE},
	{"bwlimit", "50000", ONLINE, .variant = LIVE},
	{"bwlimit", "50000", RESTART, .variant = LOCAL},
	{"parallel_connections", "3", RESTART, .variant = LOCAL},
	/* No node has an address in this network, which is for documentation. */
	{"migration_network", "'192.0.2.0/24'", INSECURE, .base = "shared", .patch = "{}"},
	{"migration_network", "'192.0.2.0/24'", INSECURE, .variant = LIVE, .relayed = true},
	{"migration_type", "'insecure'", ONLINE, .variant = LIVE, .relayed = true},
	{"data", "'tls'", RESTART, .variant = LOCAL},
	{"map_network", "['vmbr0=vmbr1']", RESTART, .base = "shared", .patch = "{'target':{'bridges':[]}}"},
	{"map_network", "['vmbr0=vmbr1']", RESTART, .variant = LOCAL},
	{"map_mount", "['/srv/a=/srv/b']", RESTART, .variant = TREE},
	{"force", "true", ONLINE, .base = "shared",
	 .patch = "{'source':{'guest':{'devices':[{'class':'usb','name':'1234:5678'}]}}}"},
	{"unsafe", "true", ONLINE, .base = "local",
	 .patch = "{'sharing':{'default':'shared'},'target':{'fit':{'volumes':{'0':{'there':true}}}},"
		  "'source':{'guest':{'volumes':{'0':{'sharing':'maybe','cache':'unsafe'}}}}}"},
	{"replace", "true", RESTART, .base = "local", .patch = "{'target':{'fit':{'volumes':{'0':{'there':true}}}}}"},
	{"replace", "true", RESTART, .variant = LOCAL},
	{"keep_seed", "true", RESTART, .variant = LOCAL},
	{"digest", "'sha256'", RESTART, .variant = LOCAL},
	{"digest", "'sha256'", RESTART, .variant = TREE},
	{"verify", "'full'", RESTART, .variant = TREE},
	{"ignore", "['target-maintenance']", ONLINE, .base = "shared",
	 .patch = "{'target':{'node':{'maintenance':true}}}"},
};

/* ------------------------------------------------------------------ what comes out of a request: checks */

static struct json_object *json_of(const char *text)
{
	struct json_object *object = NULL;
	vmm_auto_free char *copy = str_copy(text);
	for (char *at = copy; *at; at++)
		if (*at == '\'')
			*at = '"';
	if (json_parse(copy, -1, "test", &object, NULL) < 0)
		fail_msg("not JSON: %s", text);
	return object;
}

static struct json_object *request_of(struct json_object *options, struct json_object *config)
{
	vmm_auto_json struct json_object *raw = json_make("guest:s target:s options:O", GUEST, "node2", options);
	struct json_object *request = NULL;
	struct vmm_error *err = NULL;
	if (request_read(raw, config, &request, &err) < 0)
		fail_msg("%s: %s", json_line(options), err->message);
	return request;
}

/* The mode and all findings, as text. */
static char *checks_say(const struct proof *proof, struct json_object *options)
{
	struct facts facts;
	vmm_auto_json struct json_object *request = request_of(options, NULL);
	scenario_facts_text(proof->base, proof->patch, &facts);
	json_put(facts.request, "options:O", json_at(request, "options"));
	enum mode mode = plan_mode(&facts);
	vmm_auto_json struct json_object *findings = checks_run(&facts, mode);
	char *text = str_format("mode %s, findings %s\n", mode_name(mode), json_line(findings));
	scenario_free(&facts);
	return text;
}

/* ------------------------------------------------------------------ what comes out of a request: a migration */

/* The migration that runs: a line for everything that the engine asks of a node, and for each push of an image. */
static struct {
	struct text lines;
	bool relayed; /* struct proof */
	const char *dir;
} trace;

int __real_copy_push(const struct copy_job *job, struct copy_sessions *sessions, struct copy_leaves *leaves,
		     struct copy_progress *result, struct vmm_error **err);
int __wrap_copy_push(const struct copy_job *job, struct copy_sessions *sessions, struct copy_leaves *leaves,
		     struct copy_progress *result, struct vmm_error **err);

int __wrap_copy_push(const struct copy_job *job, struct copy_sessions *sessions, struct copy_leaves *leaves,
		     struct copy_progress *result, struct vmm_error **err)
{
	text_add(&trace.lines, "push: limit %llu, digest %d\n", (unsigned long long)job->rate_limit, (int)job->digest);
	return __real_copy_push(job, sessions, leaves, result, err);
}

/* Objects are left out: they hold a volume or a whole plan, with times in it. So are lists, but for what DEFINE changes
 * in the definition. */
static void note_call(void *context, int node, const char *what, struct json_object *args)
{
	(void)context;
	if (!strcmp(what, node_operations[NODE_TOKEN].name)) /* its arguments are random, and no option is about it */
		return;
	text_add(&trace.lines, "node%d: %s", node + 1, what);
	if (args) {
		json_object_object_foreach(args, key, value)
		{
			bool list = json_object_is_type(value, json_type_array);
			if (!value || json_object_is_type(value, json_type_object) ||
			    (list && strcmp(what, node_operations[NODE_DEFINE].name)))
				continue;
			bool random = !strcmp(what, node_operations[NODE_DIGEST].name) && !strcmp(key, "key");
			text_add(&trace.lines, " %s=%s", key, random ? "random" : json_line(value));
		}
	}
	text_add(&trace.lines, "\n");
}

/* The hypervisor of a relayed migration: a null one with a control socket, like libvirt's. */
static int host_facts_with_user(struct guest_host *host, struct json_object **facts, struct vmm_error **err)
{
	if (guest_null.host_facts(host, facts, err) < 0)
		return -1;
	json_put(*facts, "uids:o", json_make("user:i group:i", (int64_t)geteuid(), (int64_t)getegid()));
	return 0;
}

int __real_local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
			    struct vmm_error **err);
int __wrap_local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
			    struct vmm_error **err);

int __wrap_local_guest_open(struct local_node *node, struct json_object *args, struct local_guest *guest,
			    struct vmm_error **err)
{
	static struct guest_ops with_socket;
	int done = __real_local_guest_open(node, args, guest, err);
	if (done < 0 || !trace.relayed)
		return done;
	with_socket = *guest->ops;
	with_socket.control_socket = "/run/null-sock";
	with_socket.control_uri = "null+unix:///?socket=%s";
	with_socket.host_facts = host_facts_with_user;
	guest->ops = &with_socket;
	return 0;
}

char *__wrap_relay_migration_socket(const char *task);
char *__wrap_relay_migration_socket(const char *task)
{
	return str_format("%s/memory-%s/socket", trace.dir, task);
}

int __real_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
		       const posix_spawnattr_t *attributes, char *const argv[], char *const environment[]);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
		       const posix_spawnattr_t *attributes, char *const argv[], char *const environment[]);

/* In place of the relay: a program that says that it is ready and waits until it is ended. */
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *files,
		       const posix_spawnattr_t *attributes, char *const argv[], char *const environment[])
{
	char name[] = "sh", option[] = "-c", script[] = "echo; exec sleep 60";
	char *const relay[] = {name, option, script, NULL};
	bool is_relay = !strcmp(path_base(path), "vmmigrate-engine");
	return __real_posix_spawn(pid, is_relay ? "/bin/sh" : path, files, attributes, is_relay ? relay : argv,
				  environment);
}

/* Replaces every `old` in *text. */
static void replace_all(char **text, const char *old, const char *with)
{
	vmm_auto_text struct text out = {0};
	const char *at = *text;
	for (const char *found; (found = strstr(at, old)); at = found + strlen(old))
		text_add(&out, "%.*s%s", (int)(found - at), at, with);
	text_add(&out, "%s", at);
	free(*text);
	*text = text_take(&out);
}

/* What the engine asks of the nodes in a migration, and how that ends. */
static char *migration_does(const struct proof *proof, struct json_object *options)
{
	const struct variant *variant = variant_named(proof->variant);
	struct outcome outcome;
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s with %s", proof->variant, json_line(options));
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, 1);
	trace.relayed = proof->relayed;
	trace.dir = w->dir;
	w->watch = note_call;
	two_nodes_migrate(w, NODE1, json_line(options), &outcome);
	text_add(&trace.lines, "exit %d %s\n", (int)outcome.exit, outcome.code);
	char *text = text_take(&trace.lines);
	replace_all(&text, outcome.task, "TASK");
	replace_all(&text, w->dir, "DIR");
	outcome_free(&outcome);
	two_nodes_free(w);
	return text;
}

/* ------------------------------------------------------------------ with an option and without it */

static char *result_of(const struct proof *proof, bool with_it)
{
	vmm_auto_text struct text text = {0};
	text_add(&text, "{%s", proof->with ? proof->with : "");
	if (with_it)
		text_add(&text, "%s'%s':%s", proof->with ? "," : "", proof->option, proof->value);
	text_add(&text, "}");
	vmm_auto_json struct json_object *options = json_of(text.data);
	return proof->base ? checks_say(proof, options) : migration_does(proof, options);
}

static bool changes_something(const struct proof *proof)
{
	vmm_auto_free char *without = result_of(proof, false), *again = result_of(proof, false),
			   *with = result_of(proof, true);
	/* Else a difference would prove nothing. */
	if (strcmp(without, again))
		fail_msg("--%s: the same request twice does not do the same:\n%s---- and\n%s", proof->option, without,
			 again);
	return strcmp(without, with);
}

/* Adds a name to a list in the message of a failure. */
static void name_it(struct text *names, const char *name)
{
	text_add(names, "%s%s", names->length ? ", " : "", name);
}

static void each_option_changes_what_is_found_or_done(void **state)
{
	(void)state;
	vmm_auto_text struct text unread = {0};
	for (size_t i = 0; i < request_option_count; i++) {
		const char *name = request_options[i].name;
		bool any = false, all = true;
		for (size_t n = 0; n < VMM_COUNT(proofs); n++) {
			if (strcmp(proofs[n].option, name))
				continue;
			bool changes = changes_something(&proofs[n]);
			any |= changes;
			all &= changes;
		}
		if (!(any && all))
			name_it(&unread, name);
	}
	if (unread.length)
		fail_msg("these options have no row in `proofs`, or one in which they change nothing: %s", unread.data);
}

/* ------------------------------------------------------------------ settings of [migration] */

static struct json_object *configuration(const char *key, const char *value)
{
	vmm_auto_free char *text = str_format("[migration]\n%s = %s\n", key, value);
	struct json_object *config = NULL;
	struct vmm_error *err = NULL;
	if (config_parse("test.conf", text, &config, &err) < 0)
		fail_msg("%s", err->message);
	return config;
}

static void write_configuration(struct two_nodes *w, const char *text)
{
	vmm_auto_free char *path = str_format("%s/vmmigrate.conf", w->machine[NODE2].etc);
	struct vmm_error *err = NULL;
	if (file_write(path, text, strlen(text), 0600, &err) < 0)
		two_nodes_fail(w, "%s", err->message);
}

/* How a node calls itself. */
static bool self_is_read(void)
{
	struct two_nodes *w = two_nodes_make();
	struct vmm_node *node = NULL;
	write_configuration(w, "[migration]\nself = elsewhere\n");
	if (node_open_local(&w->machine[NODE2].paths, &node, NULL) < 0)
		two_nodes_fail(w, "the node cannot be opened");
	bool read = !strcmp(node->name, "elsewhere");
	node_close(node);
	two_nodes_free(w);
	return read;
}

/* A listening socket; *port is the one that it was given. */
static int listen_somewhere(int *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &size) < 0)
		fail_msg("no port can be taken");
	*port = ntohs(at.sin_port);
	return fd;
}

/* The code of the error with which the agent of node2 answers a request for a session over TLS, or "". */
static char *tls_session_error(struct two_nodes *w)
{
	struct stream *pair[2];
	struct frame frame;
	vmm_auto_json struct json_object *hello = NULL, *reply = NULL;
	const struct identity self = {.name = (char *)"node1"};
	assert_int_equal(stream_pair(pair, NULL), 0);
	pid_t agent = fork();
	if (agent == 0) {
		stream_close(pair[0]);
		_exit(agent_serve(&w->machine[NODE2].paths, "tls-session task", pair[1]));
	}
	stream_close(pair[1]);
	assert_int_equal(frame_hello(pair[0], "node2", &self, 10000, &hello, NULL), 0);
	assert_int_equal(frame_receive(pair[0], FRAME_LIMIT_CONTROL, 10000, &frame, NULL), 0);
	assert_int_equal(json_parse(frame.data, (int)frame.length, "reply", &reply, NULL), 0);
	frame_free(&frame);
	stream_close(pair[0]);
	kill(agent, SIGKILL);
	waitpid(agent, NULL, 0);
	return str_copy(json_text_or(reply, "error.code", ""));
}

/* The only port that the agent may listen on is taken. */
static bool data_ports_are_read(void)
{
	struct two_nodes *w = two_nodes_make();
	vmm_auto_free char *without = tls_session_error(w);
	int port;
	vmm_auto_close int taken = listen_somewhere(&port);
	vmm_auto_free char *text = str_format("[migration]\nself = node2\ndata_ports = %d\n[node node1]\n", port);
	write_configuration(w, text);
	vmm_auto_free char *with = tls_session_error(w);
	two_nodes_free(w);
	return !*without && !strcmp(with, "data-port");
}

/* Is a task that began two hours ago and has ended kept? */
static bool is_kept(struct json_object *config)
{
	struct two_nodes *w = two_nodes_make();
	vmm_auto_free char *dir = str_format("%s/tasks/node1-1-%llx", w->machine[NODE1].state,
					     (unsigned long long)(clock_now_us() - INT64_C(2) * 3600 * 1000000));
	vmm_auto_free char *request = str_format("%s/request", dir), *result = str_format("%s/result", dir);
	static const char settled[] = "{\"exit\":0,\"settled\":true}";
	assert_int_equal(dir_make(dir, 0700, NULL), 0);
	assert_int_equal(file_write(request, "{}", 2, 0600, NULL), 0);
	assert_int_equal(file_write(result, settled, strlen(settled), 0600, NULL), 0);
	tasks_prune(&w->machine[NODE1].paths, config);
	bool kept = file_there(dir);
	two_nodes_free(w);
	return kept;
}

static bool keep_tasks_is_read(void)
{
	vmm_auto_json struct json_object *config = configuration("keep_tasks", "1h");
	return is_kept(NULL) && !is_kept(config);
}

/* With joins = administrator, a node that another one introduces is refused before anything else is looked at. */
static bool joins_are_read(void)
{
	static const char *const says[] = {"members", "administrator"};
	char code[2][40];
	for (size_t i = 0; i < VMM_COUNT(says); i++) {
		struct two_nodes *w = two_nodes_make();
		vmm_auto_error struct vmm_error *err = NULL;
		vmm_auto_free char *text = str_format("[migration]\nself = node2\n[cluster]\njoins = %s\n", says[i]);
		vmm_auto_json struct json_object
			*reply = NULL,
			*request = json_make(
				"name:s id:s address:s key:s host_key:s by:s you:o", "node3", "id-3", "192.0.2.3",
				"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x",
				"node1", json_make("name:s address:s", "elsewhere", "192.0.2.2"));
		write_configuration(w, text);
		if (i)
			json_put(json_at(request, "you"), "name:s", "node2");
		cluster_accept(w->machine[NODE2].etc, request, &reply, &err);
		snprintf(code[i], sizeof(code[i]), "%s", err ? err->code : "");
		two_nodes_free(w);
	}
	return !strcmp(code[0], "wrong-name") && !strcmp(code[1], "joins-closed");
}

/* Settings that are no option's default. */
static const struct {
	const char *key;
	bool (*is_read)(void);
} own_settings[] = {
	{"self", self_is_read},
	{"data_ports", data_ports_are_read},
	{"keep_tasks", keep_tasks_is_read},
	{"joins", joins_are_read},
};

static const struct option *option_with_setting(const char *key)
{
	for (size_t i = 0; i < request_option_count; i++)
		if (str_same(request_options[i].setting, key))
			return &request_options[i];
	return NULL;
}

/* A setting that is an option's default gives the same request as the option itself. */
static bool is_the_default_of(const char *key, const char *option)
{
	for (size_t i = 0; i < VMM_COUNT(proofs); i++) {
		if (strcmp(proofs[i].option, option))
			continue;
		const char *with = proofs[i].with ? proofs[i].with : "";
		vmm_auto_free char *text = str_format("{'%s':%s%s%s}", option, proofs[i].value, *with ? "," : "", with),
				   *rest = str_format("{%s}", with);
		vmm_auto_json struct json_object *given = json_of(text), *none = json_of(rest);
		const char *value = json_object_get_string(json_object_object_get(given, option));
		vmm_auto_json struct json_object *config = configuration(key, value);
		vmm_auto_json struct json_object *plain = request_of(none, NULL), *by_option = request_of(given, NULL),
						 *by_setting = request_of(none, config);
		return json_object_equal(by_setting, by_option) && !json_object_equal(by_setting, plain);
	}
	return false;
}

static bool setting_is_read(const char *key)
{
	const struct option *option = option_with_setting(key);
	if (option)
		return is_the_default_of(key, option->name);
	for (size_t i = 0; i < VMM_COUNT(own_settings); i++)
		if (!strcmp(own_settings[i].key, key))
			return own_settings[i].is_read();
	return false;
}

static void each_setting_is_an_options_default_or_changes_something(void **state)
{
	(void)state;
	vmm_auto_text struct text unread = {0};
	size_t seen = 0;
	for (size_t i = 0; i < config_section_count; i++)
		for (size_t n = 0; !config_sections[i].named && n < config_sections[i].key_count; n++, seen++)
			if (!setting_is_read(config_sections[i].keys[n].name))
				name_it(&unread, config_sections[i].keys[n].name);
	assert_true(seen);
	if (unread.length)
		fail_msg("these keys of [migration] change nothing, or no test says what: %s", unread.data);
}

/* A row that nothing refers to would prove nothing. */
static void each_row_is_about_an_option_that_there_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < VMM_COUNT(proofs); i++)
		if (!option_find(proofs[i].option))
			fail_msg("there is no option %s", proofs[i].option);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_is_about_an_option_that_there_is),
		cmocka_unit_test(each_option_changes_what_is_found_or_done),
		cmocka_unit_test(each_setting_is_an_options_default_or_changes_something),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
