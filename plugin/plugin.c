/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * vmmigrate.so: each call runs the engine as a process and passes JSON, so that a panel that loads the plug-in gets
 * none of the engine's threads and libraries. There is no global state, so any thread may call. */
#include "internal.h"
#include "vmmigrate-plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT	    __attribute__((visibility("default")))
#define REPLY_LIMIT (16u << 20)
#define EVENT_LIMIT (1u << 20)
#define END_MS	    10000 /* how long an engine may take to end after its reply */
#define STOP_MS	    2000  /* and after it was asked to end */

enum { FAILED = 1, USAGE = 2, NOT_PERMITTED = 4, LAST_STATUS = 9 };

/* ------------------------------------------------------------------ text that grows */

struct buffer {
	char *data;
	size_t length, room;
};

/* Makes room for `more` bytes and a NUL; false for lack of memory. */
static bool buffer_reserve(struct buffer *buffer, size_t more)
{
	size_t room = buffer->room ? buffer->room : 4096;
	char *data;

	while (room < buffer->length + more + 1)
		room *= 2;
	if (room == buffer->room)
		return true;
	data = realloc(buffer->data, room);
	if (!data)
		return false;
	buffer->data = data;
	buffer->room = room;
	return true;
}

/* Hands the text to the caller, who frees it, and empties the buffer. */
static char *buffer_take(struct buffer *buffer)
{
	char *data = buffer->data;

	data[buffer->length] = '\0';
	*buffer = (struct buffer){0};
	return data;
}

/* ------------------------------------------------------------------ errors of our own */

static const char no_memory[] = "{\"api\":1,\"error\":{\"code\":\"no-memory\",\"message\":\"no memory for the reply\","
				"\"hint\":null,\"exit\":1}}";

static int fail(char **reply, int exit, const char *code, const char *message, const char *hint)
{
	*reply = reply_error(exit, code, message, hint);
	if (!*reply)
		*reply = (char *)no_memory;
	return exit;
}

static int fail_start(char **reply, int number)
{
	char message[200];

	if (number == EACCES)
		return fail(reply, NOT_PERMITTED, "not-permitted", "only root may migrate guests",
			    "run it as root, or install the packages pkexec and polkitd");
	if (number == ENOENT)
		return fail(reply, FAILED, "engine-missing", "there is no vmmigrate-engine that could be run",
			    "install the package vmmigrate again");
	snprintf(message, sizeof(message), "vmmigrate-engine cannot be run: %s", strerrordesc_np(number));
	return fail(reply, FAILED, "engine-failed", message, NULL);
}

/* The engine ended without a reply; `stderr_line` is the last line of its stderr. */
static int fail_end(char **reply, const struct child *child, int status, const char *stderr_line)
{
	bool pkexec = child->pkexec, administer = child->administer;
	char how[64], message[600];

	if (pkexec && (status == 126 || status == 127)) {
		snprintf(message, sizeof(message), "you are not permitted to do this%s%s%s",
			 *stderr_line ? " (pkexec: " : "", stderr_line, *stderr_line ? ")" : "");
		return fail(reply, NOT_PERMITTED, "not-permitted", message,
			    administer ? "run it as root, or ask your administrator for the polkit action "
					 "org.vmmigrate.administer"
				       : "run it as root, or ask your administrator for the polkit action "
					 "org.vmmigrate.manage");
	}
	if (status < 0)
		snprintf(how, sizeof(how), "ended");
	else if (status > CHILD_SIGNALLED)
		snprintf(how, sizeof(how), "was ended by signal %d", status - CHILD_SIGNALLED);
	else
		snprintf(how, sizeof(how), "ended with status %d", status);
	snprintf(message, sizeof(message), "vmmigrate-engine %s without a reply%s%s", how, *stderr_line ? ": " : "",
		 stderr_line);
	return fail(reply, FAILED, "engine-failed", message, "see the system's log; VMMIGRATE_DEBUG=1 says more");
}

/* ------------------------------------------------------------------ call */

static bool verb_is_valid(const char *verb)
{
	return *verb && *verb != '-' && strlen(verb) <= 40 && verb[strspn(verb, "abcdefghijklmnopqrstuvwxyz-")] == '\0';
}

/* Reads the engine's whole stdout. Returns 0 or an errno (EMSGSIZE: more than REPLY_LIMIT). */
static int read_reply(struct child *child, struct buffer *buffer)
{
	ssize_t n;

	do {
		if (!buffer_reserve(buffer, 4096))
			return ENOMEM;
		n = child_read(child, buffer->data + buffer->length, buffer->room - buffer->length - 1, true, false);
		if (n < 0)
			return errno;
		buffer->length += (size_t)n;
		if (buffer->length > REPLY_LIMIT)
			return EMSGSIZE;
	} while (n > 0);
	while (buffer->length > 0 && strchr("\n\r\t ", buffer->data[buffer->length - 1]))
		buffer->length--;
	return 0;
}

static bool is_reply(const struct buffer *buffer)
{
	buffer->data[buffer->length] = '\0';
	return strlen(buffer->data) == buffer->length && reply_is_object(buffer->data);
}

static int finish(struct child *child, struct buffer *buffer, char **reply)
{
	char stderr_line[400];
	int status;

	child_stderr_line(child, stderr_line, sizeof(stderr_line));
	status = child_end(child, END_MS);
	if (!is_reply(buffer))
		return fail_end(reply, child, status, stderr_line);
	/* If the host reaps all children the exit status is unknown. Then, and if it is none of ours, the reply's own
	 * counts. */
	if (status <= 0)
		status = reply_exit(buffer->data);
	else if (status > LAST_STATUS && reply_exit(buffer->data) == 0)
		return fail_end(reply, child, status, stderr_line);
	else if (status > LAST_STATUS)
		status = reply_exit(buffer->data);
	*reply = buffer_take(buffer);
	return status;
}

static int plugin_call(const char *verb, const char *request, char **reply)
{
	struct buffer buffer = {0};
	struct child child;
	int rc;

	if (!verb || !verb_is_valid(verb))
		return fail(reply, USAGE, "usage", "a verb is made of lower-case letters and dashes", NULL);
	rc = child_start(&child, verb, request ? request : "{\"api\":1}");
	if (rc != 0)
		return fail_start(reply, rc);
	rc = read_reply(&child, &buffer);
	if (rc == 0) {
		rc = finish(&child, &buffer, reply);
	} else {
		child_stop(&child);
		child_end(&child, STOP_MS);
		rc = fail(reply, FAILED, "engine-failed",
			  rc == EMSGSIZE ? "vmmigrate-engine replied with more than 16 MiB" : strerrordesc_np(rc),
			  NULL);
	}
	free(buffer.data);
	return rc;
}

/* ------------------------------------------------------------------ follow */

struct vmmigrate_follow {
	struct child child;
	struct buffer line; /* the part of a line that has come so far */
};

/* The task's id goes into the request without quoting. */
static bool task_is_valid(const char *task)
{
	size_t length = strlen(task);

	for (size_t i = 0; i < length; i++)
		if ((unsigned char)task[i] < 0x20 || task[i] == '"' || task[i] == '\\')
			return false;
	return length > 0 && length <= 255;
}

static struct vmmigrate_follow *plugin_follow(const char *task, uint64_t from_seq)
{
	struct vmmigrate_follow *follow;
	char request[400];
	int rc;

	if (!task || !task_is_valid(task)) {
		errno = EINVAL;
		return NULL;
	}
	follow = calloc(1, sizeof(*follow));
	if (!follow)
		return NULL;
	snprintf(request, sizeof(request), "{\"api\":1,\"task\":\"%s\",\"from\":%llu}", task,
		 (unsigned long long)from_seq);
	rc = child_start(&follow->child, "follow", request);
	if (rc == 0)
		return follow;
	free(follow);
	errno = rc;
	return NULL;
}

static int plugin_follow_fd(const struct vmmigrate_follow *follow)
{
	return follow->child.out;
}

/* No byte after the end of the event is read: the rest stays in the socket, so that the descriptor that the host polls
 * is readable exactly while there is another event. */
static int plugin_next_event(struct vmmigrate_follow *follow, char **event)
{
	struct buffer *line = &follow->line;

	for (;;) {
		char chunk[4096], *newline;
		ssize_t n = child_read(&follow->child, chunk, sizeof(chunk), false, true);

		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		newline = memchr(chunk, '\n', (size_t)n);
		n = newline ? newline - chunk + 1 : n;
		if (line->length + (size_t)n > EVENT_LIMIT || !buffer_reserve(line, (size_t)n))
			return -1;
		n = child_read(&follow->child, line->data + line->length, (size_t)n, false, false);
		if (n <= 0)
			return -1;
		line->length += (size_t)n;
		if (line->data[line->length - 1] != '\n')
			continue;
		line->length--;
		if (is_reply(line)) {
			*event = buffer_take(line);
			return 1;
		}
		line->length = 0; /* an empty line, or no JSON object: the host gets events only */
	}
}

static void plugin_end_follow(struct vmmigrate_follow *follow)
{
	if (!follow)
		return;
	child_stop(&follow->child);
	child_end(&follow->child, STOP_MS);
	free(follow->line.data);
	free(follow);
}

static void plugin_free(void *memory)
{
	if (memory != no_memory)
		free(memory);
}

/* ------------------------------------------------------------------ the table */

static const struct vmmigrate_plugin plugin = {
	.size = sizeof(struct vmmigrate_plugin),
	.version = VMMIGRATE_API_VERSION,
	.release = VMM_VERSION,
	.call = plugin_call,
	.follow = plugin_follow,
	.follow_fd = plugin_follow_fd,
	.next_event = plugin_next_event,
	.end_follow = plugin_end_follow,
	.free = plugin_free,
};

EXPORT const struct vmmigrate_plugin *vmmigrate_plugin(int host_api_version)
{
	return host_api_version >= 1 && host_api_version <= VMMIGRATE_API_VERSION ? &plugin : NULL;
}
