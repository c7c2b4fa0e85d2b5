/* main.c: vmmigrate-engine [RIGHT] VERB - a request in JSON on stdin, a reply in JSON on stdout, the verb's exit
 * status.
 *
 * RIGHT (enum verb_right) says in whose name the verb is asked for; polkit's actions are bound to that word
 * (org.vmmigrate.policy), so that pkexec has asked for the right action before we run.
 *
 * For our own use, and of root itself only: `worker TASK` and `recover-task TASK` (the processes of a task), `relay`
 * (carries a live migration's streams).
 */
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"

enum { REQUEST_LIMIT = 1 << 20 };

static int read_request(struct json_object **request, struct vmm_error **err)
{
	vmm_auto_free char *text = mem_zero(REQUEST_LIMIT + 1);
	ssize_t got = isatty(0) ? 0 : fd_read_all(0, text, REQUEST_LIMIT + 1);
	if (got > REQUEST_LIMIT)
		return error_set(err, VMM_USAGE, "too-large", "the request is larger than %d bytes", REQUEST_LIMIT);
	if (got <= 0) {
		*request = json_make("api:d", 1);
		return 0;
	}
	if (json_parse(text, got, "request", request, err) < 0)
		return -1;
	if (json_object_is_type(*request, json_type_object))
		return 0;
	return error_set(err, VMM_USAGE, "malformed", "the request is not an object");
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < verb_count; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/* ---------------------------------------------------------------- who may ask for it */

static const struct {
	const char *word;
	unsigned right;
} rights[] = {{"manage", RIGHT_MANAGE}, {"administer", RIGHT_ADMINISTER}, {"peer", RIGHT_PEER}};

/* The right that the word stands for; 0: it is none. */
static unsigned right_of(const char *word)
{
	for (size_t i = 0; i < VMM_COUNT(rights); i++)
		if (!strcmp(rights[i].word, word))
			return rights[i].right;
	return 0;
}

static int not_permitted(const char *what, const char *action, struct vmm_error **err)
{
	error_set(err, VMM_NOT_PERMITTED, "not-permitted", "%s: you may not do this", what);
	return action ? error_hint(err, "use sudo, or ask your administrator for the polkit action %s", action)
		      : error_hint(err, "only root itself may do this");
}

/* What an operator asks for in a request and only an administrator may: to decide where guests are, to let go of what
 * a node has noted, and to have a container see another directory of its host. NULL: nothing. */
static const char *beyond_an_operator(const char *verb, struct json_object *request)
{
	bool recover = !strcmp(verb, "recover");
	if (recover && json_at(request, "keep"))
		return "recover --keep";
	if (recover && json_true(request, "forget"))
		return "recover --forget";
	return json_at(request, "options.map_mount") || json_at(request, "options.map-mount") ? "--map-mount" : NULL;
}

/* May the verb be asked for with that right? 0: root itself asks. */
static int check_right(const struct verb *verb, unsigned right, struct json_object *request, struct vmm_error **err)
{
	if (!right)
		return 0;
	if (!(verb->rights & right))
		return not_permitted(verb->name, verb->rights & RIGHT_ADMINISTER ? "org.vmmigrate.administer" : NULL,
				     err);
	const char *beyond = right == RIGHT_MANAGE ? beyond_an_operator(verb->name, request) : NULL;
	return beyond ? not_permitted(beyond, "org.vmmigrate.administer", err) : 0;
}

static int carry_out(unsigned right, const char *name, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *request = NULL;
	const struct verb *verb = find_verb(name);
	if (!verb)
		return error_set(err, VMM_FAILED, "not-supported", "this version does not know the verb \"%s\"", name);
	if (strcmp(name, "info") && geteuid() != 0)
		return not_permitted(
			name, verb->rights & RIGHT_MANAGE ? "org.vmmigrate.manage" : "org.vmmigrate.administer", err);
	if (read_request(&request, err) < 0)
		return -1;
	/* Over whose key it has come: the agent knows, and not who asks. */
	json_object_object_del(request, "by");
	if (right == RIGHT_PEER)
		json_put(request, "by:s", getenv("VMMIGRATE_PEER") ? getenv("VMMIGRATE_PEER") : "unknown");
	return check_right(verb, right, request, err) < 0 ? -1 : verb->run(&node_paths_installed, request, reply, err);
}

static int answer(unsigned right, const char *name)
{
	vmm_auto_json struct json_object *reply = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	if (carry_out(right, name, &reply, &err) < 0) {
		/* The reply keeps what the verb has found out before it failed, such as a plan's findings. */
		reply = reply ? reply : json_object_new_object();
		json_put(reply, "error:o", error_to_json(err));
	}
	if (reply) {
		json_put(reply, "api:d", 1);
		printf("%s\n", json_line(reply));
	}
	return err ? err->exit : VMM_DONE;
}

/* ---------------------------------------------------------------- for our own use */

static int finish(int done, struct vmm_error *err)
{
	vmm_auto_error struct vmm_error *held = err;
	if (done == 0)
		return VMM_DONE;
	log_warn("%s", held->message);
	/* Another process is at work on the task: success, so that the supervisor does not start recover. */
	return held->exit == VMM_BUSY ? VMM_DONE : held->exit;
}

static int run_worker(const char *task)
{
	struct vmm_error *err = NULL;
	int done = worker_run(&node_paths_installed, task, &err);
	return finish(done, err);
}

static int run_recover_task(const char *task)
{
	vmm_auto_json struct json_object *recovered = json_object_new_object();
	struct vmm_error *err = NULL;
	int done = recover_all(&node_paths_installed, task, NULL, NULL, recovered, &err);
	return finish(done, err);
}

static int run_relay(void)
{
	vmm_auto_json struct json_object *request = NULL, *config = NULL;
	struct vmm_error *err = NULL;
	struct cluster_peer peer = {0};
	struct relay_socket sockets[4] = {0};
	size_t count = 0;
	int done = read_request(&request, &err);
	if (done == 0)
		done = verbs_config(&node_paths_installed, &config, &err);
	if (done == 0)
		done = cluster_peer(config, node_paths_installed.etc, json_text_or(request, "peer", ""), &peer, &err);
	json_each (socket, request, "sockets")
		if (count < VMM_COUNT(sockets))
			sockets[count++] = (struct relay_socket){.listen = (char *)json_text(socket, "listen"),
								 .connect = (char *)json_text(socket, "connect"),
								 .owner = (uid_t)json_number(socket, "uid"),
								 .group = (gid_t)json_number(socket, "gid")};
	if (done == 0)
		done = relay_run(&peer.ssh, sockets, count, 1, &err);
	cluster_peer_free(&peer);
	return finish(done, err);
}

int main(int argc, char **argv)
{
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	/* pkexec says so in the environment. Without one of the words it has asked for no action of ours. */
	bool through_pkexec = getenv("PKEXEC_UID");
	unsetenv("PKEXEC_UID");
	unsigned right = argc == 3 ? right_of(argv[1]) : 0;
	if (right && !(through_pkexec && right == RIGHT_PEER))
		return answer(right, argv[2]);
	if (through_pkexec) {
		fprintf(stderr, "vmmigrate-engine: only root itself may run this\n");
		return VMM_NOT_PERMITTED;
	}
	if (argc == 3 && !strcmp(argv[1], "worker"))
		return run_worker(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "recover-task"))
		return run_recover_task(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "relay"))
		return run_relay();
	if (argc == 2)
		return answer(0, argv[1]);
	fprintf(stderr, "vmmigrate-engine is run by vmmigrate and by panels: see vmmigrate(1)\n");
	return VMM_USAGE;
}
