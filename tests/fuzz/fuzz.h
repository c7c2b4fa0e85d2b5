/* fuzz: what the targets share. Each is a program of libFuzzer's; `make fuzz` builds and runs them all. */
#ifndef FUZZ_H
#define FUZZ_H

#include "link/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* A stream that gives these bytes (borrowed), then ends; what is written to it goes nowhere. */
struct stream *memory_stream(const void *data, size_t length);

/* Frames with a right head out of fuzzed bytes: of each, a byte is the type (from FRAME_COPY on), one the flags, two are the
 * length of what follows. An OPEN or VERIFY is mostly made one of the volume "vda" with that size, so that something is
 * behind it. */
void fuzz_frames(const uint8_t *data, size_t length, uint64_t size, struct text *frames);

/* A file in memory that holds a pattern; one is made for the whole run. */
int fuzz_volume(uint64_t size);

#endif
