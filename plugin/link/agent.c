/* agent.c: starts the agent of another node on an exec channel. */
#include <string.h>

#include "link.h"

/* Replaces "link-lost" by the reason why the stream ended before a hello: sshd has not started our agent, but something
 * else or nothing. Returns -1. */
static int explain_end(const char *node, struct stream *stream, struct vmm_error **err)
{
	if (!error_is(*err, "link-lost"))
		return -1;
	int status = -1;
	vmm_auto_free char *stderr_text = ssh_stderr(stream, &status);
	for (size_t end = strlen(stderr_text); end && stderr_text[end - 1] == '\n';)
		stderr_text[--end] = 0;
	error_clear(err);
	if (status == 127 || status == 126) {
		error_set(err, VMM_BLOCKED, "agent-missing", "node %s has no vmmigrate agent", node);
		return error_hint(err, "install the package vmmigrate on %s", node);
	}
	error_set(err, VMM_BLOCKED, "not-our-agent", "node %s ended the connection instead of answering%s%s", node,
		  *stderr_text ? ": " : "", stderr_text);
	return error_hint(err,
			  "check the line of our key in authorized_keys on %s; vmmigrate node add %s ADDRESS writes it "
			  "again",
			  node, node);
}

/* Is it the node that we mean? Its name and its id are those of the configuration. */
static int check_identity(const struct ssh_peer *peer, struct json_object *hello, struct vmm_error **err)
{
	const char *name = json_text(hello, "node"), *id = json_text(hello, "id"), *at = ssh_peer_address(peer);
	if (json_at(hello, "error")) {
		error_from_json(err, json_at(hello, "error"));
		return error_on_node(err, peer->name);
	}
	if (!name && frame_is_anonymous(hello))
		return 0;
	if (!str_same(name, peer->name)) {
		error_set(err, VMM_BLOCKED, "wrong-node", "the machine at %s is node %s, not %s", at, name ? name : "?",
			  peer->name);
		return error_hint(
			err,
			"if it was renamed: set self = %s in [migration] of its /etc/vmmigrate/vmmigrate.conf, "
			"since all other nodes, and its guests' records, have that name",
			peer->name);
	}
	if (peer->self_id && str_same(id, peer->self_id)) {
		error_set(err, VMM_BLOCKED, "same-node-id",
			  "%s has the same id as this node: one was cloned from the other", peer->name);
		return error_hint(err, "on the one that was cloned remove /etc/vmmigrate/node-id and "
				       "/etc/vmmigrate/id_vmmigrate, then add it again: vmmigrate node add");
	}
	if (!peer->id || str_same(id, peer->id))
		return 0;
	error_set(
		err, VMM_BLOCKED, "wrong-node",
		"the machine at %s has another id than %s had when it was added: it was installed anew, or is another "
		"machine",
		at, peer->name);
	return error_hint(err, "if it is the right one: vmmigrate node add %s %s", peer->name, at);
}

int agent_open_channel(struct ssh *ssh, const struct ssh_peer *peer, const char *command, struct stream **stream,
		       struct vmm_error **err)
{
	vmm_auto_json struct json_object *hello = NULL;
	const struct identity self = {.name = (char *)peer->self, .id = (char *)peer->self_id};
	if (ssh_exec(ssh, command, stream, err) < 0)
		return -1;
	if (frame_hello(*stream, peer->name, &self, FRAME_SILENCE_MS, &hello, err) < 0)
		explain_end(peer->name, *stream, err);
	else if (check_identity(peer, hello, err) == 0)
		return 0;
	stream_close(*stream);
	*stream = NULL;
	return -1;
}

int agent_open(const struct ssh_peer *peer, const char *command, struct ssh **ssh, struct stream **stream,
	       struct vmm_error **err)
{
	if (ssh_open(peer, ssh, err) < 0)
		return -1;
	if (agent_open_channel(*ssh, peer, command, stream, err) == 0)
		return 0;
	ssh_close(*ssh);
	*ssh = NULL;
	return -1;
}
