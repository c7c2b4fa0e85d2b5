/* forward.c: has a verb carried out by the node that has the guest or the task, on whichever node it was typed. */
#include <string.h>

#include "engine/engine.h"

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

int verbs_no_node(const char *name, struct json_object *names, struct vmm_error **err)
{
	const char *near = json_suggest(names, name);
	error_set(err, VMM_NOT_FOUND, "target-unknown", "no node %s", name);
	return near ? error_hint(err, "did you mean %s?", near) : error_hint(err, "see the nodes: vmmigrate nodes");
}

/* Reads everything up to the end of the stream: into `text`, or to our stdout where `text` is NULL. */
static int read_answer(struct stream *stream, struct text *text, struct vmm_error **err)
{
	char block[16384];
	for (;;) {
		ssize_t got = stream_read(stream, block, sizeof(block), text ? FORWARD_WAIT_MS : -1, err);
		if (got < 0)
			return error_is(*err, "link-lost") && text && text->length ? (error_clear(err), 0) : -1;
		if (got == 0)
			return 0;
		if (!text && fd_write_all(1, block, (size_t)got) < 0)
			return 0; /* nobody reads our stdout any more */
		if (text)
			text_add_bytes(text, block, (size_t)got);
		if (text && text->length > FORWARD_LIMIT)
			return error_set(err, VMM_FAILED, "too-large", "the answer is larger than %d bytes",
					 FORWARD_LIMIT);
	}
}

static int ask_engine(struct ssh *ssh, const char *verb, struct json_object *request, struct text *text,
		      struct vmm_error **err)
{
	vmm_auto_free char *command = str_format("verb %s", verb);
	vmm_auto_json struct json_object *marked = json_copy(request);
	json_put(marked, "forwarded:b", 1);
	const char *line = json_line(marked);
	struct stream *stream;
	if (ssh_exec(ssh, command, &stream, err) < 0)
		return -1;
	int done = stream_write(stream, line, strlen(line), err);
	stream_finish(stream);
	if (done == 0)
		done = read_answer(stream, text, err);
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
		done = ask_engine(ssh, verb, request, reply ? &text : NULL, err);
		ssh_close(ssh);
	}
	cluster_peer_free(&peer);
	if (done < 0)
		return error_on_node(err, node);
	if (!reply)
		return 0;
	if (json_parse(text.data ? text.data : "", -1, "answer", &answer, err) < 0) {
		(*err)->exit = VMM_FAILED;
		return error_on_node(err, node);
	}
	if (json_at(answer, "error"))
		return error_from_json(err, json_at(answer, "error"));
	*reply = json_object_get(answer);
	return 0;
}

bool forward_answers_to(struct json_object *guest, const char *who)
{
	return str_same(json_text(guest, "id"), who) || str_same(json_text(guest, "name"), who) ||
	       str_same(json_text(guest, "uuid"), who);
}

/* The search for a guest on all nodes, and what the error has to say if no node has it. */
struct search {
	const struct node_paths *paths;
	struct json_object *config, *request; /* borrowed */
	struct json_object *names;	      /* ids and names of all guests, to suggest one from */
	struct text asked;		      /* "node1, node2" */
	struct vmm_error *silence;	      /* why the first node that does not answer could not be asked */
};

static void search_end(struct search *s)
{
	json_object_put(s->names);
	text_free(&s->asked);
	error_clear(&s->silence);
}

static bool has_guest(struct search *s, const char *node, struct json_object *answer)
{
	const char *kind = json_text(s->request, "kind");
	json_each (guest, answer, "guests") {
		if (forward_answers_to(guest, json_text_or(s->request, "guest", "")) &&
		    (!kind || str_same(kind, json_text(guest, "kind"))))
			return true;
		json_object_array_add(s->names, json_object_new_string(json_text_or(guest, "id", "")));
		json_object_array_add(s->names, json_object_new_string(json_text_or(guest, "name", "")));
	}
	json_each (problem, answer, "errors") {
		if (s->silence)
			continue;
		error_from_json(&s->silence, problem);
		error_on_node(&s->silence, node);
	}
	text_add(&s->asked, "%s%s", s->asked.length ? ", " : "", node);
	return false;
}

static bool is_on(struct search *s, const char *node, bool self)
{
	vmm_auto_json struct json_object *answer = NULL;
	struct vmm_error *problem = NULL;
	struct vmm_node *opened = NULL;
	int done = self ? node_open_local(s->paths, &opened, &problem)
			: node_open_remote(s->paths, node, NULL, &opened, &problem);
	if (done == 0)
		done = node_call(opened, NODE_GUESTS, NULL, &answer, &problem);
	node_close(opened);
	if (done == 0)
		return has_guest(s, node, answer);
	if (s->silence)
		error_clear(&problem);
	else
		s->silence = problem;
	return false;
}

/* The other node that has the guest, or NULL. */
static char *find_guest(struct search *s)
{
	vmm_auto_json struct json_object *peers = verbs_peers(s->config);
	json_each (name, peers, "")
		if (is_on(s, json_text(name, ""), false))
			return str_copy(json_text(name, ""));
	return NULL;
}

/* If a node could not be asked, it may have the guest: the error says so in place of "no such guest". */
static int not_found(struct search *s, struct vmm_error **err)
{
	const char *who = json_text(s->request, "guest"), *near = json_suggest(s->names, who);
	if (s->silence) {
		error_take(err, s->silence);
		s->silence = NULL;
		(*err)->exit = VMM_BLOCKED;
		return error_context(err, "guest %s is on no node that answers", who);
	}
	error_set(err, VMM_NOT_FOUND, "no-such-guest", "there is no guest %s on %s", who, s->asked.data);
	return near ? error_hint(err, "did you mean %s? All guests: vmmigrate list", near)
		    : error_hint(err, "see the guests of all nodes: vmmigrate list");
}

int forward_to_guest(const struct node_paths *paths, const char *verb, struct json_object *request,
		     struct json_object **reply, bool *done, struct vmm_error **err)
{
	vmm_auto_json struct json_object *config = NULL, *read = NULL;
	*done = false;
	if (json_true(request, "forwarded"))
		return 0;
	if (verbs_config(paths, &config, err) < 0 || request_read(request, config, &read, err) < 0)
		return -1;
	struct search search = {.paths = paths, .config = config, .request = read, .names = json_object_new_array()};
	int result = 0;
	if (!is_on(&search, json_text(config, "self"), true)) {
		vmm_auto_free char *node = find_guest(&search);
		*done = node != NULL;
		result = node ? forward_verb(paths, node, verb, request, reply, err) : not_found(&search, err);
	}
	search_end(&search);
	return result;
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
	if (!*node || str_same(node, json_text(config, "self")) || !json_member(json_at(config, "node"), node))
		return 0;
	*done = true;
	return forward_verb(paths, node, verb, request, reply, err);
}
