/* forward.c: a verb is carried out by the node that it is about, whichever it was typed on. */
#include <string.h>

#include "engine/verbs.h"

enum { FORWARD_LIMIT = 16 << 20, FORWARD_WAIT_MS = 120000 };

int verbs_config(const struct node_paths *paths, struct json_object **config, struct vmm_error **err)
{
	vmm_auto_free char *path = str_format("%s/vmmigrate.conf", paths->etc);
	return cluster_load(path, config, err);
}

struct json_object *verbs_peers(struct json_object *config)
{
	struct json_object *names = json_object_new_array();
	json_object_object_foreach(json_at(config, "node"), name, node)
	{
		(void)node;
		if (!str_same(name, json_text(config, "self")))
			json_object_array_add(names, json_object_new_string(name));
	}
	return names;
}

/* Everything up to the end: into `text`, or straight to our stdout. */
static int drain(struct stream *stream, struct text *text, struct vmm_error **err)
{
	char block[16384];
	for (;;) {
		ssize_t got = stream_read(stream, block, sizeof(block), text ? FORWARD_WAIT_MS : -1, err);
		if (got < 0)
			return error_is(*err, "link-lost") && text && text->length ? (error_clear(err), 0) : -1;
		if (got == 0)
			return 0;
		if (!text && fd_write_all(1, block, (size_t)got) < 0)
			return 0; /* whoever was reading us is gone */
		if (text)
			text_add_bytes(text, block, (size_t)got);
		if (text && text->length > FORWARD_LIMIT)
			return error_set(err, VMM_FAILED, "too-large", "the answer is larger than %d bytes",
					 FORWARD_LIMIT);
	}
}

static int converse(struct ssh *ssh, const char *verb, struct json_object *request, struct text *text,
		    struct vmm_error **err)
{
	vmm_auto_free char *words = str_format("verb %s", verb);
	vmm_auto_json struct json_object *marked = json_copy(request);
	json_put(marked, "forwarded:b", 1);
	const char *line = json_line(marked);
	struct stream *stream;
	if (ssh_exec(ssh, words, &stream, err) < 0)
		return -1;
	int done = stream_write(stream, line, strlen(line), err);
	stream_finish(stream);
	if (done == 0)
		done = drain(stream, text, err);
	stream_close(stream);
	return done;
}

int forward_verb(const struct node_paths *paths, const char *node, const char *verb, struct json_object *request,
		 struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_json struct json_object *config = NULL, *answer = NULL;
	vmm_auto_text struct text text = {0};
	struct cluster_peer peer = {0};
	struct ssh *ssh;
	if (verbs_config(paths, &config, err) < 0 || cluster_peer(config, paths->etc, node, &peer, err) < 0)
		return -1;
	int done = ssh_open(&peer.ssh, &ssh, err);
	if (done == 0) {
		done = converse(ssh, verb, request, reply ? &text : NULL, err);
		ssh_close(ssh);
	}
	cluster_peer_free(&peer);
	if (done < 0)
		return error_context(err, "node %s", node);
	if (!reply)
		return 0;
	if (json_parse(text.data ? text.data : "", -1, "answer", &answer, err) < 0) {
		(*err)->exit = VMM_FAILED;
		return error_context(err, "node %s", node);
	}
	if (json_at(answer, "error"))
		return error_from_json(err, json_at(answer, "error"));
	*reply = json_object_get(answer);
	return 0;
}

static bool answers_to(struct json_object *guest, const char *who)
{
	return str_same(json_text(guest, "id"), who) || str_same(json_text(guest, "name"), who) ||
	       str_same(json_text(guest, "uuid"), who);
}

static bool has_guest(struct json_object *guests, struct json_object *request)
{
	const char *kind = json_text(request, "kind");
	json_each (guest, guests, "guests")
		if (answers_to(guest, json_text_or(request, "guest", "")) &&
		    (!kind || str_same(kind, json_text(guest, "kind"))))
			return true;
	return false;
}

/* The other node that has the guest, or NULL. One that cannot be asked is passed over. */
static char *find_guest(const struct node_paths *paths, struct json_object *config, struct json_object *request)
{
	vmm_auto_json struct json_object *peers = verbs_peers(config);
	json_each (name, peers, "") {
		vmm_auto_error struct vmm_error *problem = NULL;
		vmm_auto_json struct json_object *guests = NULL;
		struct vmm_node *node = NULL;
		if (node_open_remote(paths, json_text(name, ""), NULL, &node, &problem) < 0)
			continue;
		int done = node_call(node, NODE_GUESTS, NULL, &guests, &problem);
		node_close(node);
		if (done == 0 && has_guest(guests, request))
			return str_copy(json_text(name, ""));
	}
	return NULL;
}

int forward_to_guest(const struct node_paths *paths, const char *verb, struct json_object *request,
		     struct json_object **reply, bool *done, struct vmm_error **err)
{
	vmm_auto_json struct json_object *config = NULL, *read = NULL, *here = NULL;
	struct vmm_node *local;
	*done = false;
	if (json_true(request, "forwarded"))
		return 0;
	if (verbs_config(paths, &config, err) < 0 || request_read(request, config, &read, err) < 0 ||
	    node_open_local(paths, &local, err) < 0)
		return -1;
	int asked = node_call(local, NODE_GUESTS, NULL, &here, err);
	node_close(local);
	if (asked < 0 || has_guest(here, read))
		return asked;
	vmm_auto_free char *node = find_guest(paths, config, read);
	if (!node)
		return 0;
	*done = true;
	return forward_verb(paths, node, verb, request, reply, err);
}

int forward_to_task(const struct node_paths *paths, const char *verb, struct json_object *request,
		    struct json_object **reply, bool *done, struct vmm_error **err)
{
	vmm_auto_json struct json_object *config = NULL;
	const char *task = json_text(request, "task");
	*done = false;
	if (!task || json_true(request, "forwarded"))
		return 0;
	if (verbs_config(paths, &config, err) < 0)
		return -1;
	vmm_auto_free char *node = task_node(task);
	vmm_auto_free char *key = str_format("node.%s", node);
	if (!*node || str_same(node, json_text(config, "self")) || !json_at(config, key))
		return 0;
	*done = true;
	return forward_verb(paths, node, verb, request, reply, err);
}
