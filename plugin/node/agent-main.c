/* agent-main.c: vmmigrate-agent NODE, which sshd runs as the forced command of that node's key. What is asked of it is
 * in SSH_ORIGINAL_COMMAND; without that, in its arguments. */
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "node/node.h"

#ifndef VMM_LIBEXEC
#define VMM_LIBEXEC "/usr/libexec/vmmigrate"
#endif

#define PEER_VARIABLE "VMMIGRATE_PEER" /* the engine reads it */

/* "verb NAME": the engine itself, with our stdin and stdout, as another node may ask it. Its names are lower-case
 * letters and dashes. */
static void exec_verb(const char *verb, const char *peer)
{
	if (peer)
		setenv(PEER_VARIABLE, peer, 1);
	else
		unsetenv(PEER_VARIABLE);
	if (!*verb || strspn(verb, "abcdefghijklmnopqrstuvwxyz-") != strlen(verb) || *verb == '-')
		return;
	execl(VMM_LIBEXEC "/vmmigrate-engine", "vmmigrate-engine", "peer", verb, NULL);
}

/* Thousands of frames of 1 MiB are allocated and freed. malloc would return such blocks to the kernel and get zeroed
 * pages for the next one; it keeps them instead, and the window of a copy bounds how many there are. */
static void keep_memory_of_frames(void)
{
	mallopt(M_MMAP_THRESHOLD, FRAME_LIMIT_DATA / 2);
	mallopt(M_TRIM_THRESHOLD, 32 << 20);
}

int main(int argc, char **argv)
{
	const char *original = getenv("SSH_ORIGINAL_COMMAND");
	vmm_auto_text struct text arguments = {0};
	for (int i = 1; i < argc && !original; i++)
		text_add(&arguments, "%s%s", i > 1 ? " " : "", argv[i]);
	vmm_auto_free char *asked = original ? str_copy(original) : text_take(&arguments);
	umask(077);
	keep_memory_of_frames();
	signal(SIGPIPE, SIG_IGN);
	if (str_starts(asked, "verb "))
		exec_verb(asked + strlen("verb "), original && argc > 1 ? argv[1] : NULL);
	struct stream *stream = stream_on_fds(0, 1);
	int status = agent_serve(&node_paths_installed, asked, stream);
	stream_close(stream);
	return status;
}
