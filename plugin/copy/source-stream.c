/* source-stream.c: the source's end of a session, as a stream that can be stopped while it waits and keeps the rate
 * limit.
 *
 * libssh allows one thread for a session, so the thread that sends also receives. source_stream_ready tells it, without
 * waiting, whether there is something to receive. */
#include "source.h"

enum { SLICE_MS = 50 };

static struct source_stream *source_stream_of(struct stream *stream)
{
	return (struct source_stream *)stream; /* its first member */
}

static int check_stop(const struct source_stream *s, struct vmm_error **err)
{
	bool wanted = !s->job || !s->job->progress || s->job->progress(s->job->context, s->progress);
	if (wanted && !(s->stop && *s->stop))
		return 0;
	return error_set(err, VMM_CANCELLED, "cancelled", "the copy was stopped");
}

static void count(struct source_stream *s, size_t bytes)
{
	if (s->wire)
		*s->wire += bytes;
}

/* Reads once from the session. It waits in slices of SLICE_MS, so that a stop is seen. */
static ssize_t read_in_slices(struct source_stream *s, void *data, size_t length, struct vmm_error **err)
{
	for (int64_t began = clock_steady_ms();;) {
		struct vmm_error *failure = NULL;
		if (check_stop(s, err) < 0)
			return -1;
		ssize_t n = stream_read(s->lower, data, length, SLICE_MS, &failure);
		if (n > 0)
			count(s, (size_t)n);
		if (n >= 0)
			return n;
		bool silent = error_is(failure, "link-silent");
		if (!silent || clock_steady_ms() - began >= FRAME_SILENCE_MS) {
			error_take(err, failure);
			return -1;
		}
		error_clear(&failure);
	}
}

static ssize_t source_stream_read(struct stream *stream, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	(void)wait_ms;
	struct source_stream *s = source_stream_of(stream);
	if (s->from == s->to) {
		if (s->ended)
			return 0;
		if (length >= sizeof(s->buffer))
			return read_in_slices(s, data, length, err);
		ssize_t n = read_in_slices(s, s->buffer, sizeof(s->buffer), err);
		if (n <= 0)
			return n;
		s->from = 0;
		s->to = (size_t)n;
	}
	size_t n = min64(length, s->to - s->from);
	memcpy(data, s->buffer + s->from, n);
	s->from += n;
	return (ssize_t)n;
}

static int source_stream_write(struct stream *stream, const void *data, size_t length, struct vmm_error **err)
{
	struct source_stream *s = source_stream_of(stream);
	size_t chunk = s->limit ? rate_limit_chunk(s->limit) : COPY_RUN;
	for (size_t done = 0; done < length;) {
		size_t n = min64(chunk, length - done);
		if (s->limit)
			rate_limit_wait(s->limit, n, s->stop);
		if (check_stop(s, err) < 0 || stream_write(s->lower, (const char *)data + done, n, err) < 0)
			return -1;
		count(s, n);
		done += n;
	}
	return 0;
}

static void source_stream_finish(struct stream *stream)
{
	stream_finish(source_stream_of(stream)->lower);
}

/* The session itself is closed by its owner. */
static void source_stream_close(struct stream *stream)
{
	(void)stream;
}

bool source_stream_ready(struct source_stream *s)
{
	if (s->from < s->to || s->ended)
		return true;
	vmm_auto_error struct vmm_error *failure = NULL;
	ssize_t n = stream_read(s->lower, s->buffer, sizeof(s->buffer), 0, &failure);
	if (n < 0)
		return !error_is(failure, "link-silent"); /* after any other failure the next read fails as well */
	s->ended = !n;
	s->from = 0;
	s->to = (size_t)n;
	count(s, (size_t)n);
	return true;
}

static const struct stream_ops source_stream_ops = {
	.read = source_stream_read,
	.write = source_stream_write,
	.finish = source_stream_finish,
	.close = source_stream_close,
};

void source_stream_begin(struct source_stream *s, struct stream *lower, const atomic_bool *stop)
{
	memset(&s->stream, 0, sizeof(s->stream));
	s->stream.ops = &source_stream_ops;
	s->lower = lower;
	s->stop = stop;
	s->limit = NULL;
	s->wire = NULL;
	s->job = NULL;
	s->progress = NULL;
	s->from = s->to = 0;
	s->ended = false;
}
