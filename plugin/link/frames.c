/* frames.c: frames on a stream. The header of a frame that arrives is checked, and its length limited, before memory is
 * allocated for it. */
#include <arpa/inet.h>
#include <string.h>

#include "link.h"

enum {
	HEADER = 12,
	HELLO_LIMIT = 65536,
	FIRST_WRITE = 32768, /* bytes that are sent by the first write: the header and the beginning of the payload */
};

/* The first byte appears in no ASCII or UTF-8 text, so that what a login shell prints is never taken for a frame. */
static const uint8_t magic[4] = {0xf6, 'V', 'M', 'M'};

int frame_send(struct stream *s, uint8_t type, uint8_t flags, const void *data, size_t length, struct vmm_error **err)
{
	return frame_send_parts(s, type, flags, NULL, 0, data, length, err);
}

int frame_send_parts(struct stream *s, uint8_t type, uint8_t flags, const void *head, size_t head_length,
		     const void *data, size_t length, struct vmm_error **err)
{
	uint8_t first[FIRST_WRITE] = {magic[0], magic[1], magic[2], magic[3], type, flags};
	if (head_length + length > FRAME_LIMIT_CONTROL || head_length > FRAME_HEAD_MOST)
		return error_set(err, VMM_FAILED, "frame-too-large", "a frame of %zu bytes is over the limit of %d",
				 head_length + length, FRAME_LIMIT_CONTROL);
	uint32_t size = htonl((uint32_t)(head_length + length));
	memcpy(first + 8, &size, sizeof(size));
	size_t at = HEADER + head_length, with = length < FIRST_WRITE - at ? length : FIRST_WRITE - at;
	if (head_length)
		memcpy(first + HEADER, head, head_length);
	if (with)
		memcpy(first + at, data, with);
	if (stream_write(s, first, at + with, err) < 0)
		return -1;
	return length > with ? stream_write(s, (const char *)data + with, length - with, err) : 0;
}

int frame_send_json(struct stream *s, uint8_t type, struct json_object *json, struct vmm_error **err)
{
	const char *line = json_line(json);
	return frame_send(s, type, 0, line, strlen(line), err);
}

static int not_a_frame(struct vmm_error **err)
{
	return error_set(err, VMM_FAILED, "not-our-agent", "what the other side has sent is not a frame of vmmigrate");
}

/* Text that is shorter than a header is "not-our-agent" too, and not "link-lost". */
static int receive_header(struct stream *s, uint8_t header[HEADER], int wait_ms, struct vmm_error **err)
{
	size_t there = 0;
	while (there < HEADER) {
		ssize_t got = stream_read(s, header + there, HEADER - there, wait_ms, err);
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		there += (size_t)got;
	}
	if (memcmp(header, magic, there < sizeof(magic) ? there : sizeof(magic)) != 0)
		return not_a_frame(err);
	if (there < HEADER)
		return error_set(err, VMM_FAILED, "link-lost", "the other side has ended the stream");
	return header[6] || header[7] ? not_a_frame(err) : 0;
}

int frame_receive(struct stream *s, size_t limit, int wait_ms, struct frame *frame, struct vmm_error **err)
{
	uint8_t header[HEADER];
	uint32_t length;
	*frame = (struct frame){0};
	if (receive_header(s, header, wait_ms, err) < 0)
		return -1;
	memcpy(&length, header + 8, sizeof(length));
	length = ntohl(length);
	if (length > limit)
		return error_set(err, VMM_FAILED, "frame-too-large",
				 "a frame of type %d has %u bytes, and %zu is the limit", header[4], length, limit);
	frame->type = header[4];
	frame->flags = header[5];
	frame->length = length;
	frame->data = malloc((size_t)length + 1);
	if (!frame->data)
		abort();
	frame->data[length] = 0;
	if (stream_read_all(s, frame->data, length, wait_ms, err) < 0) {
		frame_free(frame);
		return -1;
	}
	return 0;
}

void frame_free(struct frame *frame)
{
	free(frame->data);
	*frame = (struct frame){0};
}

/* ------------------------------------------------------------------ hello */

static int send_hello(struct stream *s, const struct identity *self, struct vmm_error **err)
{
	struct json_object *protocol = json_object_new_array();
	json_object_array_add(protocol, json_object_new_int(VMM_PROTOCOL_MAJOR));
	json_object_array_add(protocol, json_object_new_int(VMM_PROTOCOL_MINOR));
	vmm_auto_json struct json_object *hello =
		json_make("agent:s version:s protocol:o", "vmmigrate", VMM_VERSION, protocol);
	if (self)
		json_put(hello, "node:s id:s", self->name, self->id);
	if (self && self->problem)
		json_put(hello, "error:o", error_to_json(self->problem));
	return frame_send_json(s, FRAME_HELLO, hello, err);
}

static int not_our_agent(const char *peer, struct vmm_error **err)
{
	error_set(err, VMM_BLOCKED, "not-our-agent", "%s: what answers there is not vmmigrate's agent", peer);
	return error_hint(err, "install the package vmmigrate on %s; a login there must not print anything by itself",
			  peer);
}

static int check_protocol(const char *peer, struct json_object *hello, struct vmm_error **err)
{
	int64_t major = json_number(hello, "protocol.0"), minor = json_number(hello, "protocol.1");
	const char *version = json_text_or(hello, "version", "unknown");
	if (!str_same(json_text(hello, "agent"), "vmmigrate") || json_count(hello, "protocol") < 2)
		return not_our_agent(peer, err);
	if (major < VMM_PROTOCOL_MAJOR || (major == VMM_PROTOCOL_MAJOR && minor < VMM_PROTOCOL_MINOR - 1)) {
		error_set(err, VMM_BLOCKED, "agent-too-old", "%s: vmmigrate %s there is too old for %s here", peer,
			  version, VMM_VERSION);
		return error_hint(err, "upgrade the package vmmigrate on %s", peer);
	}
	if (major > VMM_PROTOCOL_MAJOR || minor > VMM_PROTOCOL_MINOR + 1) {
		error_set(err, VMM_BLOCKED, "agent-too-new", "%s: vmmigrate %s there is too new for %s here", peer,
			  version, VMM_VERSION);
		return error_hint(err, "upgrade the package vmmigrate on this node");
	}
	return 0;
}

bool frame_is_anonymous(struct json_object *hello)
{
	return json_number(hello, "protocol.0") == 1 && json_number(hello, "protocol.1") == 0;
}

int frame_hello(struct stream *s, const char *peer, const struct identity *self, int wait_ms,
		struct json_object **hello, struct vmm_error **err)
{
	struct frame frame;
	vmm_auto_json struct json_object *theirs = NULL;
	vmm_auto_error struct vmm_error *why = NULL;
	if (send_hello(s, self, err) < 0)
		return error_on_node(err, peer);
	if (frame_receive(s, HELLO_LIMIT, wait_ms, &frame, &why) < 0) {
		if (!error_is(why, "link-lost") && !error_is(why, "link-silent"))
			return not_our_agent(peer, err);
		error_take(err, why);
		why = NULL;
		return error_on_node(err, peer);
	}
	int parsed = frame.type == FRAME_HELLO ? json_parse(frame.data, frame.length, "hello", &theirs, &why) : -1;
	frame_free(&frame);
	if (parsed < 0)
		return not_our_agent(peer, err);
	if (check_protocol(peer, theirs, err) < 0)
		return -1;
	*hello = json_object_get(theirs);
	return 0;
}
