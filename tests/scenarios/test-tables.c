/* The tables from which help, completion and the manual are made are complete: `make check-tables`. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "scenario.h"

/* The groups come in this order, each in one block of rows. */
static void in_order(const char *const *groups, size_t count, const char *(*group)(size_t), size_t rows)
{
	size_t at = 0;
	for (size_t i = 0; i < rows; i++) {
		while (at < count && strcmp(groups[at], group(i)))
			at++;
		if (at == count)
			fail_msg("row %zu: \"%s\" is no group, or stands apart from its group", i, group(i));
	}
}

static void is_sentence(const char *name, const char *text)
{
	size_t length = text ? strlen(text) : 0;
	if (length < 20 || length > 200 || text[length - 1] != '.' || !isupper((unsigned char)text[0]))
		fail_msg("%s is not described in one sentence: %s", name, text ? text : "");
}

static void is_made_of(const char *name, const char *letters)
{
	if (!*name || strspn(name, letters) != strlen(name))
		fail_msg("\"%s\" has letters that it may not have", name);
}

static const char *check_group(size_t row)
{
	return checks[row].group;
}

static void checks_have_code_group_sentence_and_function(void **state)
{
	(void)state;
	static const char *const groups[] = {"target", "guest", "storage"};
	in_order(groups, VMM_COUNT(groups), check_group, check_count);
	for (size_t i = 0; i < check_count; i++) {
		is_made_of(checks[i].code, "abcdefghijklmnopqrstuvwxyz-");
		is_sentence(checks[i].code, checks[i].what);
		assert_non_null(checks[i].look);
		assert_true(checks[i].modes && !(checks[i].modes & ~15U));
		assert_ptr_equal(check_find(checks[i].code), &checks[i]);
		/* It fits into the code of an error. */
		assert_true(strlen(checks[i].code) < sizeof(((struct vmm_error *)NULL)->code));
		if (checks[i].kind)
			assert_true(str_same(checks[i].kind, "qemu") || str_same(checks[i].kind, "lxc"));
	}
	assert_null(check_find("no-such-check"));
}

static void an_option_that_overrides_a_check_is_a_flag(void **state)
{
	(void)state;
	for (size_t i = 0; i < check_count; i++) {
		if (!checks[i].option)
			continue;
		const struct option *option = option_find(checks[i].option);
		assert_non_null(option);
		assert_int_equal(option->type, OPTION_FLAG);
		assert_int_equal(checks[i].severity, CHECK_OVERRIDE);
	}
}

static const char *option_group(size_t row)
{
	return request_options[row].group;
}

static void options_have_name_group_sentence_and_bounds(void **state)
{
	(void)state;
	static const char *const groups[] = {"mode", "limits", "network", "safety"};
	in_order(groups, VMM_COUNT(groups), option_group, request_option_count);
	for (size_t i = 0; i < request_option_count; i++) {
		const struct option *option = &request_options[i];
		is_made_of(option->name, "abcdefghijklmnopqrstuvwxyz_");
		is_sentence(option->name, option->help);
		assert_ptr_equal(option_find(option->name), option);
		assert_int_equal(option->argument == NULL, option->type == OPTION_FLAG);
		assert_int_equal(option->choices != NULL, option->type == OPTION_CHOICE);
		if (option->type == OPTION_NUMBER)
			assert_true(option->least < option->most);
	}
	assert_ptr_equal(option_find("max-downtime"), option_find("max_downtime"));
	assert_null(option_find("max"));
}

/* Options of the command alone: the engine must refuse them. */
static void options_of_the_client_are_not_the_engines(void **state)
{
	(void)state;
	static const char *const of_client[] = {"yes", "dry_run", "help", "json", "quiet", "detach"};
	for (size_t i = 0; i < VMM_COUNT(of_client); i++)
		assert_null(option_find(of_client[i]));
}

/* Every default is a valid value of its option. */
static void defaults_are_valid(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *raw = json_make("guest:s", "100"), *request = NULL;
	assert_int_equal(request_read(raw, NULL, &request, NULL), 0);
	for (size_t i = 0; i < request_option_count; i++)
		assert_int_equal(request_options[i].standard != NULL,
				 json_object_object_get_ex(json_at(request, "options"), request_options[i].name, NULL));
}

static void the_tables_are_handed_out_whole(void **state)
{
	(void)state;
	vmm_auto_json struct json_object *options = options_to_json(), *rows = checks_to_json();
	assert_int_equal(json_count(options, ""), request_option_count);
	assert_int_equal(json_count(rows, ""), check_count);
	json_each (option, options, "") {
		assert_string_equal(json_text(option, "name"), request_options[option_i].name);
		assert_non_null(json_text(option, "type"));
		assert_non_null(json_text(option, "help"));
		if (str_same(json_text(option, "name"), "migration_type"))
			assert_string_equal(json_line(json_at(option, "choices")), "[\"secure\",\"insecure\"]");
	}
	json_each (row, rows, "") {
		assert_string_equal(json_text(row, "code"), checks[row_i].code);
		assert_true(json_count(row, "modes") >= 1 && json_count(row, "modes") <= 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checks_have_code_group_sentence_and_function),
		cmocka_unit_test(an_option_that_overrides_a_check_is_a_flag),
		cmocka_unit_test(options_have_name_group_sentence_and_bounds),
		cmocka_unit_test(options_of_the_client_are_not_the_engines),
		cmocka_unit_test(defaults_are_valid),
		cmocka_unit_test(the_tables_are_handed_out_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
