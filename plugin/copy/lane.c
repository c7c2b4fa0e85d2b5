/* lane.c: a stream over a stream, that can be stopped while it waits and knows how fast it may go.
 *
 * libssh allows one thread a session, so the thread that sends also receives: lane_ready tells it whether there is
 * something to receive without waiting.
 */
#include "parts.h"

enum { SLICE_MS = 50 };

static struct lane *lane_of(struct stream *stream)
{
	return (struct lane *)stream; /* its first member */
}

static int stopped(const struct lane *lane, struct vmm_error **err)
{
	if (lane->stop && *lane->stop)
		return error_set(err, VMM_CANCELLED, "cancelled", "the copy was stopped");
	return 0;
}

static void count(struct lane *lane, size_t bytes)
{
	if (lane->wire)
		*lane->wire += bytes;
}

/* One read of what is beneath, in slices so that a stop is seen. */
static ssize_t read_patiently(struct lane *lane, void *data, size_t length, struct vmm_error **err)
{
	for (int64_t began = clock_steady_ms();;) {
		struct vmm_error *failure = NULL;
		if (stopped(lane, err) < 0)
			return -1;
		ssize_t n = stream_read(lane->under, data, length, SLICE_MS, &failure);
		if (n > 0)
			count(lane, (size_t)n);
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

static ssize_t lane_read(struct stream *stream, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	(void)wait_ms;
	struct lane *lane = lane_of(stream);
	if (lane->from == lane->to) {
		if (lane->ended)
			return 0;
		if (length >= sizeof(lane->ahead))
			return read_patiently(lane, data, length, err);
		ssize_t n = read_patiently(lane, lane->ahead, sizeof(lane->ahead), err);
		if (n <= 0)
			return n;
		lane->from = 0;
		lane->to = (size_t)n;
	}
	size_t n = min64(length, lane->to - lane->from);
	memcpy(data, lane->ahead + lane->from, n);
	lane->from += n;
	return (ssize_t)n;
}

static int lane_write(struct stream *stream, const void *data, size_t length, struct vmm_error **err)
{
	struct lane *lane = lane_of(stream);
	size_t piece = lane->pace ? pace_piece(lane->pace) : COPY_RUN;
	for (size_t done = 0; done < length;) {
		size_t n = min64(piece, length - done);
		if (lane->pace)
			pace_take(lane->pace, n, lane->stop);
		if (stopped(lane, err) < 0 || stream_write(lane->under, (const char *)data + done, n, err) < 0)
			return -1;
		count(lane, n);
		done += n;
	}
	return 0;
}

static void lane_finish(struct stream *stream)
{
	stream_finish(lane_of(stream)->under);
}

/* What is beneath stays its owner's. */
static void lane_close(struct stream *stream)
{
	(void)stream;
}

bool lane_ready(struct lane *lane)
{
	if (lane->from < lane->to || lane->ended)
		return true;
	vmm_auto_error struct vmm_error *failure = NULL;
	ssize_t n = stream_read(lane->under, lane->ahead, sizeof(lane->ahead), 0, &failure);
	if (n < 0)
		return !error_is(failure, "link-silent"); /* a link that failed fails again when it is read */
	lane->ended = !n;
	lane->from = 0;
	lane->to = (size_t)n;
	count(lane, (size_t)n);
	return true;
}

static const struct stream_ops lane_ops = {
	.read = lane_read,
	.write = lane_write,
	.finish = lane_finish,
	.close = lane_close,
};

void lane_begin(struct lane *lane, struct stream *under, const atomic_bool *stop)
{
	memset(&lane->stream, 0, sizeof(lane->stream));
	lane->stream.ops = &lane_ops;
	lane->under = under;
	lane->stop = stop;
	lane->pace = NULL;
	lane->wire = NULL;
	lane->from = lane->to = 0;
	lane->ended = false;
}
