/* The guest record: which states it may take, and what its file says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "node/record.h"

/* ---------------------------------------------------------------- states */

/* Rows: from; columns: to. */
static const bool matrix[RECORD_STATES][RECORD_STATES] = {
	/*                     idle   source target handover committed abandoned */
	[RECORD_IDLE] = {false, true, true, false, false, false},
	[RECORD_SOURCE] = {true, false, false, true, true, true},
	[RECORD_TARGET] = {true, false, false, true, true, true},
	[RECORD_HANDOVER] = {true, false, false, true, true, true},
	[RECORD_COMMITTED] = {true, false, false, false, true, false},
	[RECORD_ABANDONED] = {true, false, false, false, false, true},
};

static void a_record_takes_no_other_way_than_these(void **state)
{
	(void)state;
	for (enum record_state from = RECORD_IDLE; from < RECORD_STATES; from++)
		for (enum record_state to = RECORD_IDLE; to < RECORD_STATES; to++)
			if (record_may_become(from, to) != matrix[from][to])
				fail_msg("%s to %s", record_state_name(from), record_state_name(to));
}

static void committed_and_abandoned_exclude_each_other(void **state)
{
	(void)state;
	assert_false(record_may_become(RECORD_COMMITTED, RECORD_ABANDONED));
	assert_false(record_may_become(RECORD_ABANDONED, RECORD_COMMITTED));
	/* Nor by a detour: only UNLOCK, which ends the task, leads out of either. */
	for (enum record_state to = RECORD_SOURCE; to < RECORD_STATES; to++) {
		assert_int_equal(record_may_become(RECORD_COMMITTED, to), to == RECORD_COMMITTED);
		assert_int_equal(record_may_become(RECORD_ABANDONED, to), to == RECORD_ABANDONED);
	}
}

static void states_are_found_by_their_names(void **state)
{
	(void)state;
	enum record_state found;
	for (enum record_state one = RECORD_IDLE; one < RECORD_STATES; one++) {
		assert_true(record_state_find(record_state_name(one), &found));
		assert_int_equal(found, one);
	}
	assert_false(record_state_find("held", &found));
	assert_false(record_state_find(NULL, &found));
}

/* ---------------------------------------------------------------- the file */

static int begin(void **state)
{
	char dir[] = "/tmp/vmm-record-XXXXXX";
	*state = mkdtemp(dir) ? str_copy(dir) : NULL;
	return *state ? 0 : -1;
}

static int end(void **state)
{
	int done = dir_remove(*state, NULL);
	free(*state);
	return done;
}

static void write_file(const char *dir, const char *text)
{
	vmm_auto_free char *guests = str_format("%s/guests", dir), *path = str_format("%s/qemu-100", guests);
	assert_int_equal(dir_make(guests, 0700, NULL), 0);
	assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

static void file_says(const char *dir, const char *wanted)
{
	vmm_auto_free char *path = str_format("%s/guests/qemu-100", dir), *text = NULL;
	assert_int_equal(file_read(path, 1 << 16, &text, NULL, NULL), 0);
	assert_string_equal(text, wanted);
}

static const char whole[] = "guest=qemu-100\nkind=qemu\nid=100\nname=web\nuuid=u\nowner=node1\nstate=source\n"
			    "task=node1-7-5f\npeer=node2\npermit=\ngeneration=3\npeer_generation=0\nsince_us=17\n"
			    "fresh=1\nruns=1\nautostart=0\n"
			    "guard=deny\nreason=web is being moved by task node1-7-5f; if that task is dead, run: "
			    "vmmigrate recover node1-7-5f\n";

static void what_is_read_is_written_again(void **state)
{
	vmm_auto_record struct guest_record record = {0};
	write_file(*state, whole);
	assert_int_equal(record_read(*state, "qemu-100", &record, NULL), 0);
	assert_string_equal(record.name, "web");
	assert_string_equal(record.owner, "node1");
	assert_int_equal(record.state, RECORD_SOURCE);
	assert_null(record.permit);
	assert_int_equal(record.generation, 3);
	assert_int_equal(record.fresh, 1);
	write_file(*state, "");
	assert_int_equal(record_write(*state, "node1", &record, NULL), 0);
	file_says(*state, whole);
}

static void a_record_is_the_same_after_it_was_json(void **state)
{
	vmm_auto_record struct guest_record record = {0}, again = {0};
	write_file(*state, whole);
	assert_int_equal(record_read(*state, "qemu-100", &record, NULL), 0);
	vmm_auto_json struct json_object *json = record_to_json(&record);
	assert_int_equal(json_number(json, "runs"), 1);
	assert_int_equal(record_from_json(json, "node2", &again, NULL), 0);
	assert_int_equal(record_write(*state, "node1", &again, NULL), 0);
	file_says(*state, whole);
}

static void no_record_is_no_error(void **state)
{
	vmm_auto_record struct guest_record record = {0};
	assert_int_equal(record_read(*state, "qemu-100", &record, NULL), 0);
	assert_null(record.guest);
	assert_null(record_to_json(&record));
	assert_int_equal(record_from_json(NULL, "node2", &record, NULL), 0);
	assert_null(record.guest);
}

static void an_incomplete_or_damaged_record_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"guest=qemu-100\nstate=idle\n",
		"guest=qemu-100\nowner=\nstate=idle\n",
		"guest=qemu-100\nowner=node1\n",
		"guest=qemu-100\nowner=node1\nstate=held\n",
		"owner=node1\nstate=idle\n",
		"guest=qemu-100\nowner=node1\nstate=idle\ngeneration=3x\n",
		"guest=qemu-100\nowner=node1\nstate=idle\ntask=../../etc\n",
	};
	for (size_t i = 0; i < VMM_COUNT(texts); i++) {
		vmm_auto_record struct guest_record record = {0};
		vmm_auto_error struct vmm_error *err = NULL;
		write_file(*state, texts[i]);
		assert_int_equal(record_read(*state, "qemu-100", &record, &err), -1);
		assert_string_equal(err->code, "bad-record");
		assert_int_equal(err->exit, VMM_NEEDS_DECISION);
		assert_non_null(strstr(err->message, "/guests/qemu-100"));
		assert_null(record.guest);
		assert_null(record.owner);
	}
}

static void a_record_without_an_owner_is_not_written(void **state)
{
	vmm_auto_record struct guest_record record = {0};
	vmm_auto_error struct vmm_error *err = NULL;
	write_file(*state, whole);
	assert_int_equal(record_read(*state, "qemu-100", &record, NULL), 0);
	record.state = RECORD_COMMITTED;
	str_replace(&record.owner, NULL);
	assert_int_equal(record_write(*state, "node1", &record, &err), -1);
	assert_string_equal(err->code, "bad-record");
	file_says(*state, whole);
}

static void a_line_break_makes_no_second_line(void **state)
{
	vmm_auto_record struct guest_record record = {0};
	vmm_auto_error struct vmm_error *err = NULL;
	write_file(*state, whole);
	assert_int_equal(record_read(*state, "qemu-100", &record, NULL), 0);
	str_replace(&record.name, "web\nguard=allow");
	assert_int_equal(record_write(*state, "node1", &record, &err), -1);
	assert_string_equal(err->code, "bad-name");
	file_says(*state, whole);
}

/* The guard of node1: does it admit a start? */
static void the_guard_admits_only_the_owner_of_a_guest_that_no_task_moves(void **state)
{
	vmm_auto_free char *path = str_format("%s/guests/qemu-100", (char *)*state);
	for (int ours = 0; ours < 2; ours++)
		for (enum record_state one = RECORD_IDLE; one < RECORD_STATES; one++) {
			vmm_auto_free char *text = NULL;
			const struct guest_record record = {.guest = (char *)"qemu-100",
							    .owner = (char *)(ours ? "node1" : "node2"),
							    .state = one,
							    .task = (char *)"node1-7-5f"};
			assert_int_equal(record_write(*state, "node1", &record, NULL), 0);
			assert_int_equal(file_read(path, 1 << 16, &text, NULL, NULL), 0);
			bool admits = strstr(text, "\nguard=allow\n");
			assert_int_equal(admits, ours && one == RECORD_IDLE);
			assert_int_equal(admits, !strstr(text, "\nguard=deny\n"));
		}
}

/* ------------------------------------------------------------------ names of records */

#define UUID  "11111111-2222-3333-4444-555555555555"
#define OTHER "99999999-2222-3333-4444-555555555555"

static void put(const char *dir, const char *name, const char *id, const char *uuid, const char *owner)
{
	vmm_auto_free char *guests = str_format("%s/guests", dir), *path = str_format("%s/%s", guests, name),
			   *text = str_format("guest=%s\nkind=qemu\nid=%s\nname=%s\nuuid=%s\nowner=%s\nstate=idle\n"
					      "generation=3\nguard=deny\nreason=\n",
					      name, id, id, uuid, owner);
	assert_int_equal(dir_make(guests, 0700, NULL), 0);
	assert_int_equal(file_write(path, text, strlen(text), 0600, NULL), 0);
}

static bool has_file(const char *dir, const char *name)
{
	vmm_auto_free char *path = str_format("%s/guests/%s", dir, name);
	return file_there(path);
}

static void a_record_named_by_an_older_version_is_obeyed_and_replaced(void **state)
{
	vmm_auto_record struct guest_record record = {0}, other = {0};
	put(*state, "qemu-web", "web", UUID, "node2");
	assert_int_equal(record_read(*state, "qemu-" OTHER, &other, NULL), 0);
	assert_null(other.guest);
	assert_int_equal(record_read(*state, "qemu-" UUID, &record, NULL), 0);
	assert_string_equal(record.guest, "qemu-" UUID);
	assert_string_equal(record.owner, "node2");
	assert_int_equal(record.generation, 3);
	assert_true(has_file(*state, "qemu-web"));
	assert_int_equal(record_write(*state, "node1", &record, NULL), 0);
	assert_true(has_file(*state, "qemu-" UUID));
	assert_false(has_file(*state, "qemu-web"));
	put(*state, "qemu-web", "web", UUID, "node2");
	assert_int_equal(record_remove(*state, "qemu-" UUID, NULL), 0);
	assert_false(has_file(*state, "qemu-" UUID));
	assert_false(has_file(*state, "qemu-web"));
}

static void writing_a_record_leaves_those_of_other_guests(void **state)
{
	vmm_auto_record struct guest_record record = {0};
	put(*state, "qemu-" UUID, "web", UUID, "node2");
	put(*state, "qemu-web", "web", OTHER, "node2");
	put(*state, "lxc-web", "web", UUID, "node2");
	assert_int_equal(record_read(*state, "qemu-" UUID, &record, NULL), 0);
	assert_int_equal(record_write(*state, "node1", &record, NULL), 0);
	assert_true(has_file(*state, "qemu-web"));
	assert_true(has_file(*state, "lxc-web"));
}

static void a_record_is_found_by_what_its_guest_is_called(void **state)
{
	static const char *const names[] = {"100", UUID, "qemu-" UUID};
	put(*state, "qemu-" UUID, "100", UUID, "node2");
	for (size_t i = 0; i < VMM_COUNT(names); i++) {
		vmm_auto_record struct guest_record record = {0};
		assert_int_equal(record_find(*state, names[i], NULL, &record, NULL), 0);
		assert_string_equal(record.guest, "qemu-" UUID);
	}
	vmm_auto_record struct guest_record none = {0};
	assert_int_equal(record_find(*state, "100", "lxc", &none, NULL), 0);
	assert_int_equal(record_find(*state, "10", NULL, &none, NULL), 0);
	assert_null(none.guest);
}

static void of_two_guests_that_had_the_name_neither_is_guessed(void **state)
{
	vmm_auto_record struct guest_record record = {0}, one = {0};
	vmm_auto_error struct vmm_error *err = NULL;
	put(*state, "qemu-" UUID, "web", UUID, "node2");
	put(*state, "qemu-" OTHER, "web", OTHER, "node2");
	assert_int_equal(record_find(*state, "web", NULL, &record, &err), -1);
	assert_string_equal(err->code, "ambiguous");
	record_free(&record);
	assert_int_equal(record_find(*state, OTHER, NULL, &one, NULL), 0);
	assert_string_equal(one.guest, "qemu-" OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_takes_no_other_way_than_these),
		cmocka_unit_test(committed_and_abandoned_exclude_each_other),
		cmocka_unit_test(states_are_found_by_their_names),
		cmocka_unit_test_setup_teardown(what_is_read_is_written_again, begin, end),
		cmocka_unit_test_setup_teardown(a_record_is_the_same_after_it_was_json, begin, end),
		cmocka_unit_test_setup_teardown(no_record_is_no_error, begin, end),
		cmocka_unit_test_setup_teardown(an_incomplete_or_damaged_record_is_refused, begin, end),
		cmocka_unit_test_setup_teardown(a_record_without_an_owner_is_not_written, begin, end),
		cmocka_unit_test_setup_teardown(a_line_break_makes_no_second_line, begin, end),
		cmocka_unit_test_setup_teardown(the_guard_admits_only_the_owner_of_a_guest_that_no_task_moves, begin,
						end),
		cmocka_unit_test_setup_teardown(a_record_named_by_an_older_version_is_obeyed_and_replaced, begin, end),
		cmocka_unit_test_setup_teardown(writing_a_record_leaves_those_of_other_guests, begin, end),
		cmocka_unit_test_setup_teardown(a_record_is_found_by_what_its_guest_is_called, begin, end),
		cmocka_unit_test_setup_teardown(of_two_guests_that_had_the_name_neither_is_guessed, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
