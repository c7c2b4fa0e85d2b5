/* Objects whose fields are known by a table: checked, read into a struct, written again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/fields.h"

struct sample {
	char *name, *path, *note;
	enum { COLD, WARM, HOT } heat;
	int64_t count;
	bool on;
	struct json_object *more, *list;
};

static const struct field sample_fields[] = {
	FIELD_OF(struct sample, name, NAME, true),
	FIELD_OF(struct sample, path, PATH, false),
	FIELD_OF(struct sample, note, TEXT, false),
	FIELD_CHOICE_OF(struct sample, heat, "cold|warm|hot", true),
	FIELD_OF(struct sample, count, NUMBER, false),
	FIELD_OF(struct sample, on, FLAG, false),
	FIELD_OF(struct sample, more, OBJECT, false),
	FIELD_OF(struct sample, list, LIST, false),
	{.name = "extra",
	 .type = FIELD_NUMBER,
	 .when = "heat",
	 .when_is = "hot",
	 .offset = offsetof(struct sample, count)},
	{0},
};

static struct json_object *parse(const char *text)
{
	struct json_object *object = NULL;
	assert_int_equal(json_parse(text, -1, "sample", &object, NULL), 0);
	return object;
}

static void refused(const char *text, bool strict, const char *names)
{
	vmm_auto_json struct json_object *object = parse(text);
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(fields_check(sample_fields, object, "the sample", "bad-sample", strict, &err), -1);
	assert_string_equal(err->code, "bad-sample");
	if (!strstr(err->message, names))
		fail_msg("\"%s\" does not name %s", err->message, names);
}

static void accepted(const char *text, bool strict)
{
	vmm_auto_json struct json_object *object = parse(text);
	vmm_auto_error struct vmm_error *err = NULL;
	if (fields_check(sample_fields, object, "the sample", "bad-sample", strict, &err) < 0)
		fail_msg("%s: %s", text, err->message);
}

static void a_required_field_that_is_missing_or_null_is_named(void **state)
{
	(void)state;
	refused("{\"heat\":\"warm\"}", false, "\"name\" is missing");
	refused("{\"heat\":\"warm\",\"name\":null}", false, "\"name\" is missing");
	refused("{\"name\":\"a\"}", false, "\"heat\" is missing");
	accepted("{\"heat\":\"warm\",\"name\":\"a\"}", false);
	assert_int_equal(fields_check(sample_fields, NULL, "the sample", "bad-sample", false, NULL), -1);
}

static void a_field_of_another_type_is_refused(void **state)
{
	(void)state;
	refused("{\"heat\":\"warm\",\"name\":\"../a\"}", false, "\"name\" is not a name");
	refused("{\"heat\":\"warm\",\"name\":7}", false, "\"name\" is not a name");
	refused("{\"heat\":\"tepid\",\"name\":\"a\"}", false, "cold|warm|hot");
	refused("{\"heat\":\"war\",\"name\":\"a\"}", false, "\"heat\"");
	refused("{\"heat\":\"cold|warm\",\"name\":\"a\"}", false, "\"heat\"");
	refused("{\"heat\":\"warm\",\"name\":\"a\",\"path\":\"a/b\"}", false, "\"path\" is not an absolute path");
	refused("{\"heat\":\"warm\",\"name\":\"a\",\"path\":\"/a/../b\"}", false, "\"path\"");
	refused("{\"heat\":\"warm\",\"name\":\"a\",\"count\":\"7\"}", false, "\"count\" is not a number");
	refused("{\"heat\":\"warm\",\"name\":\"a\",\"on\":1}", false, "\"on\" is not a flag");
	refused("{\"heat\":\"warm\",\"name\":\"a\",\"more\":[]}", false, "\"more\" is not an object");
	refused("{\"heat\":\"warm\",\"name\":\"a\",\"list\":{}}", false, "\"list\" is not a list");
	refused("[]", false, "not an object");
}

static void a_field_may_be_required_by_the_value_of_another(void **state)
{
	(void)state;
	refused("{\"heat\":\"hot\",\"name\":\"a\"}", false, "\"extra\" is missing");
	accepted("{\"heat\":\"hot\",\"name\":\"a\",\"extra\":1}", false);
	accepted("{\"heat\":\"cold\",\"name\":\"a\"}", false);
}

static void an_unknown_field_is_refused_only_where_the_check_is_strict(void **state)
{
	(void)state;
	refused("{\"heat\":\"warm\",\"name\":\"a\",\"from\":1}", true, "no field \"from\"");
	accepted("{\"heat\":\"warm\",\"name\":\"a\",\"from\":1}", false);
}

static void what_is_read_is_written_again(void **state)
{
	(void)state;
	static const char text[] = "{\"name\":\"a\",\"path\":\"/b\",\"heat\":\"hot\",\"count\":7,\"on\":true,"
				   "\"more\":{\"x\":1},\"list\":[1,2],\"extra\":7}";
	vmm_auto_json struct json_object *object = parse(text);
	struct sample sample = {0};
	assert_int_equal(fields_read(sample_fields, object, "the sample", "bad-sample", &sample, NULL), 0);
	assert_string_equal(sample.name, "a");
	assert_string_equal(sample.path, "/b");
	assert_null(sample.note);
	assert_int_equal(sample.heat, HOT);
	assert_int_equal(sample.count, 7);
	assert_true(sample.on);
	vmm_auto_json struct json_object *written = fields_write(sample_fields, &sample);
	assert_string_equal(json_line(written), text);
	fields_free(sample_fields, &sample);
	assert_null(sample.name);
	assert_null(sample.list);
	assert_int_equal(sample.heat, COLD);
}

struct sparse {
	char *left_out, *null;
	int64_t count, unknown;
	bool off, quiet, loud;
};

static const struct field sparse_fields[] = {
	FIELD_OF(struct sparse, left_out, TEXT, false),
	{.name = "null", .type = FIELD_TEXT, .offset = offsetof(struct sparse, null), .empty = EMPTY_NULL},
	FIELD_OF(struct sparse, count, COUNT, false),
	{.name = "unknown", .type = FIELD_COUNT, .offset = offsetof(struct sparse, unknown), .empty = EMPTY_NULL},
	FIELD_OF(struct sparse, off, FLAG, false),
	{.name = "quiet", .type = FIELD_FLAG, .offset = offsetof(struct sparse, quiet), .empty = EMPTY_LEFT_OUT},
	{.name = "loud", .type = FIELD_FLAG, .offset = offsetof(struct sparse, loud), .empty = EMPTY_LEFT_OUT},
	{0},
};

static void what_holds_nothing_is_written_as_its_row_says(void **state)
{
	(void)state;
	struct sparse sparse = {.count = 7, .loud = true};
	vmm_auto_json struct json_object *object = parse("{\"loud\":true}");
	assert_int_equal(fields_read(sparse_fields, object, "the sample", "bad-sample", &sparse, NULL), 0);
	assert_int_equal(sparse.count, -1);
	vmm_auto_json struct json_object *written = fields_write(sparse_fields, &sparse);
	assert_string_equal(json_line(written), "{\"null\":null,\"unknown\":null,\"off\":false,\"loud\":true}");
	vmm_auto_json struct json_object *negative = parse("{\"count\":-2}");
	assert_int_equal(fields_check(sparse_fields, negative, "the sample", "bad-sample", false, NULL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_required_field_that_is_missing_or_null_is_named),
		cmocka_unit_test(a_field_of_another_type_is_refused),
		cmocka_unit_test(a_field_may_be_required_by_the_value_of_another),
		cmocka_unit_test(an_unknown_field_is_refused_only_where_the_check_is_strict),
		cmocka_unit_test(what_is_read_is_written_again),
		cmocka_unit_test(what_holds_nothing_is_written_as_its_row_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
