/* Signatures and deltas for librsync, and compressed changes, as a peer may send them. */
#include <string.h>

#include "copy/copy-internal.h"
#include "fuzz.h"

enum { OLD = 20000, NEW = 16384 };

static void any_delta(const uint8_t *old, const uint8_t *data, size_t length)
{
	static uint8_t made[NEW];
	struct vmm_error *err = NULL;
	delta_apply(old, OLD, data, length, made, sizeof(made), &err);
	error_clear(&err);
}

/* The head is valid, so that what follows is looked at. */
static void any_signature(const uint8_t *old, const uint8_t *data, size_t length)
{
	size_t whole = delta_signature_length(OLD), delta_length;
	vmm_auto_free uint8_t *signature = mem_zero(whole), *delta = NULL;
	struct vmm_error *err = NULL;
	delta_signature(old, OLD, signature);
	memcpy(signature + 12, data, length < whole - 12 ? length : whole - 12);
	delta_make(signature, whole, OLD, old, NEW, &delta, &delta_length, &err);
	error_clear(&err);
}

/* A delta that we have made ourselves gives the data again. */
static void round_trip(const uint8_t *old, const uint8_t *data, size_t length)
{
	size_t whole = delta_signature_length(OLD), delta_length = 0;
	vmm_auto_free uint8_t *signature = mem_zero(whole), *delta = NULL, *made = mem_zero(length + 1);
	delta_signature(old, OLD, signature);
	if (length && delta_make(signature, whole, OLD, data, length, &delta, &delta_length, NULL) == 1 &&
	    (delta_apply(old, OLD, delta, delta_length, made, length, NULL) < 0 || memcmp(made, data, length)))
		abort();
}

static void any_compressed(const uint8_t *data, size_t length)
{
	static uint8_t made[COPY_LIMIT_TO_TARGET];
	size_t made_length;
	struct vmm_error *err = NULL;
	decompress(data, length, made, &made_length, &err);
	error_clear(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static uint8_t old[OLD];
	if (!old[1])
		for (size_t i = 0; i < OLD; i++)
			old[i] = (uint8_t)(i * i >> 5);
	if (!length)
		return 0;
	switch (data[0] % 4) {
	case 0:
		any_delta(old, data + 1, length - 1);
		break;
	case 1:
		any_signature(old, data + 1, length - 1);
		break;
	case 2:
		round_trip(old, data + 1, length - 1);
		break;
	default:
		any_compressed(data + 1, length - 1);
	}
	return 0;
}
