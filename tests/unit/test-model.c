/* The model (tests/model/ownership.pml) goes through the phases of the table in phases.c, in their order, and its
 * journal has records that the code writes. The states of a guest record and the modes of phases need no test:
 * check-model makes them from the code's tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "migration/migration.h"

enum { LIMIT = 1 << 20 };

static char *text_of(const char *path)
{
	char *text = NULL;
	struct vmm_error *err = NULL;
	if (file_read(path, LIMIT, &text, NULL, &err) < 0)
		fail_msg("%s (tests run in the top directory of the sources)", err->message);
	return text;
}

static void the_model_has_each_phase_in_its_order(void **state)
{
	(void)state;
	vmm_auto_free char *model = text_of("tests/model/ownership.pml");
	const char *at = model;
	for (size_t i = 0; i < phase_count; i++) {
		vmm_auto_free char *mark = str_format("/* PHASE %s */", phases[i].name);
		const char *next = strstr(at, "/* PHASE ");
		if (!next || strncmp(next, mark, strlen(mark)) != 0)
			fail_msg("the model has no phase %s where the table has it", phases[i].name);
		at = next + strlen(mark);
	}
	assert_null(strstr(at, "/* PHASE "));
}

/* One comment of the model lists them: JOURNAL word word ... */
static void the_models_journal_has_records_that_the_code_writes(void **state)
{
	(void)state;
	static const char *const files[] = {"phases.c", "steps.c", "steps-handover.c", "recover.c", "migrate.c"};
	vmm_auto_free char *model = text_of("tests/model/ownership.pml"), *code = str_copy("");
	for (size_t i = 0; i < VMM_COUNT(files); i++) {
		vmm_auto_free char *path = str_format("plugin/migration/%s", files[i]), *text = text_of(path);
		char *both = str_format("%s%s", code, text);
		free(code);
		code = both;
	}
	char *list = strstr(model, "/* JOURNAL ");
	assert_non_null(list);
	list += strlen("/* JOURNAL ");
	*strstr(list, " */") = 0;
	int words = 0;
	for (char *word; (word = strsep(&list, " "));) {
		vmm_auto_free char *quoted = str_format("\"%s\"", word);
		if (!strstr(code, quoted))
			fail_msg("nothing writes the record %s", word);
		words++;
	}
	assert_int_equal(words, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_model_has_each_phase_in_its_order),
		cmocka_unit_test(the_models_journal_has_records_that_the_code_writes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
