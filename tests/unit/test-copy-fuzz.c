/* Well-formed frames with random payloads: neither side crashes, hangs or writes outside of the volume.
 *
 * COPY_SEED=n repeats a run, COPY_CASES=n makes it longer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "copy/copy-internal.h"

enum { MIB = 1 << 20, SIZE = 5 * MIB + 333 };

struct fuzz {
	uint64_t seed;
	struct stream *stream;
	bool as_target;
};

static uint64_t draw(struct fuzz *fuzz, uint64_t below)
{
	return rig_random(&fuzz->seed) % below;
}

/* Any number, one within the volume, or one at an edge. */
static uint64_t number(struct fuzz *fuzz)
{
	static const uint64_t edges[] = {0,	1,   2,	       3,    4,	       4095,  4096,
					 65536, MIB, SIZE - 1, SIZE, SIZE + 1, ~0ull, ~0ull - 65535};
	switch (draw(fuzz, 4)) {
	case 0:
		return rig_random(&fuzz->seed) >> draw(fuzz, 64);
	case 1:
		return draw(fuzz, SIZE);
	default:
		return edges[draw(fuzz, VMM_COUNT(edges))];
	}
}

static size_t payload(struct fuzz *fuzz, int type, uint8_t *data)
{
	static const uint8_t key[COPY_KEY];
	size_t length = draw(fuzz, 3) ? draw(fuzz, 64) : draw(fuzz, 60000);
	for (size_t i = 0; i < length; i += 8)
		put64(data + i, number(fuzz));
	if (type == COPY_OPEN || type == COPY_VERIFY) {
		put64(data, draw(fuzz, 8) ? SIZE : number(fuzz));
		memcpy(data + 8, key, COPY_KEY);
		memcpy(data + COPY_OPEN_HEAD, "vda", 3);
		return COPY_OPEN_HEAD + 3;
	}
	if (type == COPY_CHANGES && length > COPY_RECORD_HEAD) {
		put32(data + 8, draw(fuzz, 4) ? (uint32_t)(length - COPY_RECORD_HEAD) : (uint32_t)number(fuzz));
		put32(data + 12, (uint32_t)draw(fuzz, 4));
	}
	if (type == COPY_GET_SIGNATURE || type == COPY_DELTA || type == COPY_SIGNATURE)
		put32(data, (uint32_t)draw(fuzz, 5));
	if (type == COPY_DELTA && length > 16 && draw(fuzz, 2))
		memcpy(data + 4, "rs\x02\x36", 4);
	if (type == COPY_GET_SIGNATURE && draw(fuzz, 8)) {
		put32(data + 4, (uint32_t)draw(fuzz, MIB) + 1);
		return COPY_GET_SIGNATURE_SIZE;
	}
	if (type == COPY_GET_TAGS && draw(fuzz, 8)) {
		put64(data, draw(fuzz, 2));
		put32(data + 8, 1);
		return COPY_GET_TAGS_SIZE;
	}
	return length;
}

static void *send_frames(void *argument)
{
	struct fuzz *fuzz = argument;
	vmm_auto_free uint8_t *data = mem_zero(65536);
	static const int first[] = {COPY_OPEN, COPY_OPENED};
	for (uint64_t n = draw(fuzz, 12), i = 0; i <= n; i++) {
		int type = i || !draw(fuzz, 20) ? FRAME_COPY + (int)draw(fuzz, COPY_ERROR - FRAME_COPY + 2)
						: first[fuzz->as_target];
		if (!fuzz->as_target && i && type == COPY_OPEN)
			type = COPY_CHANGES;
		size_t length = payload(fuzz, type, data);
		if (frame_send(fuzz->stream, (uint8_t)type, (uint8_t)draw(fuzz, 2), data, length, NULL) < 0)
			break;
	}
	stream_finish(fuzz->stream);
	while (stream_read(fuzz->stream, data, 65536, 5000, NULL) > 0)
		;
	return NULL;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 0) : otherwise;
}

static uint64_t seed_of_run(void)
{
	uint64_t seed = from_environment("COPY_SEED", (uint64_t)clock_now_us() % 1000000);
	print_message("COPY_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

static int open_known(void *context, const char *volume, uint64_t size, struct vmm_error **err)
{
	const struct rig *rig = context;
	if (strcmp(volume, "vda") || size != SIZE)
		return error_set(err, VMM_FAILED, "not-ours", "volume %s is another", volume);
	return dup(rig->target);
}

static void a_target_survives_any_source(void **state)
{
	(void)state;
	uint64_t seed = seed_of_run(), cases = from_environment("COPY_CASES", 300);
	for (uint64_t i = 0; i < cases; i++) {
		struct rig rig;
		struct stat file;
		rig_begin(&rig, SIZE);
		rig_fill(rig.target, 0, SIZE, i);
		rig.open = open_known;
		struct fuzz fuzz = {.seed = seed + i * 1000003, .stream = rig_session_begin(&rig)};
		send_frames(&fuzz);
		rig_session_end(&rig);
		assert_int_equal(fstat(rig.target, &file), 0);
		assert_int_equal(file.st_size, SIZE);
		rig_end(&rig);
	}
}

static void a_source_survives_any_target(void **state)
{
	(void)state;
	uint64_t seed = seed_of_run(), cases = from_environment("COPY_CASES", 300);
	struct rig rig;
	rig_begin(&rig, SIZE);
	rig_fill(rig.source, 0, SIZE, 1);
	const struct copy_job job = {.fd = rig.source, .size = SIZE, .volume = "vda"};
	for (uint64_t i = 0; i < cases; i++) {
		struct stream *pair[2];
		vmm_auto_error struct vmm_error *err = NULL;
		pthread_t thread;
		assert_int_equal(stream_pair(pair, NULL), 0);
		struct fuzz fuzz = {.seed = seed + i * 1000003, .stream = pair[1], .as_target = true};
		assert_int_equal(pthread_create(&thread, NULL, send_frames, &fuzz), 0);
		assert_int_equal(
			copy_push(&job, &(struct copy_sessions){.stream = {pair[0]}, .count = 1}, NULL, NULL, &err),
			-1);
		assert_non_null(err);
		stream_close(pair[0]);
		pthread_join(thread, NULL);
		stream_close(pair[1]);
	}
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_survives_any_source),
		cmocka_unit_test(a_source_survives_any_target),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
