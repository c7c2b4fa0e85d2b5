/* stream.c: the functions of all streams, and streams on descriptors: an agent's stdin and stdout, a pair of sockets.
 *
 * One thread may read while another writes. A writer that has to wait while nobody reads buffers what arrives, as the
 * streams of ssh do: two sides that both write first do not wait for each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "link.h"

enum {
	PIPE_SIZE = 1 << 20,
	SLICE_MS = 1000, /* longest single wait; time limits are checked in between */
};

struct fd_stream {
	struct stream base;
	int in, out;
	bool out_is_socket;
	pthread_mutex_t reading; /* guards reading from `in`, and the two members below */
	struct receive_buffer buffer;
	bool ended; /* `in` is at its end; the buffer may still have bytes */
};

/* ------------------------------------------------------------------ the receive buffer */

bool receive_buffer_full(const struct receive_buffer *aside)
{
	return aside->text.length - aside->taken >= RECEIVE_BUFFER_LIMIT;
}

void receive_buffer_put(struct receive_buffer *aside, const void *data, size_t length)
{
	if (aside->taken && aside->taken == aside->text.length)
		aside->text.length = aside->taken = 0;
	text_add_bytes(&aside->text, data, length);
}

size_t receive_buffer_take(struct receive_buffer *aside, void *data, size_t length)
{
	size_t left = aside->text.length - aside->taken;
	length = length < left ? length : left;
	if (!length)
		return 0;
	memcpy(data, aside->text.data + aside->taken, length);
	aside->taken += length;
	if (aside->taken == aside->text.length) {
		text_free(&aside->text);
		aside->taken = 0;
	}
	return length;
}

/* ------------------------------------------------------------------ reading */

static int lost(struct vmm_error **err, int number)
{
	return error_set(err, VMM_FAILED, "link-lost", "the other side of the link is gone: %s", strerror(number));
}

/* Waits until `fd` is ready; returns 0 if it is not within wait_ms (-1: waits without limit). */
static int wait_for(int fd, short events, int wait_ms)
{
	int64_t until = clock_steady_ms() + wait_ms;
	for (;;) {
		int64_t left = wait_ms < 0 ? SLICE_MS : until - clock_steady_ms();
		struct pollfd p = {.fd = fd, .events = events};
		if (poll(&p, 1, left < 0 ? 0 : left > SLICE_MS ? SLICE_MS : (int)left) > 0)
			return 1;
		if (wait_ms >= 0 && clock_steady_ms() >= until)
			return 0;
	}
}

static ssize_t read_locked(struct fd_stream *f, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	size_t aside = receive_buffer_take(&f->buffer, data, length);
	if (aside || f->ended)
		return (ssize_t)aside;
	for (;;) {
		if (!wait_for(f->in, POLLIN, wait_ms))
			return error_set(err, VMM_FAILED, "link-silent", "nothing has come over the link for %d ms",
					 wait_ms);
		ssize_t got = read(f->in, data, length);
		if (got >= 0)
			return got;
		if (errno != EINTR && errno != EAGAIN)
			return lost(err, errno);
	}
}

static ssize_t fd_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	struct fd_stream *f = (struct fd_stream *)s;
	pthread_mutex_lock(&f->reading);
	ssize_t got = read_locked(f, data, length, wait_ms, err);
	pthread_mutex_unlock(&f->reading);
	return got;
}

/* ------------------------------------------------------------------ writing */

/* Moves what has arrived to the receive buffer. Returns false if another thread is reading, if the stream has ended, or
 * if the buffer is full: then there is no use in polling for more. */
static bool buffer_arrived(struct fd_stream *f)
{
	if (pthread_mutex_trylock(&f->reading) != 0)
		return false;
	bool more = !f->ended && !receive_buffer_full(&f->buffer);
	if (more && wait_for(f->in, POLLIN, 0)) {
		char data[65536];
		ssize_t got = read(f->in, data, sizeof(data));
		if (got > 0)
			receive_buffer_put(&f->buffer, data, (size_t)got);
		else if (got == 0 || (errno != EINTR && errno != EAGAIN))
			f->ended = true;
	}
	pthread_mutex_unlock(&f->reading);
	return more;
}

/* Waits until more can be written or something arrives; not longer than SLICE_MS. */
static void wait_writable(struct fd_stream *f)
{
	bool take = buffer_arrived(f);
	struct pollfd p[2] = {{.fd = f->out, .events = POLLOUT}, {.fd = f->in, .events = POLLIN}};
	/* If `in` could not be read just now, try again soon. */
	poll(p, take ? 2 : 1, take ? SLICE_MS : 20);
}

static int fd_write(struct stream *s, const void *data, size_t length, struct vmm_error **err)
{
	struct fd_stream *f = (struct fd_stream *)s;
	const char *at = data;
	int64_t moved = clock_steady_ms();
	while (length) {
		ssize_t put = f->out_is_socket ? send(f->out, at, length, MSG_DONTWAIT | MSG_NOSIGNAL)
					       : write(f->out, at, length);
		if (put > 0) {
			at += put;
			length -= (size_t)put;
			moved = clock_steady_ms();
		} else if (put < 0 && errno != EAGAIN && errno != EINTR) {
			return lost(err, errno);
		} else if (clock_steady_ms() - moved >= FRAME_SILENCE_MS) {
			return error_set(err, VMM_FAILED, "link-silent", "the other side has taken nothing for %d s",
					 FRAME_SILENCE_MS / 1000);
		} else {
			wait_writable(f);
		}
	}
	return 0;
}

static void fd_finish(struct stream *s)
{
	struct fd_stream *f = (struct fd_stream *)s;
	if (f->out_is_socket) {
		shutdown(f->out, SHUT_WR);
	} else if (f->out >= 0 && f->out != f->in) {
		close(f->out);
		f->out = -1;
	}
}

static void fd_close(struct stream *s)
{
	struct fd_stream *f = (struct fd_stream *)s;
	if (f->out >= 0 && f->out != f->in)
		close(f->out);
	close(f->in);
	text_free(&f->buffer.text);
	pthread_mutex_destroy(&f->reading);
	free(f);
}

static const struct stream_ops fd_ops = {
	.read = fd_read,
	.write = fd_write,
	.finish = fd_finish,
	.close = fd_close,
};

/* ------------------------------------------------------------------ any stream */

struct stream *stream_on_fds(int in, int out)
{
	struct fd_stream *f = mem_zero(sizeof(*f));
	struct stat st;
	f->base.ops = &fd_ops;
	f->in = in;
	f->out = out;
	f->out_is_socket = fstat(out, &st) == 0 && S_ISSOCK(st.st_mode);
	pthread_mutex_init(&f->reading, NULL);
	/* With a larger pipe the writer of large frames is woken up less often. It works without, too. */
	fcntl(in, F_SETPIPE_SZ, PIPE_SIZE);
	fcntl(out, F_SETPIPE_SZ, PIPE_SIZE);
	if (!f->out_is_socket)
		fcntl(out, F_SETFL, fcntl(out, F_GETFL) | O_NONBLOCK);
	return &f->base;
}

void stream_fds(struct stream *s, int *in, int *out)
{
	*in = ((struct fd_stream *)s)->in;
	*out = ((struct fd_stream *)s)->out;
}

int stream_pair(struct stream *pair[2], struct vmm_error **err)
{
	int fds[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return error_errno(err, errno, "a pair of sockets");
	pair[0] = stream_on_fds(fds[0], fds[0]);
	pair[1] = stream_on_fds(fds[1], fds[1]);
	return 0;
}

ssize_t stream_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	ssize_t got = s->ops->read(s, data, length, wait_ms, err);
	if (got > 0)
		s->received += (uint64_t)got;
	return got;
}

int stream_read_all(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	char *at = data;
	while (length) {
		ssize_t got = stream_read(s, at, length, wait_ms, err);
		if (got < 0)
			return -1;
		if (got == 0)
			return error_set(err, VMM_FAILED, "link-lost", "the other side has ended the stream");
		at += got;
		length -= (size_t)got;
	}
	return 0;
}

int stream_write(struct stream *s, const void *data, size_t length, struct vmm_error **err)
{
	if (s->ops->write(s, data, length, err) < 0)
		return -1;
	s->sent += length;
	return 0;
}

void stream_finish(struct stream *s)
{
	s->ops->finish(s);
}

void stream_close(struct stream *s)
{
	if (s)
		s->ops->close(s);
}
