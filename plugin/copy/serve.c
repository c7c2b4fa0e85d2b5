/* serve.c: the target's side of a session, from its first frame to its end. */
#include "target.h"

struct serve {
	struct stream *stream;
	struct outbox *outbox;
	copy_open_fn *open_volume;
	void *context;
	struct copy_leaves leaves; /* of the last verification */
};

/* Serves one push or verification. Of an error in a push the receiver tells the source, of any other this function. */
static int serve_frame(struct serve *serve, const struct frame *frame, struct vmm_error **err)
{
	int result;
	switch ((int)frame->type) {
	case FRAME_ALIVE:
		return 0;
	case COPY_OPEN:
		return receiver_serve(serve->stream, serve->outbox, frame, serve->open_volume, serve->context, err);
	case COPY_VERIFY:
		result = readback_serve(serve->stream, serve->outbox, frame, serve->open_volume, serve->context,
					&serve->leaves, err);
		break;
	case COPY_GET_TAGS:
		result = readback_tags(serve->outbox, frame, &serve->leaves, err);
		break;
	default:
		result = protocol_error(err, "a frame of type %d instead of OPEN or VERIFY", frame->type);
	}
	if (result < 0)
		outbox_put_error(serve->outbox, *err);
	return result;
}

/* Returns 1 to go on; 0 when the source has ended the session. */
static int serve_next(struct serve *serve, struct vmm_error **err)
{
	struct frame frame;
	if (frame_receive(serve->stream, COPY_LIMIT_TO_TARGET, -1, &frame, err) < 0) {
		if (error_is(*err, "link-lost")) {
			error_clear(err);
			return 0;
		}
		outbox_put_error(serve->outbox, *err);
		return -1;
	}
	outbox_set_busy(serve->outbox, true);
	int result = serve_frame(serve, &frame, err);
	outbox_set_busy(serve->outbox, false);
	frame_free(&frame);
	return result < 0 ? -1 : 1;
}

/* After a failure: reads until the source has finished, since it may still be writing and reads our error only after
 * that. */
static void drain(struct stream *stream)
{
	char rest[65536];
	while (stream_read(stream, rest, sizeof(rest), -1, NULL) > 0)
		;
}

int copy_serve(struct stream *session, copy_open_fn *open_volume, void *context, struct vmm_error **err)
{
	struct serve serve = {.stream = session, .open_volume = open_volume, .context = context};
	struct vmm_error *failure = NULL;
	if (outbox_start(session, &serve.outbox, err) < 0)
		return -1;
	int result;
	while ((result = serve_next(&serve, &failure)) > 0)
		;
	if (result < 0)
		drain(session);
	outbox_stop(serve.outbox);
	copy_leaves_free(&serve.leaves);
	if (failure)
		error_take(err, failure);
	return result;
}
