/* Journals: records that were written completely are read again; a record that was not is ignored. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "node/node.h"

static char path[] = "/tmp/vmmigrate-journal-XXXXXX";

static int begin(void **state)
{
	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
	(void)state;
	return unlink(path);
}

static struct journal *opened(void)
{
	struct journal *journal;
	struct vmm_error *err = NULL;
	if (journal_open(path, true, &journal, &err) < 0)
		fail_msg("%s", err->message);
	return journal;
}

static void add(const char *content)
{
	struct journal *journal = opened();
	struct vmm_error *err = NULL;
	if (journal_add(journal, json_make("content:s", content), &err) < 0)
		fail_msg("%s", err->message);
	journal_close(journal);
}

/* Asserts the texts of all records, each followed by a space. */
static void expect(const char *texts)
{
	struct journal *journal = opened();
	vmm_auto_text struct text text = {0};
	json_each (record, journal_records(journal), "")
		text_add(&text, "%s ", json_text(record, "content"));
	assert_string_equal(text.data ? text.data : "", texts);
	journal_close(journal);
}

static off_t used(void)
{
	vmm_auto_free char *data = NULL;
	size_t length;
	assert_int_equal(file_read(path, JOURNAL_SIZE * 2, &data, &length, NULL), 0);
	while (length && !data[length - 1])
		length--;
	return (off_t)length;
}

static void flip(off_t at)
{
	vmm_auto_close int fd = open(path, O_RDWR);
	char byte;
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void records_are_read_in_the_order_in_which_they_were_written(void **state)
{
	(void)state;
	add("one");
	add("two");
	add("three");
	expect("one two three ");
}

static void the_file_is_preallocated_so_that_a_full_disk_cannot_stop_the_commit(void **state)
{
	(void)state;
	struct stat info;
	add("one");
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_size, JOURNAL_SIZE);
	assert_true(info.st_blocks * 512 >= JOURNAL_SIZE);
}

static void a_flipped_bit_anywhere_makes_the_last_record_invalid(void **state)
{
	(void)state;
	add("one");
	off_t from = used();
	add("commit");
	for (off_t at = from; at < used(); at++) {
		flip(at);
		expect("one ");
		flip(at);
		expect("one commit ");
	}
}

static void the_next_record_replaces_a_torn_one(void **state)
{
	(void)state;
	add("one");
	off_t from = used();
	add("a long one that is torn");
	flip(from + 12);
	add("short");
	expect("one short ");
	add("next");
	expect("one short next ");
}

static void a_journal_file_that_is_too_short_is_made_again(void **state)
{
	(void)state;
	assert_int_equal(truncate(path, JOURNAL_SIZE / 2), 0);
	expect("");
	add("one");
	expect("one ");
}

static void another_file_is_not_taken_for_a_journal(void **state)
{
	(void)state;
	struct journal *journal;
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(file_write(path, "something else", 14, 0600, NULL), 0);
	assert_int_equal(journal_open(path, true, &journal, &err), -1);
	assert_string_equal(err->code, "bad-journal");
}

static void a_full_journal_is_an_error_and_keeps_its_records(void **state)
{
	(void)state;
	char content[5000];
	memset(content, 'x', sizeof(content) - 1);
	content[sizeof(content) - 1] = 0;
	struct journal *journal = opened();
	vmm_auto_error struct vmm_error *err = NULL;
	size_t count = 0;
	while (journal_add(journal, json_make("content:s", content), &err) == 0)
		count++;
	assert_string_equal(err->code, "journal-full");
	journal_close(journal);
	journal = opened();
	assert_int_equal(json_count(journal_records(journal), ""), count);
	journal_close(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_are_read_in_the_order_in_which_they_were_written, begin, end),
		cmocka_unit_test_setup_teardown(the_file_is_preallocated_so_that_a_full_disk_cannot_stop_the_commit,
						begin, end),
		cmocka_unit_test_setup_teardown(a_flipped_bit_anywhere_makes_the_last_record_invalid, begin, end),
		cmocka_unit_test_setup_teardown(the_next_record_replaces_a_torn_one, begin, end),
		cmocka_unit_test_setup_teardown(a_journal_file_that_is_too_short_is_made_again, begin, end),
		cmocka_unit_test_setup_teardown(another_file_is_not_taken_for_a_journal, begin, end),
		cmocka_unit_test_setup_teardown(a_full_journal_is_an_error_and_keeps_its_records, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
