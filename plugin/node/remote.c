/* remote.c: another node, over ssh. An operation is a call frame and a reply frame; the agent sends ALIVE frames in
 * between. */
#include <pthread.h>
#include <string.h>

#include "cluster/cluster.h"
#include "node/node.h"

/* ---------------------------------------------------------------- connections */

/* A connection and the streams on it, which several threads may use. libssh admits one thread at a time: whoever uses
 * it takes the turn. */
struct line {
	struct ssh *ssh;
	pthread_mutex_t next, turn; /* a thread that waits for the turn holds `next`, so that the one that gives the
				       turn up does not get it again first */
	unsigned streams;	    /* guarded by the turn; the last one to leave closes the connection */
};

static void line_take(struct line *line)
{
	pthread_mutex_lock(&line->next);
	pthread_mutex_lock(&line->turn);
	pthread_mutex_unlock(&line->next);
}

static void line_give(struct line *line)
{
	pthread_mutex_unlock(&line->turn);
}

static int line_open(const struct ssh_peer *peer, const char *command, struct line **line, struct stream **stream,
		     struct vmm_error **err)
{
	struct ssh *ssh = NULL;
	if (agent_open(peer, command, &ssh, stream, err) < 0)
		return -1;
	*line = mem_zero(sizeof(**line));
	(*line)->ssh = ssh;
	(*line)->streams = 1;
	pthread_mutex_init(&(*line)->next, NULL);
	pthread_mutex_init(&(*line)->turn, NULL);
	return 0;
}

/* Opens one more stream on it, to an agent of its own. */
static int line_join(struct line *line, const struct ssh_peer *peer, const char *command, struct stream **stream,
		     struct vmm_error **err)
{
	line_take(line);
	int done = agent_open_channel(line->ssh, peer, command, stream, err);
	line->streams += done == 0;
	line_give(line);
	return done;
}

static void line_leave(struct line *line, struct stream *stream)
{
	line_take(line);
	stream_close(stream);
	bool last = --line->streams == 0;
	line_give(line);
	if (!last)
		return;
	ssh_close(line->ssh);
	pthread_mutex_destroy(&line->next);
	pthread_mutex_destroy(&line->turn);
	free(line);
}

/* ---------------------------------------------------------------- calls */

struct remote_node {
	struct vmm_node base;
	char *task;
	struct json_object *config;
	struct cluster_peer peer; /* its strings are borrowed from config and itself */
	struct line *line;	  /* NULL: the link is lost */
	struct stream *stream;	  /* of calls */
};

static struct remote_node *remote_of(struct vmm_node *node)
{
	return (struct remote_node *)node;
}

static void hang_up(struct remote_node *remote)
{
	if (remote->line)
		line_leave(remote->line, remote->stream);
	remote->line = NULL;
	remote->stream = NULL;
}

static int remote_reconnect(struct vmm_node *node, struct vmm_error **err)
{
	struct remote_node *remote = remote_of(node);
	if (remote->line)
		return 0;
	vmm_auto_free char *command = remote->task ? str_format("agent %s", remote->task) : str_copy("agent");
	return line_open(&remote->peer.ssh, command, &remote->line, &remote->stream, err);
}

/* The node has said that it is alive: is it to go on? */
static int check_patience(struct remote_node *remote, enum node_op op, int64_t limit_ms, int64_t began_ms,
			  struct vmm_error **err)
{
	const struct vmm_node *node = &remote->base;
	const char *name = node_operations[op].name;
	if (node->cancelled && node->cancelled(node->context))
		return error_set(err, VMM_CANCELLED, "cancelled", "cancelled while %s carried out \"%s\"", node->name,
				 name);
	if (clock_steady_ms() - began_ms < limit_ms)
		return 0;
	error_set(err, VMM_FAILED, "link-silent", "node %s has not carried out \"%s\" within %lld s", node->name, name,
		  (long long)limit_ms / 1000);
	return error_hint(err, "look on %s for what hangs there: its storage, libvirtd, a hook", node->name);
}

static int await_reply(struct remote_node *remote, enum node_op op, struct json_object *args,
		       struct json_object **reply, struct vmm_error **err)
{
	int64_t began_ms = clock_steady_ms();
	int64_t limit_ms = INT64_C(1000) * node_operations[op].limit_s + json_number(args, "limit_ms");
	for (;;) {
		struct frame frame;
		if (frame_receive(remote->stream, FRAME_LIMIT_CONTROL, FRAME_SILENCE_MS, &frame, err) < 0)
			return -1;
		uint8_t type = frame.type;
		int done = type == FRAME_REPLY ? json_parse(frame.data, frame.length, "reply", reply, err) : 0;
		frame_free(&frame);
		if (type == FRAME_REPLY)
			return done;
		if (type != FRAME_ALIVE)
			return error_set(err, VMM_FAILED, "not-our-agent",
					 "node %s answers with something else than our agent", remote->base.name);
		if (check_patience(remote, op, limit_ms, began_ms, err) < 0)
			return -1;
	}
}

static int remote_call(struct vmm_node *node, enum node_op op, struct json_object *args, struct json_object **reply,
		       struct vmm_error **err)
{
	struct remote_node *remote = remote_of(node);
	*reply = NULL;
	if (!remote->line)
		return error_set(err, VMM_FAILED, "link-lost", "the link to node %s is lost", node->name);
	vmm_auto_json struct json_object *call = json_make("op:s args:O", node_operations[op].name, args),
					 *answer = NULL;
	line_take(remote->line);
	int done = frame_send_json(remote->stream, FRAME_CALL, call, err);
	if (done == 0)
		done = await_reply(remote, op, args, &answer, err);
	line_give(remote->line);
	if (done < 0) {
		hang_up(remote);
		return error_on_node(err, node->name);
	}
	if (json_at(answer, "error"))
		return error_from_json(err, json_at(answer, "error"));
	*reply = json_object_get(json_at(answer, "ok"));
	return 0;
}

/* ---------------------------------------------------------------- sessions */

struct session {
	struct stream base;
	struct line *line;
	struct stream *agent; /* on the line; closing it ends the agent */
	struct stream *inner; /* carries the copy: the same stream, or TLS */
};

/* Taking turns with calls, where it is their connection too. Who reads for long does so in slices
 * (copy/source-stream.c). */
static void session_begin_turn(struct session *session)
{
	if (session->inner == session->agent)
		line_take(session->line);
}

static void session_end_turn(struct session *session)
{
	if (session->inner == session->agent)
		line_give(session->line);
}

static ssize_t session_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	struct session *session = (struct session *)s;
	session_begin_turn(session);
	ssize_t got = session->inner->ops->read(session->inner, data, length, wait_ms, err);
	session_end_turn(session);
	return got;
}

static int session_write(struct stream *s, const void *data, size_t length, struct vmm_error **err)
{
	struct session *session = (struct session *)s;
	session_begin_turn(session);
	int done = session->inner->ops->write(session->inner, data, length, err);
	session_end_turn(session);
	return done;
}

static void session_finish(struct stream *s)
{
	struct session *session = (struct session *)s;
	session_begin_turn(session);
	stream_finish(session->inner);
	session_end_turn(session);
}

static void session_close(struct stream *s)
{
	struct session *session = (struct session *)s;
	if (session->inner != session->agent)
		stream_close(session->inner);
	if (session->line)
		line_leave(session->line, session->agent);
	free(session);
}

static const struct stream_ops session_ops = {
	.read = session_read,
	.write = session_write,
	.finish = session_finish,
	.close = session_close,
};

/* The single answer {"ok"} or {"error"} of an agent that serves a session or a tree. */
static int await_answer(struct stream *stream, struct json_object **reply, struct vmm_error **err)
{
	struct frame frame;
	if (frame_receive(stream, FRAME_LIMIT_CONTROL, FRAME_SILENCE_MS, &frame, err) < 0)
		return -1;
	int done = json_parse(frame.data, frame.length, "reply", reply, err);
	frame_free(&frame);
	if (done == 0 && json_at(*reply, "error"))
		return error_from_json(err, json_at(*reply, "error"));
	return done;
}

/* Reads from the agent on which port it listens and with which key, and connects there. */
static int connect_tls(struct remote_node *remote, struct session *session, struct vmm_error **err)
{
	vmm_auto_json struct json_object *reply = NULL;
	line_take(session->line);
	int done = await_answer(session->agent, &reply, err);
	line_give(session->line);
	if (done < 0)
		return error_on_node(err, remote->base.name);
	return tls_connect(&remote->peer.ssh, (int)json_number(reply, "ok.port"), json_text_or(reply, "ok.key", ""),
			   &session->inner, err);
}

/* The first session shares the connection of the calls: opening one takes as long as copying a volume that has hardly
 * changed. Further sessions get connections of their own, so that each can be encrypted by another core. A TLS session
 * needs ssh only to hear the port. */
static int open_session(struct remote_node *remote, const char *command, bool tls, struct session *session,
			struct vmm_error **err)
{
	vmm_auto_error struct vmm_error *refused = NULL;
	if (remote->line && (tls || remote->line->streams == 1)) {
		session->line = remote->line;
		if (line_join(remote->line, &remote->peer.ssh, command, &session->agent, &refused) == 0)
			return 0;
		session->line = NULL;
		if (!error_is(refused, "channel-refused")) {
			error_take(err, refused);
			refused = NULL;
			return -1;
		}
	}
	return line_open(&remote->peer.ssh, command, &session->line, &session->agent, err);
}

static int remote_session(struct vmm_node *node, const char *task, bool tls, struct stream **stream,
			  struct vmm_error **err)
{
	struct remote_node *remote = remote_of(node);
	struct session *session = mem_zero(sizeof(*session));
	session->base.ops = &session_ops;
	vmm_auto_free char *command = str_format("%s %s", tls ? "tls-session" : "session", task);
	int done = open_session(remote, command, tls, session, err);
	if (!tls)
		session->inner = session->agent;
	else if (done == 0)
		done = connect_tls(remote, session, err);
	if (done < 0) {
		session_close(&session->base);
		return -1;
	}
	*stream = &session->base;
	return 0;
}

static int ask_for_tree(struct stream *stream, const char *path, bool checksum, struct vmm_error **err)
{
	vmm_auto_json struct json_object *call = json_make("volume:s checksum:b", path, (int)checksum), *reply = NULL;
	return frame_send_json(stream, FRAME_CALL, call, err) < 0 ? -1 : await_answer(stream, &reply, err);
}

/* Carries the tree over a channel beside that of the calls, which wait meanwhile; if the calls' agent ends, so does
 * this. The caller has the turn. */
static int carry_tree(struct remote_node *remote, const char *task, const char *path, bool checksum, int fd,
		      uint64_t *wire, struct vmm_error **err)
{
	struct stream *stream = NULL;
	vmm_auto_close int line = fd;
	vmm_auto_free char *asked = str_format("tree %s", task);
	int done = agent_open_channel(remote->line->ssh, &remote->peer.ssh, asked, &stream, err);
	if (done == 0)
		done = ask_for_tree(stream, path, checksum, err);
	if (done == 0) {
		done = ssh_carry(remote->line->ssh, stream, remote->stream, line, wire, err);
		line = -1;
	}
	/* The receiver's stderr names the cause, also where our own write noticed its end first. */
	int status = -1;
	bool over = done == 0 || (stream && error_is(*err, "link-lost"));
	vmm_auto_free char *stderr_text = over ? ssh_stderr(stream, &status) : NULL;
	if (stderr_text && *stderr_text && (done < 0 || status != 0)) {
		error_clear(err);
		done = error_set(err, VMM_FAILED, "tree-failed", "the receiving rsync: %.*s",
				 (int)strcspn(stderr_text, "\n"), stderr_text);
	}
	stream_close(stream);
	return done;
}

static int remote_tree(struct vmm_node *node, const char *task, const char *path, bool checksum, int fd, uint64_t *wire,
		       struct vmm_error **err)
{
	struct remote_node *remote = remote_of(node);
	if (!remote->line) {
		close(fd);
		return error_set(err, VMM_FAILED, "link-lost", "the link to node %s is lost", node->name);
	}
	line_take(remote->line);
	int done = carry_tree(remote, task, path, checksum, fd, wire, err);
	line_give(remote->line);
	return done < 0 ? error_on_node(err, node->name) : 0;
}

static int remote_migrate(struct vmm_node *node, struct vmm_node *peer, const char *task,
			  struct guest_migration *migration, struct json_object *options, struct vmm_error **err)
{
	(void)peer, (void)task, (void)migration, (void)options;
	return error_set(err, VMM_FAILED, "not-supported", "memory is sent by the node that has the guest, not by %s",
			 node->name);
}

static int remote_migrate_end(struct vmm_node *node, struct vmm_error **err)
{
	(void)node, (void)err;
	return 0;
}

static void remote_close(struct vmm_node *node)
{
	struct remote_node *remote = remote_of(node);
	hang_up(remote);
	cluster_peer_free(&remote->peer);
	json_object_put(remote->config);
	free(remote->task);
	free(node->name);
	free(remote);
}

static const struct node_ops remote_ops = {
	.call = remote_call,
	.session = remote_session,
	.tree = remote_tree,
	.migrate = remote_migrate,
	.migrate_end = remote_migrate_end,
	.reconnect = remote_reconnect,
	.close = remote_close,
};

int node_open_remote(const struct node_paths *paths, const char *name, const char *task, struct vmm_node **node,
		     struct vmm_error **err)
{
	vmm_auto_free char *conf = str_format("%s/vmmigrate.conf", paths->etc);
	struct remote_node *remote = mem_zero(sizeof(*remote));
	remote->base.ops = &remote_ops;
	remote->base.name = str_copy(name);
	remote->task = task ? str_copy(task) : NULL;
	if (cluster_load(conf, &remote->config, err) < 0 ||
	    cluster_peer(remote->config, paths->etc, name, &remote->peer, err) < 0 ||
	    remote_reconnect(&remote->base, err) < 0) {
		remote_close(&remote->base);
		return -1;
	}
	*node = &remote->base;
	return 0;
}
