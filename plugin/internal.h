/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of vmmigrate.so share. It links libc only and uses nothing else of the tree. In reading order:
 *
 *	plugin.c   the exported functions: call, follow
 *	child.c    starts one engine process, reads what it writes, ends it
 *	reply.c    checks that the engine's reply is JSON, finds its exit status, makes the plug-in's own error replies
 */
#ifndef VMMIGRATE_INTERNAL_H
#define VMMIGRATE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* ------------------------------------------------------------------ child.c */

/* One engine process. */
struct child {
	pid_t pid;
	int pidfd;	 /* stays valid even if the host reaps the process and its pid is reused; -1: not supported */
	int out;	 /* our end of the socket that is its stdout */
	int stderr_fd;	 /* a file in memory, of limited size, that is its stderr */
	bool pkexec;	 /* pkexec has started it as root: a host that is not root cannot kill it */
	bool administer; /* pkexec was asked for org.vmmigrate.administer */
};

/* Runs `vmmigrate-engine VERB` with `request` on its stdin. Returns 0, then the caller ends it with child_end; or an
 * errno: ENOENT if there is no engine, EACCES if the caller is not root and there is no pkexec. */
int child_start(struct child *child, const char *verb, const char *request);

/* Reads at most `room` bytes of its stdout; with `wait` it blocks until there are any, with `peek` they stay in the
 * socket and are read again. Returns the number of bytes; 0 at the end (it closed its stdout, or it ended and all has
 * been read); or -1 with errno (EAGAIN: nothing has come yet). */
ssize_t child_read(struct child *child, void *data, size_t room, bool wait, bool peek);

/* The last line of its stderr, cut to room - 1 bytes; control characters are replaced by blanks. "" if there is none.
 */
void child_stderr_line(const struct child *child, char *line, size_t room);

/* Asks it to end: closes its stdout and sends SIGTERM. Does not wait. */
void child_stop(struct child *child);

#define CHILD_SIGNALLED 256 /* added by child_end to the number of the signal that ended it */

/* Waits for its end, at most limit_ms milliseconds, then kills it. Closes all descriptors. Returns its exit status; or
 * CHILD_SIGNALLED + signal; or -1 if the status is unknown because the host reaped it (by wait(), or by ignoring
 * SIGCHLD). */
int child_end(struct child *child, int limit_ms);

/* ------------------------------------------------------------------ reply.c */

/* True if the text is one well-formed JSON object and nothing else. */
bool reply_is_object(const char *text);

/* The exit status in the "error" of a well-formed reply, from 1 to 255; 0 if it has no error. */
int reply_exit(const char *text);

/* Makes an error reply, {"api":1,"error":{...}}. `hint` may be NULL. The caller frees it. NULL for lack of memory. */
char *reply_error(int exit, const char *code, const char *message, const char *hint);

#endif
