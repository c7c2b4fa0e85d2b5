/* main.c: vmmigrate-engine VERB - a request in JSON on stdin, a reply in JSON on stdout, the verb's exit status.
 *
 * For our own use: `worker TASK` and `recover-task TASK` (the processes of a task), `relay` (carries a live migration's
 * streams).
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

static int carry_out(const char *name, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *request = NULL;
	const struct verb *verb = find_verb(name);
	if (!verb)
		return error_set(err, VMM_FAILED, "not-supported", "this version does not know the verb \"%s\"", name);
	if (strcmp(name, "info") && geteuid() != 0) {
		error_set(err, VMM_NOT_PERMITTED, "not-permitted", "%s: only root may do this", name);
		return error_hint(err,
				  "use sudo, or ask your administrator for the polkit action org.vmmigrate.manage");
	}
	return read_request(&request, err) < 0 ? -1 : verb->run(&node_paths_installed, request, reply, err);
}

static int answer(const char *name)
{
	vmm_auto_json struct json_object *reply = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	if (carry_out(name, &reply, &err) < 0) {
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
	if (argc == 3 && !strcmp(argv[1], "worker"))
		return run_worker(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "recover-task"))
		return run_recover_task(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "relay"))
		return run_relay();
	if (argc == 2)
		return answer(argv[1]);
	fprintf(stderr, "vmmigrate-engine is run by vmmigrate and by panels: see vmmigrate(1)\n");
	return VMM_USAGE;
}
