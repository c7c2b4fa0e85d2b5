/* memory-stream.c: see fuzz.h. */
#include <string.h>
#include <sys/mman.h>

#include "copy/copy-internal.h"
#include "fuzz.h"

struct memory_stream {
	struct stream base;
	const char *data;
	size_t left;
};

static ssize_t memory_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	struct memory_stream *memory = (struct memory_stream *)s;
	size_t n = length < memory->left ? length : memory->left;
	(void)wait_ms, (void)err;
	if (!n)
		return 0;
	memcpy(data, memory->data, n);
	memory->data += n;
	memory->left -= n;
	return (ssize_t)n;
}

static int memory_write(struct stream *s, const void *data, size_t length, struct vmm_error **err)
{
	(void)s, (void)data, (void)length, (void)err;
	return 0;
}

static void memory_finish(struct stream *s)
{
	(void)s;
}

static void memory_close(struct stream *s)
{
	free(s);
}

static const struct stream_ops memory_ops = {
	.read = memory_read,
	.write = memory_write,
	.finish = memory_finish,
	.close = memory_close,
};

struct stream *memory_stream(const void *data, size_t length)
{
	struct memory_stream *memory = mem_zero(sizeof(*memory));
	memory->base.ops = &memory_ops;
	memory->data = data;
	memory->left = length;
	return &memory->base;
}

static void add_frame(struct text *frames, uint8_t type, uint8_t flags, const void *payload, size_t length)
{
	uint8_t head[12] = {0xf6, 'V', 'M', 'M', type, flags};
	put32(head + 8, (uint32_t)length);
	text_add_bytes(frames, head, sizeof(head));
	if (length)
		text_add_bytes(frames, payload, length);
}

static void add_open(struct text *frames, uint8_t type, uint64_t size)
{
	uint8_t open[COPY_OPEN_HEAD + 3] = {0};
	put64(open, size);
	memcpy(open + COPY_OPEN_HEAD, "vda", 3);
	add_frame(frames, type, 0, open, sizeof(open));
}

void fuzz_frames(const uint8_t *data, size_t length, uint64_t size, struct text *frames)
{
	enum { HEAD = 4, TYPES = COPY_ERROR - FRAME_COPY + 2 };
	while (length >= HEAD) {
		uint8_t type = (uint8_t)(FRAME_COPY + data[0] % TYPES);
		size_t payload = data[2] << 8 | data[3];
		payload = payload < length - HEAD ? payload : length - HEAD;
		if ((type == COPY_OPEN || type == COPY_VERIFY) && !(data[1] & 0x80))
			add_open(frames, type, size);
		else
			add_frame(frames, type, data[1], data + HEAD, payload);
		data += HEAD + payload;
		length -= HEAD + payload;
	}
}

int fuzz_volume(uint64_t size)
{
	int fd = memfd_create("vda", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		abort();
	char piece[4096];
	for (uint64_t at = 0; at + sizeof(piece) <= size; at += 3 * sizeof(piece)) {
		memset(piece, (int)(at / sizeof(piece) % 255) + 1, sizeof(piece));
		if (pwrite(fd, piece, sizeof(piece), (off_t)at) != sizeof(piece))
			abort();
	}
	return fd;
}
