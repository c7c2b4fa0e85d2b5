/* agent.c: the other node's agent, on a channel of its own. */
#include <string.h>

#include "link.h"

/* A stream that ended before a hello: sshd ran something else than our agent, or nothing. */
static int explain_silence(const char *node, struct stream *stream, struct vmm_error **err)
{
	if (!error_is(*err, "link-lost"))
		return -1;
	int status = -1;
	vmm_auto_free char *words = ssh_stderr(stream, &status);
	for (size_t end = words ? strlen(words) : 0; end && words[end - 1] == '\n';)
		words[--end] = 0;
	error_clear(err);
	if (status == 127 || status == 126) {
		error_set(err, VMM_BLOCKED, "agent-missing", "node %s has no vmmigrate agent", node);
		return error_hint(err, "install the package vmmigrate on %s", node);
	}
	error_set(err, VMM_BLOCKED, "not-our-agent", "node %s ended the connection instead of answering%s%s", node,
		  words && *words ? ": " : "", words ? words : "");
	return error_hint(err,
			  "is our key's line in authorized_keys there still as it was written? vmmigrate node add %s "
			  "ADDRESS writes it anew",
			  node);
}

int agent_beside(struct ssh *ssh, const char *node, const char *command, struct stream **stream, struct vmm_error **err)
{
	vmm_auto_json struct json_object *hello = NULL;
	if (ssh_exec(ssh, command, stream, err) < 0)
		return -1;
	if (frame_hello(*stream, node, FRAME_SILENCE_MS, &hello, err) == 0)
		return 0;
	explain_silence(node, *stream, err);
	stream_close(*stream);
	*stream = NULL;
	return -1;
}

int agent_open(const struct ssh_peer *peer, const char *command, struct ssh **ssh, struct stream **stream,
	       struct vmm_error **err)
{
	if (ssh_open(peer, ssh, err) < 0)
		return -1;
	if (agent_beside(*ssh, peer->name, command, stream, err) == 0)
		return 0;
	ssh_close(*ssh);
	*ssh = NULL;
	return -1;
}
