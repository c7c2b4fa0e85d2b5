/* A peer that lies, or sends garbage, is refused at either end: nothing is written outside of the volume, nothing hangs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "copy/parts.h"

enum { MIB = 1 << 20, SIZE = 8 * MIB };

static void send(struct stream *s, int type, int flags, const void *data, size_t length)
{
	frame_send(s, (uint8_t)type, (uint8_t)flags, data, length, NULL);
}

/* ------------------------------------------------------------------ hostile sources */

static void open_volume(struct stream *s, const char *name, uint64_t size)
{
	static const uint8_t key[COPY_KEY] = {1};
	open_send(s, COPY_OPEN, size, key, name, NULL);
}

static void change(struct stream *s, uint64_t offset, uint32_t length, uint32_t kind, size_t data)
{
	vmm_auto_free uint8_t *record = mem_zero(COPY_RECORD_HEAD + data);
	put64(record, offset);
	put32(record + 8, length);
	put32(record + 12, kind);
	memset(record + COPY_RECORD_HEAD, 0xee, data);
	send(s, COPY_CHANGES, 0, record, COPY_RECORD_HEAD + data);
}

static void opened_change(struct stream *s, uint64_t offset, uint32_t length, uint32_t kind, size_t data)
{
	open_volume(s, "vda", SIZE);
	change(s, offset, length, kind, data);
}

static void order(struct stream *s, uint64_t first, uint32_t count)
{
	uint8_t packed[COPY_ORDER_SIZE];
	order_pack(first, count, packed);
	open_volume(s, "vda", SIZE);
	send(s, COPY_ORDER, 0, packed, sizeof(packed));
}

static void ask(struct stream *s, uint32_t slot, uint64_t offset, uint32_t length)
{
	uint8_t packed[COPY_ASK_SIZE];
	ask_pack(&(struct stretch){.slot = slot, .offset = offset, .length = length}, packed);
	send(s, COPY_ASK, 0, packed, sizeof(packed));
}

static void opened_ask(struct stream *s, uint32_t slot, uint64_t offset, uint32_t length)
{
	open_volume(s, "vda", SIZE);
	ask(s, slot, offset, length);
}

/* Asks, waits for the signature, and patches with that. */
static void patch(struct stream *s, const void *delta, size_t length)
{
	opened_ask(s, 0, MIB, 4096);
	struct frame frame = {0};
	do {
		frame_free(&frame);
		if (frame_receive(s, COPY_LIMIT_TO_SOURCE, 5000, &frame, NULL) < 0)
			return;
	} while (frame.type != COPY_SIGNATURE);
	frame_free(&frame);
	vmm_auto_free uint8_t *packed = mem_zero(4 + length);
	memcpy(packed + 4, delta, length);
	send(s, COPY_PATCH, 0, packed, 4 + length);
}

static void garbage(struct stream *s)
{
	char noise[4000];
	memset(noise, 'x', sizeof(noise));
	stream_write(s, noise, sizeof(noise), NULL);
}

static void garbage_in_a_copy(struct stream *s)
{
	open_volume(s, "vda", SIZE);
	garbage(s);
}

static void oversized(struct stream *s)
{
	static const uint8_t header[] = {0xf6, 'V', 'M', 'M', COPY_CHANGES, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff};
	open_volume(s, "vda", SIZE);
	stream_write(s, header, sizeof(header), NULL);
}

static void cut_off_frame(struct stream *s)
{
	static const uint8_t header[] = {0xf6, 'V', 'M', 'M', COPY_CHANGES, 0, 0, 0, 0, 0, 1, 0, 1, 2, 3};
	open_volume(s, "vda", SIZE);
	stream_write(s, header, sizeof(header), NULL);
	stream_finish(s);
}

static void change_first(struct stream *s)
{
	change(s, 0, 16, CHANGE_DATA, 16);
}

static void order_first(struct stream *s)
{
	uint8_t packed[COPY_ORDER_SIZE];
	order_pack(0, 1, packed);
	send(s, COPY_ORDER, 0, packed, sizeof(packed));
}

static void open_twice(struct stream *s)
{
	open_volume(s, "vda", SIZE);
	open_volume(s, "vda", SIZE);
}

static void open_without_name(struct stream *s)
{
	uint8_t packed[COPY_OPEN_HEAD] = {0};
	send(s, COPY_OPEN, 0, packed, sizeof(packed));
}

static void open_with_nul(struct stream *s)
{
	uint8_t packed[COPY_OPEN_HEAD + 4] = {0};
	memcpy(packed + COPY_OPEN_HEAD, "v\0da", 4);
	send(s, COPY_OPEN, 0, packed, sizeof(packed));
}

static void open_huge(struct stream *s)
{
	uint8_t packed[COPY_OPEN_HEAD + 3];
	memset(packed, 0xff, sizeof(packed));
	send(s, COPY_OPEN, 0, packed, sizeof(packed));
}

static void verify_huge(struct stream *s)
{
	uint8_t packed[COPY_OPEN_HEAD + 3];
	memset(packed, 0xff, sizeof(packed));
	send(s, COPY_VERIFY, 0, packed, sizeof(packed));
}

/* Copies nothing, so that the volume has its size, and has leaves read back: two at most, no end to them. */
static void picks(struct stream *s, const uint64_t numbers[4], size_t length)
{
	static const uint8_t key[COPY_KEY];
	uint8_t packed[2 * COPY_PICK_SIZE];
	for (size_t i = 0; i < 4; i++)
		put64(packed + i * 8, numbers[i]);
	open_volume(s, "vda", SIZE);
	send(s, COPY_SYNC, 0, NULL, 0);
	open_send(s, COPY_VERIFY, SIZE, key, "vda", NULL);
	send(s, COPY_PICKS, 0, packed, length);
}

static void picks_first(struct stream *s)
{
	send(s, COPY_PICKS, 0, NULL, 0);
}

static void picks_behind_the_end(struct stream *s)
{
	picks(s, (uint64_t[4]){0, 5, SIZE / COPY_LEAF - 1, 2}, 2 * COPY_PICK_SIZE);
}

static void picks_far_behind(struct stream *s)
{
	picks(s, (uint64_t[4]){~0ull, 1}, COPY_PICK_SIZE);
}

static void picks_of_all_there_is(struct stream *s)
{
	picks(s, (uint64_t[4]){1, ~0ull}, COPY_PICK_SIZE);
}

static void picks_of_none(struct stream *s)
{
	picks(s, (uint64_t[4]){3, 0}, COPY_PICK_SIZE);
}

static void picks_backward(struct stream *s)
{
	picks(s, (uint64_t[4]){4, 2, 5, 1}, 2 * COPY_PICK_SIZE);
}

static void half_a_pick(struct stream *s)
{
	picks(s, (uint64_t[4]){4, 2}, COPY_PICK_SIZE / 2);
}

static void order_among_picks(struct stream *s)
{
	picks(s, (uint64_t[4]){4, 2}, COPY_PICK_SIZE);
	order_first(s);
}

static void open_elsewhere(struct stream *s)
{
	open_volume(s, "../../etc/passwd", SIZE);
}

static void write_behind_the_end(struct stream *s)
{
	opened_change(s, SIZE - 8, 16, CHANGE_DATA, 16);
}

static void write_far_behind(struct stream *s)
{
	opened_change(s, ~0ull - 7, 16, CHANGE_DATA, 16);
}

static void zero_behind_the_end(struct stream *s)
{
	opened_change(s, SIZE, 1, CHANGE_ZERO, 0);
}

static void longer_than_its_frame(struct stream *s)
{
	opened_change(s, 0, 1000000, CHANGE_DATA, 16);
}

static void unknown_change(struct stream *s)
{
	opened_change(s, 0, 16, 77, 16);
}

static void half_a_record(struct stream *s)
{
	open_volume(s, "vda", SIZE);
	send(s, COPY_CHANGES, 0, "1234567", 7);
}

static void order_of_none(struct stream *s)
{
	order(s, 0, 0);
}

static void order_behind_the_end(struct stream *s)
{
	order(s, 1, 2);
}

static void order_of_all(struct stream *s)
{
	order(s, ~0ull - 3, 0xffffffff);
}

static void ask_behind_the_end(struct stream *s)
{
	opened_ask(s, 0, SIZE - 10, 20);
}

static void ask_for_too_much(struct stream *s)
{
	opened_ask(s, 0, 0, 2 * MIB);
}

static void ask_in_no_slot(struct stream *s)
{
	opened_ask(s, 0xffffffff, 0, 4096);
}

static void ask_twice(struct stream *s)
{
	opened_ask(s, 0, 0, 4096);
	ask(s, 0, 0, 4096);
}

static void patch_without_ask(struct stream *s)
{
	open_volume(s, "vda", SIZE);
	send(s, COPY_PATCH, 0, "\0\0\0\1delta", 9);
}

static void patch_of_garbage(struct stream *s)
{
	patch(s, "no delta at all", 15);
}

/* librsync's deltas: magic, then commands; 0x01-0x40: that many literal bytes; 0x45: copy, offset 1 byte, length 1 byte. */
static void patch_too_short(struct stream *s)
{
	patch(s, "rs\x02\x36\x02hi\x00", 8);
}

static void patch_from_outside(struct stream *s)
{
	static const uint8_t delta[] = {'r',  's',  2,	  0x36, 0x54, 0x7f, 0xff, 0xff,
					0xff, 0xff, 0xff, 0xff, 0,    0x10, 0,	  0};
	patch(s, delta, sizeof(delta));
}

static void patch_too_long(struct stream *s)
{
	/* 0x4a: copy, offset 2 bytes, length 4 bytes: the whole window of 132 KiB for a run of 4 KiB */
	static const uint8_t delta[] = {'r', 's', 2, 0x36, 0x4b, 0, 0, 0, 2, 0x10, 0, 0};
	patch(s, delta, sizeof(delta));
}

static const struct hostile {
	const char *name;
	void (*act)(struct stream *s);
	const char *code;
} sources[] = {
	{"garbage", garbage, "not-our-agent"},
	{"garbage in a copy", garbage_in_a_copy, "not-our-agent"},
	{"oversized", oversized, "frame-too-large"},
	{"cut off", cut_off_frame, "link-lost"},
	{"change first", change_first, "protocol-error"},
	{"order first", order_first, "protocol-error"},
	{"open twice", open_twice, "protocol-error"},
	{"open without name", open_without_name, "protocol-error"},
	{"open with NUL", open_with_nul, "protocol-error"},
	{"open huge", open_huge, "protocol-error"},
	{"verify huge", verify_huge, "protocol-error"},
	{"picks first", picks_first, "protocol-error"},
	{"picks behind the end", picks_behind_the_end, "protocol-error"},
	{"picks far behind", picks_far_behind, "protocol-error"},
	{"picks of all there is", picks_of_all_there_is, "protocol-error"},
	{"picks of none", picks_of_none, "protocol-error"},
	{"picks backward", picks_backward, "protocol-error"},
	{"half a pick", half_a_pick, "protocol-error"},
	{"order among picks", order_among_picks, "protocol-error"},
	{"open elsewhere", open_elsewhere, "not-there"},
	{"write behind the end", write_behind_the_end, "protocol-error"},
	{"write far behind", write_far_behind, "protocol-error"},
	{"zero behind the end", zero_behind_the_end, "protocol-error"},
	{"longer than its frame", longer_than_its_frame, "protocol-error"},
	{"unknown change", unknown_change, "protocol-error"},
	{"half a record", half_a_record, "protocol-error"},
	{"order of none", order_of_none, "protocol-error"},
	{"order behind the end", order_behind_the_end, "protocol-error"},
	{"order of all", order_of_all, "protocol-error"},
	{"ask behind the end", ask_behind_the_end, "protocol-error"},
	{"ask for too much", ask_for_too_much, "protocol-error"},
	{"ask in no slot", ask_in_no_slot, "protocol-error"},
	{"ask twice", ask_twice, "protocol-error"},
	{"patch without ask", patch_without_ask, "protocol-error"},
	{"patch of garbage", patch_of_garbage, "protocol-error"},
	{"patch too short", patch_too_short, "protocol-error"},
	{"patch from outside", patch_from_outside, "protocol-error"},
	{"patch too long", patch_too_long, "protocol-error"},
};

/* The error that the target tells, or NULL at the stream's end. */
static char *told_code(struct stream *s)
{
	struct frame frame;
	char *code = NULL;
	while (!code && frame_receive(s, COPY_LIMIT_TO_SOURCE, 5000, &frame, NULL) == 0) {
		vmm_auto_json struct json_object *json = NULL;
		if (frame.type == COPY_ERROR && !json_parse(frame.data, frame.length, "error", &json, NULL))
			code = str_copy(json_text_or(json, "code", "?"));
		frame_free(&frame);
	}
	return code;
}

static void a_hostile_source_is_refused_told_and_writes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < VMM_COUNT(sources); i++) {
		struct rig rig;
		struct stat file;
		rig_begin(&rig, SIZE);
		assert_int_equal(ftruncate(rig.target, SIZE), 0);
		struct stream *s = rig_session_begin(&rig);
		sources[i].act(s);
		vmm_auto_free char *code = told_code(s);
		if (!str_same(code, sources[i].code))
			fail_msg("%s: told %s", sources[i].name, code ? code : "nothing");
		stream_finish(s);
		rig_session_end(&rig);
		if (!error_is(rig.served, sources[i].code))
			fail_msg("%s: served %s", sources[i].name, rig.served ? rig.served->code : "well");
		assert_int_equal(fstat(rig.target, &file), 0);
		assert_int_equal(file.st_size, SIZE);
		assert_int_equal(rig_needed(rig.target), 0);
		rig_end(&rig);
	}
}

static void a_source_that_floods_is_refused_before_memory_is_gone(void **state)
{
	(void)state;
	struct rig rig;
	rig_begin(&rig, SIZE);
	struct stream *s = rig_session_begin(&rig);
	open_volume(s, "vda", SIZE);
	/* Questions whose answers nobody reads, and far more of them than slots. */
	for (int i = 0; i < 200000; i++) {
		uint8_t packed[COPY_ASK_SIZE];
		ask_pack(&(struct stretch){.slot = (uint32_t)i % COPY_SLOTS, .length = MIB}, packed);
		if (frame_send(s, COPY_ASK, 0, packed, sizeof(packed), NULL) < 0)
			break;
	}
	vmm_auto_free char *code = told_code(s);
	assert_string_equal(code, "protocol-error");
	rig_session_end(&rig);
	rig_end(&rig);
}

/* ------------------------------------------------------------------ hostile targets */

static void opened(struct stream *s, int flags)
{
	send(s, COPY_OPENED, flags, NULL, 0);
}

static void send_tags(struct stream *s, uint64_t extent, uint64_t nonzero)
{
	struct extent_tags tags = {.nonzero = nonzero};
	uint8_t packed[COPY_TAGS_MOST];
	memset(tags.tag, 7, sizeof(tags.tag));
	send(s, COPY_TAGS, 0, packed, tags_pack(extent, &tags, packed));
}

static void target_garbage(struct stream *s)
{
	garbage(s);
}

static void target_oversized(struct stream *s)
{
	static const uint8_t header[] = {0xf6, 'V', 'M', 'M', COPY_TAGS, 0, 0, 0, 0, 0x10, 0, 0};
	opened(s, 0);
	stream_write(s, header, sizeof(header), NULL);
}

static void target_opened_twice(struct stream *s)
{
	opened(s, 0);
	opened(s, 0);
}

static void target_tags_first(struct stream *s)
{
	send_tags(s, 0, 0);
}

static void target_tags_out_of_turn(struct stream *s)
{
	opened(s, 0);
	send_tags(s, 1, 0);
}

static void target_tags_of_no_extent(struct stream *s)
{
	opened(s, 0);
	send_tags(s, 1000, 0);
}

static void target_tags_cut_off(struct stream *s)
{
	uint8_t packed[20] = {[15] = 3};
	opened(s, 0);
	send(s, COPY_TAGS, 0, packed, sizeof(packed));
}

static void target_tags_behind_the_end(struct stream *s)
{
	opened(s, 0);
	send_tags(s, 0, 0);
	send_tags(s, 1, 0);
	send_tags(s, 2, 2); /* the last extent has one leaf */
}

static void target_tags_for_a_fresh_volume(struct stream *s)
{
	opened(s, COPY_IS_FRESH);
	send_tags(s, 0, 0);
}

static void target_takes_too_much(struct stream *s)
{
	uint8_t packed[8];
	opened(s, 0);
	put64(packed, 1ull << 40);
	send(s, COPY_TAKEN, 0, packed, sizeof(packed));
}

static void target_signs_unasked(struct stream *s)
{
	opened(s, 0);
	send(s, COPY_SIGNATURE, 0, "\0\0\0\1signature", 13);
}

static void target_synced_early(struct stream *s)
{
	opened(s, 0);
	send(s, COPY_SYNCED, 0, NULL, 0);
}

static void target_ends(struct stream *s)
{
	opened(s, 0);
	stream_finish(s);
}

static void target_error_of_garbage(struct stream *s)
{
	send(s, COPY_ERROR, 0, "{\"code\":", 8);
}

static void target_error_with_escapes(struct stream *s)
{
	static const char json[] = "{\"code\":\"e\\u001b[2J\",\"message\":\"boo\\u001b]0;x\\u0007\\n\",\"exit\":1}";
	send(s, COPY_ERROR, 0, json, strlen(json));
}

/* Waits for a question and answers it so. */
static void answer(struct stream *s, uint32_t magic, uint32_t block, uint32_t strong, size_t length)
{
	opened(s, 0);
	for (uint64_t extent = 0; extent < 3; extent++)
		send_tags(s, extent, extent < 2 ? ~0ull : 1);
	struct frame frame = {0};
	do {
		frame_free(&frame);
		if (frame_receive(s, COPY_LIMIT_TO_TARGET, 5000, &frame, NULL) < 0)
			return;
	} while (frame.type != COPY_ASK);
	vmm_auto_free uint8_t *packed = mem_zero(16 + length);
	memcpy(packed, frame.data, 4);
	frame_free(&frame);
	put32(packed + 4, magic);
	put32(packed + 8, block);
	put32(packed + 12, strong);
	send(s, COPY_SIGNATURE, 0, packed, 4 + length);
}

enum { WINDOW_SIGNATURE = 12 + 20 * (1024 + 64) / 4 };

static void target_signature_of_md4(struct stream *s)
{
	answer(s, 0x72730136, 4096, 16, WINDOW_SIGNATURE);
}

static void target_signature_of_huge_blocks(struct stream *s)
{
	answer(s, 0x72730147, 0xffffffff, 16, WINDOW_SIGNATURE);
}

static void target_signature_cut_off(struct stream *s)
{
	answer(s, 0x72730147, 4096, 16, 100);
}

static void target_signature_too_short_to_be_one(struct stream *s)
{
	answer(s, 0x72730147, 4096, 16, 0);
}

static const struct hostile targets[] = {
	{"garbage", target_garbage, "not-our-agent"},
	{"oversized", target_oversized, "frame-too-large"},
	{"opened twice", target_opened_twice, "protocol-error"},
	{"tags first", target_tags_first, "protocol-error"},
	{"tags out of turn", target_tags_out_of_turn, "protocol-error"},
	{"tags of no extent", target_tags_of_no_extent, "protocol-error"},
	{"tags cut off", target_tags_cut_off, "protocol-error"},
	{"tags behind the end", target_tags_behind_the_end, "protocol-error"},
	{"tags for a fresh volume", target_tags_for_a_fresh_volume, "protocol-error"},
	{"takes too much", target_takes_too_much, "protocol-error"},
	{"signs unasked", target_signs_unasked, "protocol-error"},
	{"synced early", target_synced_early, "protocol-error"},
	{"ends", target_ends, "link-lost"},
	{"error of garbage", target_error_of_garbage, "malformed"},
	{"error with escapes", target_error_with_escapes, "e?[2J"},
	{"MD4", target_signature_of_md4, "protocol-error"},
	{"huge blocks", target_signature_of_huge_blocks, "protocol-error"},
	{"signature cut off", target_signature_cut_off, "protocol-error"},
	{"no signature", target_signature_too_short_to_be_one, "protocol-error"},
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
		int result = copy_push(&job, pair, 1, NULL, NULL, &err);
		stream_close(pair[0]);
		pthread_join(thread, NULL);
		stream_close(pair[1]);
		if (result != -1 || !error_is(err, targets[i].code))
			fail_msg("%s: %s", targets[i].name, err ? err->code : "no error");
		assert_null(strchr(err->message, '\x1b'));
	}
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hostile_source_is_refused_told_and_writes_nothing),
		cmocka_unit_test(a_source_that_floods_is_refused_before_memory_is_gone),
		cmocka_unit_test(a_hostile_target_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
