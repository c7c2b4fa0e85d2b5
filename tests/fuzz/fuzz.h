/* fuzz: what the fuzz targets share. Each target is a program linked with libFuzzer; `make fuzz` builds and runs them
 * all. */
#ifndef FUZZ_H
#define FUZZ_H

#include "link/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* A stream that gives these bytes (borrowed), then ends; what is written to it is dropped. */
struct stream *memory_stream(const void *data, size_t length);

/* Makes frames with a valid head out of fuzzed bytes. For each frame one byte is the type (from FRAME_COPY on), one the
 * flags, two the length of the payload that follows. Most frames of type OPEN or VERIFY are replaced by a valid one of
 * the volume "vda" of `size` bytes, so that the frames behind it are looked at. */
void fuzz_frames(const uint8_t *data, size_t length, uint64_t size, struct text *frames);

/* A file in memory with a pattern in it; it is made once for the whole run. Returns the descriptor. */
int fuzz_volume(uint64_t size);

#endif
