/* The target's side of a copy, with a source that sends anything. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "copy/copy-internal.h"
#include "fuzz.h"

enum { SIZE = (4 << 20) + 70000 };

static int open_known(void *context, const char *volume, uint64_t size, struct vmm_error **err)
{
	if (strcmp(volume, "vda") || size != SIZE)
		return error_set(err, VMM_FAILED, "not-ours", "volume %s is another", volume);
	return fcntl(*(int *)context, F_DUPFD_CLOEXEC, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static int volume = -1;
	struct vmm_error *err = NULL;
	struct text frames = {0};
	struct stat file;
	if (volume < 0)
		volume = fuzz_volume(SIZE);
	fuzz_frames(data, length, SIZE, &frames);
	struct stream *stream = memory_stream(frames.data, frames.length);
	copy_serve(stream, open_known, &volume, &err);
	error_clear(&err);
	stream_close(stream);
	text_free(&frames);
	/* Nothing may be written behind the end. */
	if (fstat(volume, &file) < 0 || file.st_size != SIZE)
		abort();
	return 0;
}
