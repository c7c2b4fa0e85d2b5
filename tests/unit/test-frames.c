/* Frames arrive whole and in order. What is not a frame, or is too large, is refused before memory is allocated for
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "link/link.h"

struct ends {
	struct stream *near, *far;
};

static int open_ends(void **state)
{
	struct ends *e = mem_zero(sizeof(*e));
	struct stream *pair[2];
	*state = e;
	if (stream_pair(pair, NULL) < 0)
		return -1;
	e->near = pair[0];
	e->far = pair[1];
	return 0;
}

static int close_ends(void **state)
{
	struct ends *e = *state;
	stream_close(e->near);
	stream_close(e->far);
	free(e);
	return 0;
}

static void frames_arrive_whole_and_in_order(void **state)
{
	struct ends *e = *state;
	static const size_t lengths[] = {0, 1, 11, 12, 32755, 32756, 32757, 65536, 150000};
	vmm_auto_free char *data = mem_zero(150000);
	struct frame f;
	memset(data, 'd', 150000);
	for (size_t i = 0; i < VMM_COUNT(lengths); i++) {
		assert_int_equal(frame_send(e->near, FRAME_COPY + 1, (uint8_t)i, data, lengths[i], NULL), 0);
		assert_int_equal(frame_receive(e->far, FRAME_LIMIT_DATA, 1000, &f, NULL), 0);
		assert_int_equal(f.type, FRAME_COPY + 1);
		assert_int_equal(f.flags, i);
		assert_int_equal(f.length, lengths[i]);
		assert_memory_equal(f.data, data, lengths[i]);
		assert_int_equal(f.data[f.length], 0);
		frame_free(&f);
	}
	frame_free(&f);
}

static void json_travels_in_a_frame(void **state)
{
	struct ends *e = *state;
	vmm_auto_json struct json_object *call = json_make("op:s", "facts"), *got = NULL;
	struct frame f;
	assert_int_equal(frame_send_json(e->near, FRAME_CALL, call, NULL), 0);
	assert_int_equal(frame_receive(e->far, FRAME_LIMIT_CONTROL, 1000, &f, NULL), 0);
	assert_int_equal(json_parse(f.data, f.length, "call", &got, NULL), 0);
	assert_string_equal(json_text(got, "op"), "facts");
	frame_free(&f);
}

static void refused(struct ends *e, const void *bytes, size_t length, const char *code)
{
	vmm_auto_error struct vmm_error *err = NULL;
	struct frame f;
	assert_int_equal(stream_write(e->near, bytes, length, NULL), 0);
	stream_finish(e->near);
	assert_int_equal(frame_receive(e->far, 1000, 1000, &f, &err), -1);
	assert_string_equal(err->code, code);
	assert_null(f.data);
}

static void a_greeting_is_not_a_frame(void **state)
{
	refused(*state, "Welcome to node2!\nLast login: never\n", 37, "not-our-agent");
}

static void a_frame_with_bits_that_must_be_zero_is_refused(void **state)
{
	refused(*state, "\xf6VMM\x20\0\0\1\0\0\0\0", 12, "not-our-agent");
}

static void a_frame_over_the_limit_is_refused_unread(void **state)
{
	refused(*state, "\xf6VMM\x20\0\0\0\0\0\x03\xe9", 12, "frame-too-large");
}

static void a_frame_of_four_gigabytes_is_refused_unread(void **state)
{
	refused(*state, "\xf6VMM\x20\0\0\0\xff\xff\xff\xff", 12, "frame-too-large");
}

static void a_frame_cut_in_its_header_is_a_lost_link(void **state)
{
	refused(*state, "\xf6VMM\x20\0", 6, "link-lost");
}

static void a_frame_cut_in_its_payload_is_a_lost_link(void **state)
{
	refused(*state, "\xf6VMM\x20\0\0\0\0\0\0\x10half", 16, "link-lost");
}

static void a_frame_too_large_is_not_sent(void **state)
{
	struct ends *e = *state;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(frame_send(e->near, FRAME_CALL, 0, "", (size_t)FRAME_LIMIT_CONTROL + 1, &err), -1);
	assert_true(error_is(err, "frame-too-large"));
	assert_int_equal(e->near->sent, 0);
}

static void random_bytes_never_give_a_frame_over_the_limit(void **state)
{
	(void)state;
	uint32_t seed = 12345;
	for (int round = 0; round < 300; round++) {
		struct stream *pair[2];
		uint8_t bytes[64];
		struct frame f;
		assert_int_equal(stream_pair(pair, NULL), 0);
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
		if (round % 2)
			memcpy(bytes, "\xf6VMM\x01\0\0\0\0\0\0", 11);
		stream_write(pair[0], bytes, sizeof(bytes), NULL);
		stream_finish(pair[0]);
		while (frame_receive(pair[1], 100, 1000, &f, NULL) == 0) {
			assert_true(f.length <= 100);
			frame_free(&f);
		}
		stream_close(pair[0]);
		stream_close(pair[1]);
	}
}

/* ------------------------------------------------------------------ hello */

/* Answers our hello with this text and returns the code of the error, "" for success; belongs to the caller. */
static char *hello_against(struct ends *e, const char *answer, uint8_t type)
{
	vmm_auto_error struct vmm_error *err = NULL;
	struct json_object *theirs = NULL;
	assert_int_equal(frame_send(e->far, type, 0, answer, strlen(answer), NULL), 0);
	int rc = frame_hello(e->near, "node2", NULL, 1000, &theirs, &err);
	json_object_put(theirs);
	if (rc < 0) {
		assert_int_equal(err->exit, VMM_BLOCKED);
		assert_non_null(strstr(err->message, "node2"));
		assert_non_null(err->hint);
	}
	return str_copy(rc < 0 ? err->code : "");
}

static void hello_distinguishes_versions(void **state)
{
	struct ends *e = *state;
	static const struct {
		int major, minor;
		const char *code;
	} rows[] = {
		{VMM_PROTOCOL_MAJOR, VMM_PROTOCOL_MINOR, ""},
		{VMM_PROTOCOL_MAJOR, VMM_PROTOCOL_MINOR + 1, ""},
		{VMM_PROTOCOL_MAJOR, VMM_PROTOCOL_MINOR - 1, ""},
		{VMM_PROTOCOL_MAJOR, VMM_PROTOCOL_MINOR + 2, "agent-too-new"},
		{VMM_PROTOCOL_MAJOR, VMM_PROTOCOL_MINOR - 2, "agent-too-old"},
		{VMM_PROTOCOL_MAJOR + 1, 0, "agent-too-new"},
		{VMM_PROTOCOL_MAJOR - 1, 99, "agent-too-old"},
	};
	for (size_t i = 0; i < VMM_COUNT(rows); i++) {
		vmm_auto_free char *answer =
			str_format("{\"agent\":\"vmmigrate\",\"protocol\":[%d,%d]}", rows[i].major, rows[i].minor);
		vmm_auto_free char *code = hello_against(e, answer, FRAME_HELLO);
		assert_string_equal(code, rows[i].code);
	}
}

static void hello_of_something_else_is_not_our_agent(void **state)
{
	struct ends *e = *state;
	static const char *const answers[] = {"{\"agent\":\"other\",\"protocol\":[1,0]}",
					      "{\"agent\":\"vmmigrate\"}",
					      "{\"agent\":\"vmmigrate\",\"protocol\":1}",
					      "[]",
					      "garbage",
					      ""};
	for (size_t i = 0; i < VMM_COUNT(answers); i++) {
		vmm_auto_free char *code = hello_against(e, answers[i], FRAME_HELLO);
		assert_string_equal(code, "not-our-agent");
	}
	vmm_auto_free char *code = hello_against(e, "{\"agent\":\"vmmigrate\",\"protocol\":[1,0]}", FRAME_CALL);
	assert_string_equal(code, "not-our-agent");
}

static void both_sides_say_hello_and_learn_the_others_version(void **state)
{
	struct ends *e = *state;
	vmm_auto_json struct json_object *first = NULL, *second = NULL;
	struct frame f;
	/* The far side sends its hello before the near side waits for it. */
	vmm_auto_free char *code = hello_against(e, "{}", FRAME_HELLO);
	assert_string_equal(code, "not-our-agent");
	assert_int_equal(frame_receive(e->far, 65536, 1000, &f, NULL), 0);
	assert_int_equal(f.type, FRAME_HELLO);
	assert_int_equal(frame_send(e->far, f.type, f.flags, f.data, f.length, NULL), 0);
	frame_free(&f);
	assert_int_equal(frame_hello(e->near, "node2", NULL, 1000, &first, NULL), 0);
	assert_int_equal(frame_hello(e->far, "node1", NULL, 1000, &second, NULL), 0);
	assert_string_equal(json_text(first, "version"), VMM_VERSION);
	assert_string_equal(json_text(second, "version"), VMM_VERSION);
}

static void an_agent_that_ends_before_its_hello_is_a_lost_link(void **state)
{
	struct ends *e = *state;
	vmm_auto_error struct vmm_error *err = NULL;
	struct json_object *theirs = NULL;
	stream_finish(e->far);
	assert_int_equal(frame_hello(e->near, "node2", NULL, 1000, &theirs, &err), -1);
	assert_true(error_is(err, "link-lost"));
	assert_non_null(strstr(err->message, "node2"));
}

#define WITH_ENDS(test) cmocka_unit_test_setup_teardown(test, open_ends, close_ends)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ENDS(frames_arrive_whole_and_in_order),
		WITH_ENDS(json_travels_in_a_frame),
		WITH_ENDS(a_greeting_is_not_a_frame),
		WITH_ENDS(a_frame_with_bits_that_must_be_zero_is_refused),
		WITH_ENDS(a_frame_over_the_limit_is_refused_unread),
		WITH_ENDS(a_frame_of_four_gigabytes_is_refused_unread),
		WITH_ENDS(a_frame_cut_in_its_header_is_a_lost_link),
		WITH_ENDS(a_frame_cut_in_its_payload_is_a_lost_link),
		WITH_ENDS(a_frame_too_large_is_not_sent),
		cmocka_unit_test(random_bytes_never_give_a_frame_over_the_limit),
		WITH_ENDS(hello_distinguishes_versions),
		WITH_ENDS(hello_of_something_else_is_not_our_agent),
		WITH_ENDS(both_sides_say_hello_and_learn_the_others_version),
		WITH_ENDS(an_agent_that_ends_before_its_hello_is_a_lost_link),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
