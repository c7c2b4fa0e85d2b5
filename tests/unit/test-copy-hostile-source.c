/* A source that violates the protocol is refused and told the reason: nothing is written outside of the volume, nothing
 * hangs. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "copy/copy-internal.h"

enum { MIB = 1 << 20, SIZE = 8 * MIB };

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
	rig_send(s, COPY_CHANGES, 0, record, COPY_RECORD_HEAD + data);
}

static void opened_change(struct stream *s, uint64_t offset, uint32_t length, uint32_t kind, size_t data)
{
	open_volume(s, "vda", SIZE);
	change(s, offset, length, kind, data);
}

static void get_tags(struct stream *s, uint64_t first, uint32_t count)
{
	uint8_t packed[COPY_GET_TAGS_SIZE];
	get_tags_pack(first, count, packed);
	open_volume(s, "vda", SIZE);
	rig_send(s, COPY_GET_TAGS, 0, packed, sizeof(packed));
}

static void get_signature(struct stream *s, uint32_t slot, uint64_t offset, uint32_t length)
{
	uint8_t packed[COPY_GET_SIGNATURE_SIZE];
	delta_run_pack(&(struct delta_run){.slot = slot, .offset = offset, .length = length}, packed);
	rig_send(s, COPY_GET_SIGNATURE, 0, packed, sizeof(packed));
}

static void opened_get_signature(struct stream *s, uint32_t slot, uint64_t offset, uint32_t length)
{
	open_volume(s, "vda", SIZE);
	get_signature(s, slot, offset, length);
}

/* Asks for a signature, waits for it, and sends this delta. */
static void send_delta(struct stream *s, const void *delta, size_t length)
{
	opened_get_signature(s, 0, MIB, 4096);
	struct frame frame = {0};
	do {
		frame_free(&frame);
		if (frame_receive(s, COPY_LIMIT_TO_SOURCE, 5000, &frame, NULL) < 0)
			return;
	} while (frame.type != COPY_SIGNATURE);
	frame_free(&frame);
	vmm_auto_free uint8_t *packed = mem_zero(4 + length);
	memcpy(packed + 4, delta, length);
	rig_send(s, COPY_DELTA, 0, packed, 4 + length);
}

static void garbage_in_a_copy(struct stream *s)
{
	open_volume(s, "vda", SIZE);
	rig_garbage(s);
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

static void get_tags_first(struct stream *s)
{
	uint8_t packed[COPY_GET_TAGS_SIZE];
	get_tags_pack(0, 1, packed);
	rig_send(s, COPY_GET_TAGS, 0, packed, sizeof(packed));
}

static void open_twice(struct stream *s)
{
	open_volume(s, "vda", SIZE);
	open_volume(s, "vda", SIZE);
}

static void open_without_name(struct stream *s)
{
	uint8_t packed[COPY_OPEN_HEAD] = {0};
	rig_send(s, COPY_OPEN, 0, packed, sizeof(packed));
}

static void open_with_nul(struct stream *s)
{
	uint8_t packed[COPY_OPEN_HEAD + 4] = {0};
	memcpy(packed + COPY_OPEN_HEAD, "v\0da", 4);
	rig_send(s, COPY_OPEN, 0, packed, sizeof(packed));
}

static void open_huge(struct stream *s)
{
	uint8_t packed[COPY_OPEN_HEAD + 3];
	memset(packed, 0xff, sizeof(packed));
	rig_send(s, COPY_OPEN, 0, packed, sizeof(packed));
}

static void verify_huge(struct stream *s)
{
	uint8_t packed[COPY_OPEN_HEAD + 3];
	memset(packed, 0xff, sizeof(packed));
	rig_send(s, COPY_VERIFY, 0, packed, sizeof(packed));
}

/* Copies nothing, so that the volume has its size; then sends up to two ranges of leaves for a verification, without
 * the frame that ends them. */
static void send_ranges(struct stream *s, const uint64_t numbers[4], size_t length)
{
	static const uint8_t key[COPY_KEY];
	uint8_t packed[2 * COPY_RANGE_SIZE];
	for (size_t i = 0; i < 4; i++)
		put64(packed + i * 8, numbers[i]);
	open_volume(s, "vda", SIZE);
	rig_send(s, COPY_SYNC, 0, NULL, 0);
	open_send(s, COPY_VERIFY, SIZE, key, "vda", NULL);
	rig_send(s, COPY_LEAF_RANGES, 0, packed, length);
}

static void ranges_first(struct stream *s)
{
	rig_send(s, COPY_LEAF_RANGES, 0, NULL, 0);
}

static void range_behind_the_end(struct stream *s)
{
	send_ranges(s, (uint64_t[4]){0, 5, SIZE / COPY_LEAF - 1, 2}, 2 * COPY_RANGE_SIZE);
}

static void range_far_behind(struct stream *s)
{
	send_ranges(s, (uint64_t[4]){~0ull, 1}, COPY_RANGE_SIZE);
}

static void range_of_any_length(struct stream *s)
{
	send_ranges(s, (uint64_t[4]){1, ~0ull}, COPY_RANGE_SIZE);
}

static void range_of_none(struct stream *s)
{
	send_ranges(s, (uint64_t[4]){3, 0}, COPY_RANGE_SIZE);
}

static void ranges_backward(struct stream *s)
{
	send_ranges(s, (uint64_t[4]){4, 2, 5, 1}, 2 * COPY_RANGE_SIZE);
}

static void half_a_range(struct stream *s)
{
	send_ranges(s, (uint64_t[4]){4, 2}, COPY_RANGE_SIZE / 2);
}

static void get_tags_among_ranges(struct stream *s)
{
	send_ranges(s, (uint64_t[4]){4, 2}, COPY_RANGE_SIZE);
	get_tags_first(s);
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
	rig_send(s, COPY_CHANGES, 0, "1234567", 7);
}

static void get_tags_of_none(struct stream *s)
{
	get_tags(s, 0, 0);
}

static void get_tags_behind_the_end(struct stream *s)
{
	get_tags(s, 1, 2);
}

static void get_tags_of_all(struct stream *s)
{
	get_tags(s, ~0ull - 3, 0xffffffff);
}

static void get_signature_behind_the_end(struct stream *s)
{
	opened_get_signature(s, 0, SIZE - 10, 20);
}

static void get_signature_of_too_much(struct stream *s)
{
	opened_get_signature(s, 0, 0, 2 * MIB);
}

static void get_signature_in_no_slot(struct stream *s)
{
	opened_get_signature(s, 0xffffffff, 0, 4096);
}

static void get_signature_twice(struct stream *s)
{
	opened_get_signature(s, 0, 0, 4096);
	get_signature(s, 0, 0, 4096);
}

static void delta_without_signature(struct stream *s)
{
	open_volume(s, "vda", SIZE);
	rig_send(s, COPY_DELTA, 0, "\0\0\0\1delta", 9);
}

static void delta_of_garbage(struct stream *s)
{
	send_delta(s, "no delta at all", 15);
}

/* A librsync delta is a magic number, then commands. 0x01 to 0x40: so many literal bytes; 0x45: copy, offset in 1 byte,
 * length in 1 byte. */
static void delta_too_short(struct stream *s)
{
	send_delta(s, "rs\x02\x36\x02hi\x00", 8);
}

static void delta_from_outside(struct stream *s)
{
	static const uint8_t delta[] = {'r',  's',  2,	  0x36, 0x54, 0x7f, 0xff, 0xff,
					0xff, 0xff, 0xff, 0xff, 0,    0x10, 0,	  0};
	send_delta(s, delta, sizeof(delta));
}

static void delta_too_long(struct stream *s)
{
	/* 0x4b: copy, offset in 2 bytes, length in 4: the whole window of 132 KiB for a run of 4 KiB */
	static const uint8_t delta[] = {'r', 's', 2, 0x36, 0x4b, 0, 0, 0, 2, 0x10, 0, 0};
	send_delta(s, delta, sizeof(delta));
}

static const struct hostile {
	const char *name;
	void (*act)(struct stream *s);
	const char *code;
} sources[] = {
	{"garbage", rig_garbage, "not-our-agent"},
	{"garbage in a copy", garbage_in_a_copy, "not-our-agent"},
	{"oversized", oversized, "frame-too-large"},
	{"cut off", cut_off_frame, "link-lost"},
	{"change first", change_first, "protocol-error"},
	{"get tags first", get_tags_first, "protocol-error"},
	{"open twice", open_twice, "protocol-error"},
	{"open without name", open_without_name, "protocol-error"},
	{"open with NUL", open_with_nul, "protocol-error"},
	{"open huge", open_huge, "protocol-error"},
	{"verify huge", verify_huge, "protocol-error"},
	{"ranges first", ranges_first, "protocol-error"},
	{"range behind the end", range_behind_the_end, "protocol-error"},
	{"range far behind", range_far_behind, "protocol-error"},
	{"range of any length", range_of_any_length, "protocol-error"},
	{"range of none", range_of_none, "protocol-error"},
	{"ranges backward", ranges_backward, "protocol-error"},
	{"half a range", half_a_range, "protocol-error"},
	{"get tags among ranges", get_tags_among_ranges, "protocol-error"},
	{"open elsewhere", open_elsewhere, "not-there"},
	{"write behind the end", write_behind_the_end, "protocol-error"},
	{"write far behind", write_far_behind, "protocol-error"},
	{"zero behind the end", zero_behind_the_end, "protocol-error"},
	{"longer than its frame", longer_than_its_frame, "protocol-error"},
	{"unknown change", unknown_change, "protocol-error"},
	{"half a record", half_a_record, "protocol-error"},
	{"get tags of none", get_tags_of_none, "protocol-error"},
	{"get tags behind the end", get_tags_behind_the_end, "protocol-error"},
	{"get tags of all", get_tags_of_all, "protocol-error"},
	{"get signature behind the end", get_signature_behind_the_end, "protocol-error"},
	{"get signature of too much", get_signature_of_too_much, "protocol-error"},
	{"get signature in no slot", get_signature_in_no_slot, "protocol-error"},
	{"get signature twice", get_signature_twice, "protocol-error"},
	{"delta without signature", delta_without_signature, "protocol-error"},
	{"delta of garbage", delta_of_garbage, "protocol-error"},
	{"delta too short", delta_too_short, "protocol-error"},
	{"delta from outside", delta_from_outside, "protocol-error"},
	{"delta too long", delta_too_long, "protocol-error"},
};

/* The code of the error that the target sends; NULL if the stream ends without one. */
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
	/* Far more runs than there are slots, and nobody reads the signatures. */
	for (int i = 0; i < 200000; i++) {
		uint8_t packed[COPY_GET_SIGNATURE_SIZE];
		delta_run_pack(&(struct delta_run){.slot = (uint32_t)i % COPY_SLOTS, .length = MIB}, packed);
		if (frame_send(s, COPY_GET_SIGNATURE, 0, packed, sizeof(packed), NULL) < 0)
			break;
	}
	vmm_auto_free char *code = told_code(s);
	assert_string_equal(code, "protocol-error");
	rig_session_end(&rig);
	rig_end(&rig);
}

static void a_source_that_reads_no_answers_does_not_fill_the_memory(void **state)
{
	(void)state;
	/* Few requests with many answers each: if the requests did not fit into the socket's buffer, our own end would
	 * put the answers aside while it waits. */
	enum { REQUESTS = 150, LARGE = 64 * MIB, EXTENTS = LARGE / COPY_EXTENT };
	struct rig rig;
	struct frame frame;
	uint8_t key[COPY_KEY] = {0}, packed[COPY_GET_TAGS_SIZE], all[COPY_RANGE_SIZE];
	rig_begin(&rig, LARGE);
	rig_fill(rig.target, 0, LARGE, 1);
	struct stream *s = rig_session_begin(&rig);
	assert_int_equal(open_send(s, COPY_VERIFY, LARGE, key, "vda", NULL), 0);
	put64(all, 0);
	put64(all + 8, LARGE / COPY_LEAF);
	assert_int_equal(frame_send(s, COPY_LEAF_RANGES, 0, all, sizeof(all), NULL), 0);
	assert_int_equal(frame_send(s, COPY_LEAF_RANGES, 0, NULL, 0, NULL), 0);
	assert_int_equal(protocol_receive(s, &frame, NULL), 0);
	frame_free(&frame);
	size_t before = mallinfo2().uordblks;
	get_tags_pack(0, EXTENTS, packed);
	for (int i = 0; i < REQUESTS; i++)
		assert_int_equal(frame_send(s, COPY_GET_TAGS, 0, packed, sizeof(packed), NULL), 0);
	clock_sleep_ms(500);
	assert_true(mallinfo2().uordblks < before + 1000000);
	/* All of them are answered once they are read. */
	for (int i = 0; i < REQUESTS * EXTENTS; i++) {
		assert_int_equal(protocol_receive(s, &frame, NULL), 0);
		assert_int_equal(frame.type, COPY_TAGS);
		frame_free(&frame);
	}
	stream_finish(s);
	rig_session_end(&rig);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_hostile_source_is_refused_told_and_writes_nothing),
		cmocka_unit_test(a_source_that_floods_is_refused_before_memory_is_gone),
		cmocka_unit_test(a_source_that_reads_no_answers_does_not_fill_the_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
