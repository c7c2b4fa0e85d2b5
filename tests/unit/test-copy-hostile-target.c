/* A target that violates the protocol is refused by the source, whose error message contains no control characters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "copy/copy-internal.h"

enum { MIB = 1 << 20, SIZE = 8 * MIB };

static void opened(struct stream *s, int flags)
{
	rig_send(s, COPY_OPENED, flags, NULL, 0);
}

static void send_tags(struct stream *s, uint64_t extent, uint64_t nonzero)
{
	struct extent_tags tags = {.nonzero = nonzero};
	uint8_t packed[COPY_TAGS_MOST];
	memset(tags.tag, 7, sizeof(tags.tag));
	rig_send(s, COPY_TAGS, 0, packed, tags_pack(extent, &tags, packed));
}

static void oversized(struct stream *s)
{
	static const uint8_t header[] = {0xf6, 'V', 'M', 'M', COPY_TAGS, 0, 0, 0, 0, 0x10, 0, 0};
	opened(s, 0);
	stream_write(s, header, sizeof(header), NULL);
}

static void opened_twice(struct stream *s)
{
	opened(s, 0);
	opened(s, 0);
}

static void tags_first(struct stream *s)
{
	send_tags(s, 0, 0);
}

static void tags_out_of_turn(struct stream *s)
{
	opened(s, 0);
	send_tags(s, 1, 0);
}

static void tags_of_no_extent(struct stream *s)
{
	opened(s, 0);
	send_tags(s, 1000, 0);
}

static void tags_cut_off(struct stream *s)
{
	uint8_t packed[20] = {[15] = 3};
	opened(s, 0);
	rig_send(s, COPY_TAGS, 0, packed, sizeof(packed));
}

static void tags_behind_the_end(struct stream *s)
{
	opened(s, 0);
	send_tags(s, 0, 0);
	send_tags(s, 1, 0);
	send_tags(s, 2, 2); /* the last extent has one leaf */
}

static void tags_for_a_fresh_volume(struct stream *s)
{
	opened(s, COPY_IS_EMPTY);
	send_tags(s, 0, 0);
}

static void applies_too_much(struct stream *s)
{
	uint8_t packed[8];
	opened(s, 0);
	put64(packed, 1ull << 40);
	rig_send(s, COPY_APPLIED, 0, packed, sizeof(packed));
}

static void signs_without_request(struct stream *s)
{
	opened(s, 0);
	rig_send(s, COPY_SIGNATURE, 0, "\0\0\0\1signature", 13);
}

static void synced_early(struct stream *s)
{
	opened(s, 0);
	rig_send(s, COPY_SYNCED, 0, NULL, 0);
}

static void ends(struct stream *s)
{
	opened(s, 0);
	stream_finish(s);
}

static void error_of_garbage(struct stream *s)
{
	rig_send(s, COPY_ERROR, 0, "{\"code\":", 8);
}

static void error_with_escapes(struct stream *s)
{
	static const char json[] = "{\"code\":\"e\\u001b[2J\",\"message\":\"boo\\u001b]0;x\\u0007\\n\",\"exit\":1}";
	rig_send(s, COPY_ERROR, 0, json, strlen(json));
}

/* Waits until a signature is asked for and sends one with this head and length. */
static void send_signature(struct stream *s, uint32_t magic, uint32_t block, uint32_t strong, size_t length)
{
	opened(s, 0);
	for (uint64_t extent = 0; extent < 3; extent++)
		send_tags(s, extent, extent < 2 ? ~0ull : 1);
	struct frame frame = {0};
	do {
		frame_free(&frame);
		if (frame_receive(s, COPY_LIMIT_TO_TARGET, 5000, &frame, NULL) < 0)
			return;
	} while (frame.type != COPY_GET_SIGNATURE);
	vmm_auto_free uint8_t *packed = mem_zero(16 + length);
	memcpy(packed, frame.data, 4);
	frame_free(&frame);
	put32(packed + 4, magic);
	put32(packed + 8, block);
	put32(packed + 12, strong);
	rig_send(s, COPY_SIGNATURE, 0, packed, 4 + length);
}

enum { WINDOW_SIGNATURE = 12 + 20 * (1024 + 64) / 4 };

static void signature_of_md4(struct stream *s)
{
	send_signature(s, 0x72730136, 4096, 16, WINDOW_SIGNATURE);
}

static void signature_of_huge_blocks(struct stream *s)
{
	send_signature(s, 0x72730147, 0xffffffff, 16, WINDOW_SIGNATURE);
}

static void signature_cut_off(struct stream *s)
{
	send_signature(s, 0x72730147, 4096, 16, 100);
}

static void signature_too_short_to_be_one(struct stream *s)
{
	send_signature(s, 0x72730147, 4096, 16, 0);
}

static const struct hostile {
	const char *name;
	void (*act)(struct stream *s);
	const char *code;
} targets[] = {
	{"garbage", rig_garbage, "not-our-agent"},
	{"oversized", oversized, "frame-too-large"},
	{"opened twice", opened_twice, "protocol-error"},
	{"tags first", tags_first, "protocol-error"},
	{"tags out of turn", tags_out_of_turn, "protocol-error"},
	{"tags of no extent", tags_of_no_extent, "protocol-error"},
	{"tags cut off", tags_cut_off, "protocol-error"},
	{"tags behind the end", tags_behind_the_end, "protocol-error"},
	{"tags for a fresh volume", tags_for_a_fresh_volume, "protocol-error"},
	{"applies too much", applies_too_much, "protocol-error"},
	{"signs without request", signs_without_request, "protocol-error"},
	{"synced early", synced_early, "protocol-error"},
	{"ends", ends, "link-lost"},
	{"error of garbage", error_of_garbage, "malformed"},
	{"error with escapes", error_with_escapes, "e?[2J"},
	{"MD4", signature_of_md4, "protocol-error"},
	{"huge blocks", signature_of_huge_blocks, "protocol-error"},
	{"signature cut off", signature_cut_off, "protocol-error"},
	{"no signature", signature_too_short_to_be_one, "protocol-error"},
};

struct acting {
	const struct hostile *hostile;
	struct stream *stream;
};

static void *act(void *argument)
{
	struct acting *acting = argument;
	char rest[65536];
	acting->hostile->act(acting->stream);
	while (stream_read(acting->stream, rest, sizeof(rest), 5000, NULL) > 0)
		;
	return NULL;
}

static void a_hostile_target_is_refused(void **state)
{
	(void)state;
	struct rig rig;
	rig_begin(&rig, SIZE + 1000);
	rig_fill(rig.source, 0, SIZE + 1000, 1);
	const struct copy_job job = {.fd = rig.source, .size = SIZE + 1000, .volume = "vda"};
	for (size_t i = 0; i < VMM_COUNT(targets); i++) {
		struct stream *pair[2];
		vmm_auto_error struct vmm_error *err = NULL;
		pthread_t thread;
		assert_int_equal(stream_pair(pair, NULL), 0);
		struct acting acting = {&targets[i], pair[1]};
		assert_int_equal(pthread_create(&thread, NULL, act, &acting), 0);
		int result =
			copy_push(&job, &(struct copy_sessions){.stream = {pair[0]}, .count = 1}, NULL, NULL, &err);
		stream_close(pair[0]);
		pthread_join(thread, NULL);
		stream_close(pair[1]);
		if (result != -1 || !error_is(err, targets[i].code))
			fail_msg("%s: %s", targets[i].name, err ? err->code : "no error");
		assert_null(strchr(err->message, '\x1b'));
	}
	rig_end(&rig);
}

/* FAULTS 82: a target that says ALIVE on and on, since its storage hangs. */
static void says_alive(struct stream *s)
{
	while (frame_send(s, FRAME_ALIVE, 0, NULL, 0, NULL) == 0)
		clock_sleep_ms(50);
}

static bool goes_on_for_a_second(void *context, const struct copy_progress *progress)
{
	(void)progress;
	return clock_steady_ms() - *(int64_t *)context < 1000;
}

static void a_verification_is_cancelled_while_the_target_hangs(void **state)
{
	(void)state;
	static const struct hostile hanging = {"hangs", says_alive, "cancelled"};
	struct rig rig;
	struct stream *pair[2];
	struct copy_leaves leaves = {0};
	vmm_auto_error struct vmm_error *err = NULL;
	pthread_t thread;
	rig_begin(&rig, SIZE);
	rig_push_well(&rig, &leaves);
	assert_int_equal(stream_pair(pair, NULL), 0);
	struct acting acting = {&hanging, pair[1]};
	assert_int_equal(pthread_create(&thread, NULL, act, &acting), 0);
	int64_t began = clock_steady_ms();
	const struct copy_job job = {
		.fd = rig.source, .size = SIZE, .volume = "vda", .progress = goes_on_for_a_second, .context = &began};
	assert_int_equal(copy_verify(&job, pair[0], &leaves, NULL, &err), -1);
	assert_string_equal(err->code, hanging.code);
	assert_in_range(clock_steady_ms() - began, 1000, 10000);
	stream_close(pair[0]);
	pthread_join(thread, NULL);
	stream_close(pair[1]);
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hostile_target_is_refused),
		cmocka_unit_test(a_verification_is_cancelled_while_the_target_hangs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
