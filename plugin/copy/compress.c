/* compress.c: all of zstd: changes are compressed only if the link is what limits the copy.
 *
 * On a fast link compression costs more time than it saves. The link's throughput is measured all the time: bytes per
 * time that was spent in writing them, which is short as long as the link's queue has room. Whether a frame is
 * compressed follows from that and from what compression brought for the frames before. */
#include <zstd.h>

#include "copy-internal.h"

enum {
	LEVEL = 1,
	HALF_LIFE = 8 << 20, /* bytes after which what was measured before counts half */
	SAMPLE = 1 << 20,    /* bytes after which the measurement is used */
	FAST = 150,	     /* bytes per microsecond: no gain from here on; a busy core may look like a slower link */
	SMALL = 4096,	     /* a frame that is shorter is not compressed */
	MISSES_MOST = 5,     /* after so many frames in a row without gain only one in 2^5 is tried */
	LENGTH_IN_EIGHTHS = 7, /* the compressed frame may have this share of its length, or it is sent as it is */
};

void throughput_add(struct throughput *throughput, size_t bytes, int64_t us)
{
	double keep = throughput->bytes > HALF_LIFE ? 0.5 : 1;
	throughput->bytes = throughput->bytes * keep + (double)bytes;
	throughput->us = throughput->us * keep + (double)us;
}

double throughput_rate(const struct throughput *throughput)
{
	return throughput->bytes < SAMPLE ? 0 : throughput->bytes / (throughput->us > 1 ? throughput->us : 1);
}

void compressor_end(struct compressor *compressor)
{
	ZSTD_freeCCtx(compressor->context);
	free(compressor->output);
}

/* Puts the length of the data and the compressed data into compressor->output. Returns their length; 0 if that is not
 * much shorter than the data. */
static size_t compress(struct compressor *compressor, const void *data, size_t length)
{
	if (!compressor->context) {
		compressor->context = ZSTD_createCCtx();
		compressor->output = mem_zero(COPY_LIMIT_TO_TARGET);
	}
	if (!compressor->context)
		return 0;
	put32(compressor->output, (uint32_t)length);
	size_t room = length / 8 * LENGTH_IN_EIGHTHS;
	size_t made = ZSTD_compressCCtx(compressor->context, compressor->output + COPY_COMPRESSED_HEAD, room, data,
					length, LEVEL);
	return ZSTD_isError(made) ? 0 : COPY_COMPRESSED_HEAD + made;
}

bool compressor_wanted(const struct compressor *compressor)
{
	double rate = throughput_rate(&compressor->link);
	return rate && rate <= FAST;
}

size_t compressor_run(struct compressor *compressor, const void *data, size_t length)
{
	double rate = throughput_rate(&compressor->link);
	if (!compressor_wanted(compressor) || length < SMALL || length > COPY_LIMIT_TO_TARGET - COPY_COMPRESSED_HEAD)
		return 0;
	if (compressor->skip) {
		compressor->skip--;
		return 0;
	}
	int64_t began = clock_steady_us();
	size_t made = compress(compressor, data, length);
	double took = (double)(clock_steady_us() - began);
	/* The time to compress and then send it must be shorter than the time to send it as it is. */
	bool worth = made && took + (double)made / rate < (double)length / rate;
	compressor->misses = worth ? 0 : compressor->misses < MISSES_MOST ? compressor->misses + 1 : MISSES_MOST;
	compressor->skip = worth ? 0 : (1u << compressor->misses) - 1;
	return worth ? made : 0;
}

int decompress(const void *input, size_t input_length, uint8_t data[COPY_LIMIT_TO_TARGET], size_t *length,
	       struct vmm_error **err)
{
	*length = input_length > COPY_COMPRESSED_HEAD ? get32(input) : 0;
	if (!*length || *length > COPY_LIMIT_TO_TARGET)
		return protocol_error(err, "compressed changes of %zu bytes", *length);
	size_t made = ZSTD_decompress(data, *length, (const uint8_t *)input + COPY_COMPRESSED_HEAD,
				      input_length - COPY_COMPRESSED_HEAD);
	if (ZSTD_isError(made) || made != *length)
		return protocol_error(err, "compressed changes that are not %zu bytes", *length);
	return 0;
}
