/* delta.c: all of librsync: signature, delta and patch of one run, in memory.
 *
 * librsync is used on one run at a time. Over a whole image its tables would be large and slow, its output would have
 * no holes, and nothing could be written before all was read. */
#include <librsync.h>

#include "copy-internal.h"

enum {
	BLOCK = COPY_BLOCK,
	STRONG = 16, /* bytes of BLAKE2 for a block: a guest cannot write data that collide */
	SIGNATURE_HEAD = 12,
	TRIAL = 256 << 10, /* these first bytes of a run decide whether the rest is tried */
};

/* Without it librsync prints to stderr what it thinks of a peer's malformed data. */
static void ignore_trace(rs_loglevel level, char const *message)
{
	(void)level;
	(void)message;
}

static void quiet_once(void)
{
	rs_trace_to(ignore_trace);
}

static void quiet(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, quiet_once);
}

size_t delta_signature_length(size_t old_length)
{
	return SIGNATURE_HEAD + (old_length + BLOCK - 1) / BLOCK * (4 + STRONG);
}

void delta_signature(const void *old, size_t old_length, uint8_t *signature)
{
	quiet();
	rs_buffers_t buffers = {
		.next_in = (char *)old,
		.avail_in = old_length,
		.eof_in = 1,
		.next_out = (char *)signature,
		.avail_out = delta_signature_length(old_length),
	};
	rs_job_t *job = rs_sig_begin(BLOCK, STRONG, RS_RK_BLAKE2_SIG_MAGIC);
	if (!job || rs_job_iter(job, &buffers) != RS_DONE || buffers.avail_out)
		abort(); /* all lengths are our own, so this is lack of memory */
	rs_job_free(job);
}

static rs_signature_t *signature_load(const uint8_t *signature, size_t length, size_t old_length)
{
	/* Only signatures that delta_signature can make: librsync itself accepts other hashes and blocks of any
	 * length. */
	if (length != delta_signature_length(old_length) || get32(signature) != RS_RK_BLAKE2_SIG_MAGIC ||
	    get32(signature + 4) != BLOCK || get32(signature + 8) != STRONG)
		return NULL;
	rs_signature_t *loaded = NULL;
	rs_buffers_t buffers = {.next_in = (char *)signature, .avail_in = length, .eof_in = 1};
	rs_job_t *job = rs_loadsig_begin(&loaded);
	bool good = job && rs_job_iter(job, &buffers) == RS_DONE && loaded && rs_build_hash_table(loaded) == RS_DONE;
	if (job)
		rs_job_free(job);
	if (good)
		return loaded;
	if (loaded)
		rs_free_sumset(loaded);
	return NULL;
}

/* Encodes the first TRIAL bytes of the run, then the rest, unless the first gave more than half of what went in. False
 * if it was given up, or if the delta does not fit into `room`. */
static bool delta_encode(rs_job_t *job, const void *data, size_t length, uint8_t *out, size_t room, size_t *made)
{
	rs_buffers_t buffers = {.next_in = (char *)data, .next_out = (char *)out, .avail_out = room};
	if (length > TRIAL) {
		buffers.avail_in = TRIAL;
		if (rs_job_iter(job, &buffers) != RS_BLOCKED || buffers.avail_in ||
		    room - buffers.avail_out > TRIAL / 2)
			return false;
		buffers.avail_in = length - TRIAL;
	} else {
		buffers.avail_in = length;
	}
	buffers.eof_in = 1;
	bool done = rs_job_iter(job, &buffers) == RS_DONE;
	*made = room - buffers.avail_out;
	return done;
}

int delta_make(const void *signature, size_t signature_length, size_t old_length, const void *data, size_t length,
	       uint8_t **delta, size_t *delta_length, struct vmm_error **err)
{
	quiet();
	rs_signature_t *loaded = signature_load(signature, signature_length, old_length);
	if (!loaded)
		return protocol_error(err, "a malformed signature");
	/* An eighth less than the data: librsync stops when the delta gets longer than that. */
	size_t room = length - length / 8;
	uint8_t *out = malloc(room);
	rs_job_t *job = out ? rs_delta_begin(loaded) : NULL;
	bool worth = job && delta_encode(job, data, length, out, room, delta_length);
	if (job)
		rs_job_free(job);
	rs_free_sumset(loaded);
	if (!worth) {
		free(out);
		return 0;
	}
	*delta = out;
	return 1;
}

struct basis {
	const uint8_t *data;
	size_t length;
};

static rs_result basis_read(void *context, rs_long_t at, size_t *length, void **data)
{
	const struct basis *basis = context;
	if (at < 0 || (uint64_t)at >= basis->length)
		return RS_CORRUPT;
	*length = min64(*length, basis->length - (size_t)at);
	*data = (void *)(basis->data + at);
	return RS_DONE;
}

int delta_apply(const void *old, size_t old_length, const void *delta, size_t delta_length, void *data, size_t length,
		struct vmm_error **err)
{
	quiet();
	struct basis basis = {.data = old, .length = old_length};
	rs_buffers_t buffers = {
		.next_in = (char *)delta,
		.avail_in = delta_length,
		.eof_in = 1,
		.next_out = data,
		.avail_out = length,
	};
	rs_job_t *job = rs_patch_begin(basis_read, &basis);
	rs_result result = job ? rs_job_iter(job, &buffers) : RS_MEM_ERROR;
	if (job)
		rs_job_free(job);
	if (result != RS_DONE || buffers.avail_out || buffers.avail_in)
		return protocol_error(err, "a delta that does not make exactly its run");
	return 0;
}
