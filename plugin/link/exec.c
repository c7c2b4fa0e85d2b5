/* exec.c: streams over the exec channels of an ssh session.
 *
 * Whoever waits, to read or to write, makes libssh receive for all channels of the session. libssh buffers at most one
 * window (1.25 MiB) for each channel, so that memory is bounded. A writer whose window is closed also receives for its
 * own stream (receive_buffer), so that two sides that both write first do not wait for each other. libssh lets the
 * window of a slow reader close only if each read takes all that has arrived: see receive().
 */
#include <string.h>

#include "ssh-internal.h"

enum {
	WRITE_AT_ONCE = 1 << 20,
	STDERR_LIMIT = 65536,  /* bytes of stderr that are kept: the last ones */
	SLICE_MS = 1000,       /* longest single wait */
	EXIT_STATUS_MS = 1000, /* how long the exit status may follow after the end of the output */
};

struct ssh_stream {
	struct stream base;
	struct ssh *ssh;
	ssh_channel channel;
	struct ssh_channel_callbacks_struct callbacks;
	struct receive_buffer buffer;
	struct text stderr_text;
	char *killed_by; /* name of the signal that ended the command, or NULL */
	int status;	 /* exit status; -1: not known */
	bool ended;	 /* the other side sends no more */
	bool closed;	 /* the other side has closed the channel */
};

/* ------------------------------------------------------------------ callbacks of libssh */

static void on_status(ssh_session session, ssh_channel channel, int status, void *user)
{
	(void)session, (void)channel;
	((struct ssh_stream *)user)->status = status;
}

static void on_signal(ssh_session session, ssh_channel channel, const char *name, int core, const char *message,
		      const char *language, void *user)
{
	(void)session, (void)channel, (void)core, (void)message, (void)language;
	str_replace(&((struct ssh_stream *)user)->killed_by, name);
}

static void on_close(ssh_session session, ssh_channel channel, void *user)
{
	(void)session, (void)channel;
	((struct ssh_stream *)user)->closed = true;
}

/* ------------------------------------------------------------------ reading */

/* Reads what the command has written to stderr: it would fill the channel's window otherwise. */
static void read_stderr(struct ssh_stream *s)
{
	char data[4096];
	int got;
	while (ssh_channel_poll(s->channel, 1) > 0 &&
	       (got = ssh_channel_read_nonblocking(s->channel, data, sizeof(data), 1)) > 0)
		text_add_bytes(&s->stderr_text, data, (size_t)got);
	if (s->stderr_text.length > STDERR_LIMIT) {
		size_t over = s->stderr_text.length - STDERR_LIMIT;
		memmove(s->stderr_text.data, s->stderr_text.data + over, STDERR_LIMIT + 1);
		s->stderr_text.length = STDERR_LIMIT;
	}
}

/* Reads all that has arrived: what fits into `data`, the rest into the receive buffer. It never reads only a part,
 * since each read makes libssh open the whole window again, and libssh's own buffer would grow without limit. Returns
 * the number of bytes in `data`; error "link-lost". */
static ssize_t receive(struct ssh_stream *s, void *data, size_t length, struct vmm_error **err)
{
	read_stderr(s);
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
		/* cppcheck-suppress nullPointerArithmetic ; direct only if data has room */
		char *to = direct ? (char *)data + taken : more;
		int got = ssh_channel_read_nonblocking(s->channel, to,
						       (uint32_t)(room < (size_t)there ? room : (size_t)there), 0);
		if (got <= 0)
			return ssh_lost(s->ssh, err);
		if (direct)
			taken += (size_t)got;
		else
			receive_buffer_put(&s->buffer, more, (size_t)got);
		there -= got;
	}
	return (ssize_t)taken;
}

ssize_t ssh_read_some(struct stream *stream, void *data, size_t length, struct vmm_error **err)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	size_t aside = receive_buffer_take(&s->buffer, data, length);
	if (aside || s->ended)
		return (ssize_t)aside;
	return receive(s, data, length, err);
}

bool ssh_ended(struct stream *stream, bool *closed)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	if (closed)
		*closed = s->closed;
	return s->ended && s->buffer.text.length == s->buffer.taken;
}

bool ssh_is_open(struct stream *stream)
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

/* ------------------------------------------------------------------ writing */

/* Error for a write to a command that has ended: contains the last line that it wrote to stderr. */
static int command_ended(struct ssh_stream *s, struct vmm_error **err)
{
	int status;
	vmm_auto_free char *stderr_text = ssh_stderr(&s->base, &status);
	size_t length = strlen(stderr_text);
	while (length && stderr_text[length - 1] == '\n')
		stderr_text[--length] = 0;
	char *line = strrchr(stderr_text, '\n');
	return error_set(err, VMM_FAILED, "link-lost", "%s: the agent there has ended%s%s", s->ssh->name,
			 *stderr_text ? ": " : "", line ? line + 1 : stderr_text);
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
		if ((!receive_buffer_full(&s->buffer) && receive(s, NULL, 0, err) < 0) ||
		    ssh_process(s->ssh, SLICE_MS, err) < 0)
			return -1;
	}
	/* Flush libssh's buffer: the caller may do something else for long. This does not wait for the command, since
	 * sshd always reads its socket. */
	return ssh_blocking_flush(s->ssh->session, FRAME_SILENCE_MS) == SSH_OK ? 0 : ssh_lost(s->ssh, err);
}

/* ------------------------------------------------------------------ ending, starting */

static void exec_finish(struct stream *stream)
{
	struct ssh_stream *s = (struct ssh_stream *)stream;
	/* A channel that sshd refused has no number of its own there: our EOF would end another channel. */
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
	text_free(&s->buffer.text);
	text_free(&s->stderr_text);
	free(s->killed_by);
	free(s);
}

static const struct stream_ops exec_ops = {
	.read = exec_read,
	.write = exec_write,
	.finish = exec_finish,
	.close = exec_close,
};

/* Repeats a request of libssh until it is answered, as a non-blocking session requires. SSH_AGAIN if there is no answer
 * within SSH_CHANNEL_MS. */
static int request_until_answered(struct ssh *ssh, int (*request)(ssh_channel channel, const char *command),
				  ssh_channel channel, const char *command)
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
	int rc = request_until_answered(ssh, open_channel, channel, command);
	return rc == SSH_OK ? request_until_answered(ssh, ssh_channel_request_exec, channel, command) : rc;
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
	int64_t until = clock_steady_ms() + EXIT_STATUS_MS;
	while (s->ended && !s->closed && s->status < 0 && !s->killed_by && clock_steady_ms() < until)
		if (ssh_process(s->ssh, EXIT_STATUS_MS / 10, NULL) < 0)
			break;
	read_stderr(s);
	*status = s->status;
	return s->killed_by ? str_format("%s%skilled by SIG%s", s->stderr_text.data ? s->stderr_text.data : "",
					 s->stderr_text.length ? "\n" : "", s->killed_by)
			    : str_copy(s->stderr_text.data);
}
