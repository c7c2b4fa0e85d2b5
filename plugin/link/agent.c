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

int agent_open_channel(struct ssh *ssh, const char *node, const char *command, struct stream **stream,
		       struct vmm_error **err)
{
	vmm_auto_json struct json_object *hello = NULL;
	if (ssh_exec(ssh, command, stream, err) < 0)
		return -1;
	if (frame_hello(*stream, node, FRAME_SILENCE_MS, &hello, err) == 0)
		return 0;
	explain_end(node, *stream, err);
	stream_close(*stream);
	*stream = NULL;
	return -1;
}

int agent_open(const struct ssh_peer *peer, const char *command, struct ssh **ssh, struct stream **stream,
	       struct vmm_error **err)
{
	if (ssh_open(peer, ssh, err) < 0)
		return -1;
	if (agent_open_channel(*ssh, peer->name, command, stream, err) == 0)
		return 0;
	ssh_close(*ssh);
	*ssh = NULL;
	return -1;
}
