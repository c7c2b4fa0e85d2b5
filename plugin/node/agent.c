/* agent.c: the other end of remote.c: receives calls and has local.c do them.
 *
 * One process for each connection, started by sshd as the key's forced command. It ends with its connection. What it
 * has made stays until the source says ABORT or UNLOCK.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "cluster/cluster.h"
#include "node/node.h"
#include "node/local.h"

/* ---------------------------------------------------------------- ALIVE frames while a call is carried out */

struct pulse {
	struct stream *stream;
	pthread_mutex_t lock; /* of the stream's writing side, and `over` */
	pthread_cond_t wake;
	pthread_t thread;
	bool over;
};

static void *pulse_beat(void *context)
{
	struct pulse *pulse = context;
	pthread_mutex_lock(&pulse->lock);
	while (!pulse->over) {
		struct timespec until;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += FRAME_ALIVE_MS / 1000;
		if (pthread_cond_timedwait(&pulse->wake, &pulse->lock, &until) == ETIMEDOUT && !pulse->over)
			frame_send(pulse->stream, FRAME_ALIVE, 0, NULL, 0, NULL);
	}
	pthread_mutex_unlock(&pulse->lock);
	return NULL;
}

static void pulse_begin(struct pulse *pulse, struct stream *stream)
{
	*pulse = (struct pulse){.stream = stream};
	pthread_mutex_init(&pulse->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&pulse->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&pulse->thread, NULL, pulse_beat, pulse))
		abort();
}

static void pulse_end(struct pulse *pulse)
{
	pthread_mutex_lock(&pulse->lock);
	pulse->over = true;
	pthread_cond_signal(&pulse->wake);
	pthread_mutex_unlock(&pulse->lock);
	pthread_join(pulse->thread, NULL);
	pthread_mutex_destroy(&pulse->lock);
	pthread_cond_destroy(&pulse->wake);
}

/* ---------------------------------------------------------------- one agent a task */

struct hold {
	int lock; /* held as long as this agent may touch what belongs to the task */
	char *pids;
};

/* Kills the agents and sessions that an earlier connection of the task has left; the file has a line "PID START" for
 * each. */
static void end_predecessors(const char *path)
{
	vmm_auto_free char *text = NULL;
	if (file_read(path, 64 << 10, &text, NULL, NULL) < 0)
		return;
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
		int pid;
		unsigned long long started;
		if (sscanf(line, "%d %llu", &pid, &started) == 2 && pid > 1 && pid != getpid() &&
		    process_started(pid) == started)
			/* rsync is a process group */
			kill(getpgid(pid) == pid && pid != getpgrp() ? -pid : pid, SIGKILL);
	}
	unlink(path);
}

static int sign_in(const char *path, struct vmm_error **err)
{
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	vmm_auto_free char *line =
		str_format("%d %llu\n", (int)getpid(), (unsigned long long)process_started(getpid()));
	if (fd < 0 || fd_write_all(fd, line, strlen(line)) < 0)
		return error_errno(err, errno, "sign in at %s", path);
	return 0;
}

/* Takes the lock of a task: kills its predecessors first and waits until they are gone. Sessions only add themselves to
 * the file of pids. */
static int hold_task(const struct node_paths *paths, const char *task, bool alone, struct hold *hold,
		     struct vmm_error **err)
{
	*hold = (struct hold){.lock = -1};
	if (!*task)
		return 0;
	vmm_auto_free char *dir = str_format("%s/agents", paths->run);
	vmm_auto_free char *lock = str_format("%s/%s.lock", dir, task);
	if (name_check(task, "task", err) < 0 || dir_make(dir, 0700, err) < 0)
		return -1;
	hold->pids = str_format("%s/%s.pids", dir, task);
	if (alone) {
		end_predecessors(hold->pids);
		hold->lock = file_lock(lock, 20000, err);
		if (hold->lock < 0)
			return -1;
	}
	return sign_in(hold->pids, err);
}

static void let_go(struct hold *hold)
{
	vmm_cleanup_close(&hold->lock);
	free(hold->pids);
}

/* ---------------------------------------------------------------- calls */

/* What a task asks only of its own node, the source, is asked of no other one: so a node's key cannot do it. */
static bool is_for_its_own_node(enum node_op op)
{
	static const enum node_op own[] = {NODE_GIVE_UP, NODE_FREEZE, NODE_THAW,
					   NODE_STOP,	 NODE_FORGET, NODE_MIGRATE_ABORT};
	for (size_t i = 0; i < VMM_COUNT(own); i++)
		if (own[i] == op)
			return true;
	return false;
}

static enum node_op op_by_name(const char *name)
{
	for (int op = 0; op < NODE_OP_COUNT; op++)
		if (str_same(node_operations[op].name, name))
			return (enum node_op)op;
	return NODE_OP_COUNT;
}

static struct json_object *carry_out(struct vmm_node *node, const struct frame *frame)
{
	vmm_auto_json struct json_object *call = NULL;
	struct json_object *reply = NULL;
	vmm_auto_error struct vmm_error *err = NULL;
	enum node_op op = NODE_OP_COUNT;
	if (json_parse(frame->data, frame->length, "call", &call, &err) == 0) {
		op = op_by_name(json_text(call, "op"));
		if (op == NODE_OP_COUNT)
			error_set(&err, VMM_FAILED, "not-supported", "node %s does not know the operation \"%s\"",
				  node->name, json_text_or(call, "op", ""));
		else if (is_for_its_own_node(op))
			error_set(&err, VMM_NOT_PERMITTED, "not-permitted", "node %s is asked by no other node to %s",
				  node->name, node_operations[op].name);
		else
			node_receive(node, op, json_at(call, "args"), &reply, &err);
	}
	return err ? json_make("error:o", error_to_json(err)) : json_make("ok:o", reply);
}

static int answer_calls(struct vmm_node *node, struct stream *stream, struct vmm_error **err)
{
	for (;;) {
		struct frame frame;
		if (frame_receive(stream, FRAME_LIMIT_CONTROL, -1, &frame, err) < 0)
			return error_is(*err, "link-lost") ? (error_clear(err), 0) : -1;
		if (frame.type != FRAME_CALL) {
			frame_free(&frame);
			continue;
		}
		struct pulse pulse;
		pulse_begin(&pulse, stream);
		vmm_auto_json struct json_object *reply = carry_out(node, &frame);
		pulse_end(&pulse);
		frame_free(&frame);
		if (frame_send_json(stream, FRAME_REPLY, reply, err) < 0)
			return -1;
	}
}

/* Exchanges hellos. Who connects has to be a node of the cluster; else the reason is sent in place of the first reply.
 */
static int say_hello(const struct node_paths *paths, struct stream *stream, struct vmm_error **err)
{
	vmm_auto_identity struct identity self = {0};
	vmm_auto_json struct json_object *hello = NULL;
	cluster_identity(paths->etc, &self);
	if (frame_hello(stream, "the other side", &self, FRAME_SILENCE_MS, &hello, err) < 0)
		return -1;
	if (cluster_known(paths->etc, hello, err) == 0)
		return 0;
	vmm_auto_json struct json_object *reply = json_make("error:o", error_to_json(*err));
	frame_send_json(stream, FRAME_REPLY, reply, NULL);
	return -1;
}

static int serve_calls(const struct node_paths *paths, const char *task, struct stream *stream, struct vmm_error **err)
{
	struct vmm_node *node = NULL;
	struct hold hold;
	if (say_hello(paths, stream, err) < 0)
		return -1;
	int done = hold_task(paths, task, true, &hold, err);
	if (done == 0)
		done = node_open_local(paths, &node, err);
	if (done == 0)
		done = answer_calls(node, stream, err);
	else
		frame_send_json(stream, FRAME_REPLY, json_make("error:o", error_to_json(*err)), NULL);
	node_close(node);
	let_go(&hold);
	return done;
}

static int serve_session(const struct node_paths *paths, const char *task, struct stream *stream,
			 struct vmm_error **err)
{
	struct hold hold;
	int done = hold_task(paths, task, false, &hold, err);
	if (done == 0)
		done = say_hello(paths, stream, err);
	if (done == 0)
		done = local_serve(paths, task, stream, err);
	let_go(&hold);
	return done;
}

#define DATA_PORTS "49216-49279" /* just above libvirt's own range */

/* Listens on a TCP port for a peer that has a fresh key, and sends port and key to the source over ssh. Listens only on
 * the address that the ssh connection came to, for the one that it came from. */
static int offer_tls(const struct node_paths *paths, struct stream *control, struct stream **data,
		     struct vmm_error **err)
{
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", paths->etc);
	vmm_auto_json struct json_object *config = NULL;
	struct tls_listener *listener = NULL;
	char address[NI_MAXHOST] = "", peer[NI_MAXHOST] = "", key[TLS_KEY + 1];
	int port = 0;
	const char *connection = getenv("SSH_CONNECTION"); /* "their-address port our-address port" */
	bool known = connection && sscanf(connection, "%1024s %*d %1024s", peer, address) == 2;
	int done = cluster_load(conf, &config, err);
	if (done == 0)
		done = tls_listen(known ? address : NULL, known ? peer : NULL,
				  json_text_or(config, "migration.data_ports", DATA_PORTS), &listener, &port, key, err);
	vmm_auto_json struct json_object *reply = done < 0 ? json_make("error:o", error_to_json(*err))
							   : json_make("ok:o", json_make("port:d key:s", port, key));
	if (frame_send_json(control, FRAME_REPLY, reply, done < 0 ? NULL : err) < 0)
		done = -1;
	if (done == 0)
		done = tls_accept(listener, FRAME_SILENCE_MS, data, err);
	tls_listener_close(listener);
	return done;
}

/* Serves a session over TLS on a TCP port of its own. */
static int serve_tls_session(const struct node_paths *paths, const char *task, struct stream *control,
			     struct vmm_error **err)
{
	struct hold hold;
	struct stream *data = NULL;
	int done = hold_task(paths, task, false, &hold, err);
	if (done == 0)
		done = say_hello(paths, control, err);
	if (done == 0)
		done = offer_tls(paths, control, &data, err);
	if (done == 0)
		done = local_serve(paths, task, data, err);
	stream_close(data);
	let_go(&hold);
	return done;
}

/* Checks that the task has made the tree, then executes rsync in this process, with its stdin and stdout. */
static int serve_tree(const struct node_paths *paths, const char *task, struct stream *stream, struct vmm_error **err)
{
	struct hold hold;
	struct frame frame = {0};
	vmm_auto_json struct json_object *call = NULL;
	vmm_auto_free char *path = NULL;
	setpgid(0, 0); /* a group of its own, where sshd has not made one */
	int done = say_hello(paths, stream, err);
	if (done == 0)
		done = frame_receive(stream, FRAME_LIMIT_CONTROL, FRAME_SILENCE_MS, &frame, err);
	if (done < 0)
		return -1;
	done = json_parse(frame.data, frame.length, "call", &call, err);
	frame_free(&frame);
	if (done == 0)
		done = hold_task(paths, task, false, &hold, err);
	if (done == 0)
		done = local_tree_path(paths, task, json_text_or(call, "volume", ""), &path, err);
	vmm_auto_json struct json_object *reply =
		done < 0 ? json_make("error:o", error_to_json(*err)) : json_make("ok:b", 1);
	if (frame_send_json(stream, FRAME_REPLY, reply, done < 0 ? NULL : err) < 0 || done < 0)
		return -1;
	tree_receive(path, json_true(call, "checksum"));
	return error_errno(err, errno, "run rsync");
}

/* A stream of a live migration: only while a task of a node has a guest locked here. */
static int serve_relay(const struct node_paths *paths, const char *path, struct stream *stream, struct vmm_error **err)
{
	vmm_auto_free char *dir = str_format("%s/guests", paths->state);
	vmm_auto_json struct json_object *names = NULL;
	bool moves = false;
	if (dir_list(dir, &names, err) < 0)
		return -1;
	json_each (name, names, "") {
		vmm_auto_record struct guest_record record = {0};
		moves |= record_read(paths->state, json_text_or(name, "", ""), &record, NULL) == 0 && record.task;
	}
	if (!moves)
		return error_set(err, VMM_NOT_PERMITTED, "not-permitted",
				 "no task moves a guest to this node: nothing is relayed");
	return relay_serve(stream, path, err);
}

int agent_serve(const struct node_paths *paths, const char *command, struct stream *stream)
{
	vmm_auto_error struct vmm_error *err = NULL;
	int done;
	if (!strcmp(command, "agent") || str_starts(command, "agent "))
		done = serve_calls(paths, command + strlen("agent") + (command[5] == ' '), stream, &err);
	else if (str_starts(command, "session "))
		done = serve_session(paths, command + strlen("session "), stream, &err);
	else if (str_starts(command, "tls-session "))
		done = serve_tls_session(paths, command + strlen("tls-session "), stream, &err);
	else if (str_starts(command, "tree "))
		done = serve_tree(paths, command + strlen("tree "), stream, &err);
	else if (str_starts(command, "relay "))
		done = serve_relay(paths, command + strlen("relay "), stream, &err);
	else
		done = error_set(&err, VMM_USAGE, "usage", "this key is for vmmigrate's own use");
	if (done < 0)
		log_warn("%s", err->message);
	return done < 0 ? err->exit : VMM_DONE;
}
