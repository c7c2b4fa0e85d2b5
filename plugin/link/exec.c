/* exec.c: streams over the exec channels of an ssh session.
 *
 * Whoever waits, be it to read or to write, lets libssh take in what arrives for all channels; each keeps at most one
 * window (1.25 MiB) of it unread, so memory is bounded. A writer whose window is closed reads for its own stream as
 * well (stream_aside): two sides that both write never wait on each other. libssh closes a slow reader's window only if
 * whoever reads takes all that is there: see take_in.
 */
#include <string.h>

#include "ssh-own.h"

enum {
	WRITE_AT_ONCE = 1 << 20,
	SAID_LIMIT = 65536, /* of stderr the end is kept */
	SLICE_MS = 1000,
	LAST_WORDS_MS = 1000, /* the exit status follows the end of the output */
};

struct ssh_stream {
	struct stream base;
	struct ssh *ssh;
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	struct stream_aside aside;
	struct text said;   /* stderr */
	char *killed_by;    /* the signal that ended the command, or NULL */
	int status;	    /* -1: not known */
	bool ended, closed; /* it will send no more; it has closed the channel */
};

/* ------------------------------------------------------------------ what the peer says */

static void on_status(ssh_session session, ssh_channel channel, int status, void *user)
{
	(void)session, (void)channel;
	((struct ssh_stream *)user)->status = status;
}

static void on_signal(ssh_session session, ssh_channel channel, const char *name, int core, const char *words,
		      const char *language, void *user)
{
	(void)session, (void)channel, (void)core, (void)words, (void)language;
	str_replace(&((struct ssh_stream *)user)->killed_by, name);
}

static void on_close(ssh_session session, ssh_channel channel, void *user)
{
	(void)session, (void)channel;
	((struct ssh_stream *)user)->closed = true;
}

/* Keeps the window from filling with what the command says on stderr. */
static void listen_to_stderr(struct ssh_stream *s)
{
	char data[4096];
	int got;
	while (ssh_channel_poll(s->channel, 1) > 0 &&
	       (got = ssh_channel_read_nonblocking(s->channel, data, sizeof(data), 1)) > 0)
		text_add_bytes(&s->said, data, (size_t)got);
	if (s->said.length > SAID_LIMIT) {
		size_t over = s->said.length - SAID_LIMIT;
		memmove(s->said.data, s->said.data + over, SAID_LIMIT + 1);
		s->said.length = SAID_LIMIT;
	}
}

/* Takes in what has arrived: as much as fits to `data`, the rest aside. All or nothing is taken of it, since each read
 * makes libssh open the whole window again. The count in data; -1 where the connection is lost. */
static ssize_t take_in(struct ssh_stream *s, void *data, size_t length, struct vmm_error **err)
{
	listen_to_stderr(s);
	int there = ssh_channel_poll(s->channel, 0);
	if (there == SSH_EOF)
		s->ended = true;
	else if (there < 0)
		return ssh_lost(s->ssh, err);
	size_t taken = 0;
	while (there > 0) {
		char more[65536];
		bool direct = taken < length;
		size_t room = direct ? length - taken : sizeof(more);
		/* cppcheck-suppress nullPointerArithmetic ; direct only where data has room */
		char *to = direct ? (char *)data + taken : more;
		int got = ssh_channel_read_nonblocking(s->channel, to,
						       (uint32_t)(room < (size_t)there ? room : (size_t)there), 0);
		if (got <= 0)
			return ssh_lost(s->ssh, err);
		if (direct)
			taken += (size_t)got;
		else
			stream_aside_put(&s->aside, more, (size_t)got);
		there -= got;
	}
	return (ssize_t)taken;
}

ssize_t ssh_read_some(struct stream *stream, void *data, size_t length, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	size_t aside = stream_aside_take(&s->aside, data, length);
	if (aside || s->ended)
		return (ssize_t)aside;
	return take_in(s, data, length, err);
}

bool ssh_ended(struct stream *stream, bool *closed)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	if (closed)
		*closed = s->closed;
	return s->ended && s->aside.text.length == s->aside.taken;
}

bool ssh_waits(struct stream *stream)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	return !s->ended && !s->closed && !ssh_channel_is_eof(s->channel);
}

static ssize_t exec_read(struct stream *stream, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	int64_t until = clock_steady_ms() + wait_ms;
	for (;;) {
		ssize_t got = ssh_read_some(stream, data, length, err);
		if (got || s->ended)
			return got;
		int64_t left = wait_ms < 0 ? SLICE_MS : until - clock_steady_ms();
		if (left <= 0 && wait_ms >= 0)
			return error_set(err, VMM_FAILED, "link-silent", "%s: nothing has come over the link for %d ms",
					 s->ssh->name, wait_ms);
		if (ssh_process(s->ssh, left < SLICE_MS ? (int)left : SLICE_MS, err) < 0)
			return -1;
	}
}

/* The command has closed its end: says so in its own last words. */
static int command_ended(struct ssh_stream *s, struct vmm_error **err)
{
	int status;
	vmm_auto_free char *said = ssh_stderr(&s->base, &status);
	size_t length = strlen(said);
	while (length && said[length - 1] == '\n')
		said[--length] = 0;
	char *line = strrchr(said, '\n');
	return error_set(err, VMM_FAILED, "link-lost", "%s: the agent there has ended%s%s", s->ssh->name,
			 *said ? ": " : "", line ? line + 1 : said);
}

ssize_t ssh_write_some(struct stream *stream, const void *data, size_t length, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	if (s->ssh->lost)
		return ssh_lost(s->ssh, err);
	if (s->closed || ssh_channel_is_closed(s->channel))
		return ssh_is_connected(s->ssh->session) ? command_ended(s, err) : ssh_lost(s->ssh, err);
	int put = ssh_channel_write(s->channel, data, (uint32_t)(length < WRITE_AT_ONCE ? length : WRITE_AT_ONCE));
	if (put < 0)
		return s->closed ? command_ended(s, err) : ssh_lost(s->ssh, err);
	return put;
}

static int exec_write(struct stream *stream, const void *data, size_t length, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	const char *at = data;
	int64_t moved = clock_steady_ms();
	while (length) {
		ssize_t put = ssh_write_some(stream, at, length, err);
		if (put < 0)
			return -1;
		at += put;
		length -= (size_t)put;
		if (put) {
			moved = clock_steady_ms();
			continue;
		}
		if (clock_steady_ms() - moved >= FRAME_SILENCE_MS)
			return error_set(err, VMM_FAILED, "link-silent",
					 "%s: the other side has taken nothing for %d s", s->ssh->name,
					 FRAME_SILENCE_MS / 1000);
		if ((!stream_aside_full(&s->aside) && take_in(s, NULL, 0, err) < 0) ||
		    ssh_process(s->ssh, SLICE_MS, err) < 0)
			return -1;
	}
	/* Nothing of ours waits in libssh while the caller is busy elsewhere. sshd always reads its socket. */
	return ssh_blocking_flush(s->ssh->session, FRAME_SILENCE_MS) == SSH_OK ? 0 : ssh_lost(s->ssh, err);
}

static void exec_finish(struct stream *stream)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	/* A channel that was refused has no number at the peer: what we said of it would be taken for another one's. */
	if (s->ssh->lost || s->closed || !ssh_channel_is_open(s->channel))
		return;
	ssh_channel_send_eof(s->channel);
	ssh_blocking_flush(s->ssh->session, SSH_CLOSE_MS);
}

static void exec_close(struct stream *stream)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	exec_finish(stream);
	ssh_remove_channel_callbacks(s->channel, &s->callbacks);
	ssh_channel_free(s->channel);
	if (!s->ssh->lost)
		ssh_blocking_flush(s->ssh->session, SSH_CLOSE_MS);
	text_free(&s->aside.text);
	text_free(&s->said);
	free(s->killed_by);
	free(s);
}

static const struct stream_ops exec_ops = {
	.read = exec_read,
	.write = exec_write,
	.finish = exec_finish,
	.close = exec_close,
};

/* One of libssh's requests, that is to be made again and again until it has an answer; SSH_AGAIN where none comes. */
static int insist(struct ssh *ssh, int (*request)(ssh_channel channel, const char *command), ssh_channel channel,
		  const char *command)
{
	int64_t until = clock_steady_ms() + SSH_CHANNEL_MS, left;
	int rc;
	while ((rc = request(channel, command)) == SSH_AGAIN && (left = until - clock_steady_ms()) > 0)
		if (ssh_process(ssh, left < SLICE_MS ? (int)left : SLICE_MS, NULL) < 0)
			return SSH_ERROR;
	return rc;
}

static int open_channel(ssh_channel channel, const char *command)
{
	(void)command;
	return ssh_channel_open_session(channel);
}

static int start_command(struct ssh *ssh, ssh_channel channel, const char *command)
{
	int rc = insist(ssh, open_channel, channel, command);
	return rc == SSH_OK ? insist(ssh, ssh_channel_request_exec, channel, command) : rc;
}

int ssh_exec(struct ssh *ssh, const char *command, struct stream **stream, struct vmm_error **err)
{
	struct ssh_stream *s = mem_zero(sizeof(*s));
	s->base.ops = &exec_ops;
	s->ssh = ssh;
	s->status = -1;
	s->channel = ssh->lost ? NULL : ssh_channel_new(ssh->session);
	if (!s->channel) {
		free(s);
		return ssh_lost(ssh, err);
	}
	s->callbacks.userdata = s;
	s->callbacks.channel_exit_status_function = on_status;
	s->callbacks.channel_exit_signal_function = on_signal;
	s->callbacks.channel_close_function = on_close;
	ssh_callbacks_init(&s->callbacks);
	ssh_add_channel_callbacks(s->channel, &s->callbacks);
	int started = start_command(ssh, s->channel, command);
	if (started == SSH_OK) {
		*stream = &s->base;
		return 0;
	}
	if (started == SSH_AGAIN) {
		error_set(err, VMM_FAILED, "link-silent", "%s: sshd there has not started our command for %d s",
			  ssh->name, SSH_CHANNEL_MS / 1000);
	} else if (ssh_is_connected(ssh->session) && ssh_get_error_code(ssh->session) == SSH_REQUEST_DENIED) {
		error_set(err, VMM_FAILED, "channel-refused", "%s: sshd there refuses one more channel: %s", ssh->name,
			  ssh_get_error(ssh->session));
		error_hint(err, "raise MaxSessions in /etc/ssh/sshd_config on %s", ssh->name);
	} else {
		ssh_lost(ssh, err);
	}
	exec_close(&s->base);
	return -1;
}

char *ssh_stderr(struct stream *stream, int *status)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	int64_t until = clock_steady_ms() + LAST_WORDS_MS;
	while (s->ended && !s->closed && s->status < 0 && !s->killed_by && clock_steady_ms() < until)
		if (ssh_process(s->ssh, LAST_WORDS_MS / 10, NULL) < 0)
			break;
	listen_to_stderr(s);
	*status = s->status;
	return s->killed_by ? str_format("%s%skilled by SIG%s", s->said.data ? s->said.data : "",
					 s->said.length ? "\n" : "", s->killed_by)
			    : str_copy(s->said.data);
}
