/* pack.c: all of zstd - changes are compressed where the link is what they wait for, and only there.
 *
 * On a fast link compression costs more than it saves. What the link takes is measured as it goes: bytes for the time
 * that writing them kept us, which is short as long as its queue has room. Whether a frame is worth packing follows from
 * that and from what the frames before it came to.
 */
#include <zstd.h>

#include "parts.h"

enum {
	LEVEL = 1,
	MEMORY = 8 << 20, /* bytes after which a measurement counts half */
	LEAST = 1 << 20,  /* bytes from which on it is believed */
	FAST = 150,	  /* bytes a microsecond: packing hardly gains; what seems slower may be a busy core */
	SMALL = 4096,	  /* a frame that is not worth the trouble */
	MISSES_MOST = 5,  /* after so many in a row, one in 2^5 frames is tried */
	GAIN_EIGHTHS = 7, /* packed it must be no longer than that of itself */
};

void gauge_add(struct gauge *gauge, size_t bytes, int64_t us)
{
	double keep = gauge->bytes > MEMORY ? 0.5 : 1;
	gauge->bytes = gauge->bytes * keep + (double)bytes;
	gauge->us = gauge->us * keep + (double)us;
}

double gauge_rate(const struct gauge *gauge)
{
	return gauge->bytes < LEAST ? 0 : gauge->bytes / (gauge->us > 1 ? gauge->us : 1);
}

void packer_end(struct packer *packer)
{
	ZSTD_freeCCtx(packer->context);
	free(packer->packed);
}

/* Compresses behind a head with the length. The whole length; 0 where that gains little. */
static size_t compress(struct packer *packer, const void *data, size_t length)
{
	if (!packer->context) {
		packer->context = ZSTD_createCCtx();
		packer->packed = mem_zero(COPY_LIMIT_TO_TARGET);
	}
	if (!packer->context)
		return 0;
	put32(packer->packed, (uint32_t)length);
	size_t room = length / 8 * GAIN_EIGHTHS;
	size_t made = ZSTD_compressCCtx(packer->context, packer->packed + COPY_PACK_HEAD, room, data, length, LEVEL);
	return ZSTD_isError(made) ? 0 : COPY_PACK_HEAD + made;
}

bool packer_wanted(const struct packer *packer)
{
	double rate = gauge_rate(&packer->link);
	return rate && rate <= FAST;
}

size_t packer_pack(struct packer *packer, const void *data, size_t length)
{
	double rate = gauge_rate(&packer->link);
	if (!packer_wanted(packer) || length < SMALL || length > COPY_LIMIT_TO_TARGET - COPY_PACK_HEAD)
		return 0;
	if (packer->skip) {
		packer->skip--;
		return 0;
	}
	int64_t began = steady_us();
	size_t packed = compress(packer, data, length);
	double took = (double)(steady_us() - began);
	/* Sent in the time that packing took, and what is left of it after that. */
	bool worth = packed && took + (double)packed / rate < (double)length / rate;
	packer->misses = worth ? 0 : packer->misses < MISSES_MOST ? packer->misses + 1 : MISSES_MOST;
	packer->skip = worth ? 0 : (1u << packer->misses) - 1;
	return worth ? packed : 0;
}

int unpack(const void *packed, size_t packed_length, uint8_t data[COPY_LIMIT_TO_TARGET], size_t *length,
	   struct vmm_error **err)
{
	*length = packed_length > COPY_PACK_HEAD ? get32(packed) : 0;
	if (!*length || *length > COPY_LIMIT_TO_TARGET)
		return protocol_error(err, "packed changes of %zu bytes", *length);
	size_t made = ZSTD_decompress(data, *length, (const uint8_t *)packed + COPY_PACK_HEAD,
				      packed_length - COPY_PACK_HEAD);
	if (ZSTD_isError(made) || made != *length)
		return protocol_error(err, "packed changes that are not %zu bytes", *length);
	return 0;
}
