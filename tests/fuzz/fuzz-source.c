/* The source's side of a copy and of a verification, with a target that sends anything. */
#include <sys/random.h>

#include "copy/copy-internal.h"
#include "fuzz.h"

enum { SIZE = (4 << 20) + 70000 };

static void verify(const struct copy_job *job, struct stream *stream)
{
	uint8_t key[COPY_KEY] = {COPY_POLY1305};
	struct copy_leaves leaves = {0};
	struct vmm_error *err = NULL;
	size_t bad;
	/* A new key each time, as in a real copy: libFuzzer sees what is compared, and would find the root of a fixed
	 * key. */
	if (getrandom(key + 1, COPY_SECRET, 0) != COPY_SECRET || leaves_make(SIZE, key, &leaves, NULL) < 0)
		abort();
	leaves.tag[3][0] = 1;
	if (copy_verify(job, stream, &leaves, &bad, &err) == 0)
		abort(); /* no input can contain the root */
	error_clear(&err);
	copy_leaves_free(&leaves);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static int volume = -1;
	struct vmm_error *err = NULL;
	struct text frames = {0};
	if (volume < 0)
		volume = fuzz_volume(SIZE);
	if (!length)
		return 0;
	fuzz_frames(data + 1, length - 1, SIZE, &frames);
	const struct copy_job job = {.fd = volume, .size = SIZE, .volume = "vda"};
	struct stream *stream = memory_stream(frames.data, frames.length);
	if (data[0] & 1)
		verify(&job, stream);
	else
		copy_push(&job, &(struct copy_sessions){.stream = {stream}, .count = 1}, NULL, NULL, &err);
	error_clear(&err);
	stream_close(stream);
	text_free(&frames);
	return 0;
}
