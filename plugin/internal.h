/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the files of vmmigrate.so share. It links libc only and stands on nothing of the rest of the tree:
 *
 *	plugin.c   the exported table: call, follow
 *	child.c    one running engine
 *	reply.c    what it said: is it JSON, is it an error
 */
#ifndef VMMIGRATE_INTERNAL_H
#define VMMIGRATE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* ------------------------------------------------------------------ child.c */

struct child {
	pid_t pid;
	int pidfd;   /* names the process for good, whoever reaps it; -1 where the kernel has none */
	int out;     /* our end of a socket that is its stdout */
	int words;   /* a file in memory that is its stderr, of limited size */
	bool pkexec; /* it runs through pkexec: we may not be allowed to end it */
};

/* Runs `engine VERB` with `request` on its stdin. Returns 0, or an errno: ENOENT where there is no engine, EACCES where
 * there is no pkexec for a caller that is not root. */
int child_start(struct child *child, const char *verb, const char *request);

/* Takes bytes as they come, waiting for them where `wait` is set. Returns the count, 0 at the end (its stdout was
 * closed, or it has ended and nothing is left), or -1 with errno (EAGAIN: nothing yet). `peek` leaves them there. */
ssize_t child_read(struct child *child, void *data, size_t room, bool wait, bool peek);

/* What it said on stderr: its last line, at most room - 1 bytes, without control characters. */
void child_last_words(const struct child *child, char *line, size_t room);

/* Asks it to end. */
void child_stop(struct child *child);

#define CHILD_SIGNALLED 256 /* added to the number of the signal that ended it */

/* Waits for its end, at most limit_ms; then it is killed. Closes everything. Returns its exit status, CHILD_SIGNALLED +
 * signal, or -1 where the host has reaped it (by wait(), or by ignoring SIGCHLD): nobody knows then. */
int child_end(struct child *child, int limit_ms);

/* ------------------------------------------------------------------ reply.c */

/* True where the text is one well-formed JSON object and nothing else. */
bool reply_is_object(const char *text);

/* The exit status that a well-formed reply carries in its "error"; 0 where it has none. */
int reply_exit(const char *text);

/* An error as a reply: {"api":1,"error":{...}}. NULL only for lack of memory. `hint` may be NULL. */
char *reply_error(int exit, const char *code, const char *message, const char *hint);

#endif
