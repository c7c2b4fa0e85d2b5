/* A connection's first bytes: a hello, then control frames. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct stream *stream = memory_stream(data, length);
	struct json_object *hello = NULL;
	struct vmm_error *err = NULL;
	struct frame frame;
	if (frame_hello(stream, "node2", NULL, 0, &hello, &err) == 0)
		json_object_put(hello);
	error_clear(&err);
	while (frame_receive(stream, FRAME_LIMIT_CONTROL, 0, &frame, &err) == 0) {
		struct json_object *json = NULL;
		if (json_parse(frame.data, frame.length, "frame", &json, NULL) == 0) {
			struct vmm_error *error = NULL;
			error_from_json(&error, json);
			error_clear(&error);
			json_object_put(json);
		}
		frame_free(&frame);
	}
	error_clear(&err);
	stream_close(stream);
	return 0;
}
