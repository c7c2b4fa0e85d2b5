/* A write to a journal fails, and may have reached the disk all the same: at every record of every journal, and at the
 * commit above all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

/* Keeps hundreds of warnings about failed writes out of the output. wrap: log_warn tree_push */
void __wrap_log_warn(const char *format, ...);
void __wrap_log_warn(const char *format, ...)
{
	(void)format;
}

enum { SEED = 41, SEED_AGAIN = 42, KILLED = 137 };

struct failing {
	int at, seen;	  /* the number of the record that fails, if `what` is NULL; the records so far */
	const char *what; /* the "what" of the record that fails, such as "commit"; or NULL */
	bool written;	  /* the record is on the disk all the same */
	bool for_good;	  /* all later records fail too */
	bool then_killed; /* the process ends at the next record */
	bool injected;
};

static int fail_at(void *context, const char *path, struct json_object *record, bool synced)
{
	struct failing *f = context;
	(void)path;
	if (f->injected && f->then_killed)
		_exit(KILLED);
	if (!synced)
		f->seen++;
	bool now = f->what ? str_same(json_text(record, "what"), f->what) : f->seen == f->at;
	if (!(f->injected ? f->for_good : now) || synced != f->written)
		return 0;
	f->injected = true;
	return EIO;
}

static struct two_nodes *begin(const struct variant *variant, const struct failing *f)
{
	struct two_nodes *w = two_nodes_make();
	two_nodes_describe(w, "%s: record %d%s fails%s%s%s", variant->name, f->at, f->what ? f->what : "",
			   f->written ? ", though written" : "", f->for_good ? ", and all that follow" : "",
			   f->then_killed ? ", then killed" : "");
	two_nodes_guest(w, NODE1, variant, NULL);
	guest_writes(w, NODE1, variant->shared, SEED);
	return w;
}

static void end(struct two_nodes *w, const struct variant *variant)
{
	journal_watch(NULL, NULL);
	two_nodes_check_guards(w);
	two_nodes_recover_all(w, NODE1);
	two_nodes_check(w, variant, variant->runs, SEED);
	two_nodes_migrate_again(w, variant, SEED_AGAIN);
	two_nodes_free(w);
}

/* False if no journal gets such a record. */
static bool survives(const struct variant *variant, struct failing f)
{
	struct two_nodes *w = begin(variant, &f);
	struct outcome outcome;
	journal_watch(fail_at, &f);
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	outcome_free(&outcome);
	end(w, variant);
	return f.injected;
}

static void at_every_record(bool written, bool for_good)
{
	for (size_t i = 0; i < variant_count; i++) {
		struct failing f = {.at = 1, .written = written, .for_good = for_good};
		while (survives(&variants[i], f))
			f.at++;
		assert_true(f.at > 15);
	}
}

static void survives_a_record_that_is_not_written(void **state)
{
	(void)state;
	at_every_record(false, false);
}

static void survives_a_record_that_is_written_though_the_write_fails(void **state)
{
	(void)state;
	at_every_record(true, false);
}

static void survives_a_disk_that_takes_no_more_records(void **state)
{
	(void)state;
	at_every_record(false, true);
}

static void survives_a_disk_that_fails_every_write_and_stores_it(void **state)
{
	(void)state;
	at_every_record(true, true);
}

/* ------------------------------------------------------------------ the commit */

static void commit_fails(const struct variant *variant, bool written)
{
	struct failing f = {.what = "commit", .written = written};
	struct two_nodes *w = begin(variant, &f);
	struct outcome outcome;
	journal_watch(fail_at, &f);
	two_nodes_migrate(w, NODE1, variant->options, &outcome);
	if (!f.injected)
		two_nodes_fail(w, "there was no commit");
	/* A guest whose memory has moved does not go back; every other one does, after the target's ABANDONED. */
	if (variant_moves_memory(variant) ? outcome.exit != VMM_NEEDS_DECISION || outcome.settled
					  : outcome.exit != VMM_FAILED || !outcome.settled || guest_node(w) != NODE1)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	journal_watch(NULL, NULL);
	two_nodes_recover_all(w, NODE1);
	assert_int_equal(guest_node(w), variant_moves_memory(variant) ? NODE2 : NODE1);
	outcome_free(&outcome);
	end(w, variant);
}

static void a_commit_in_doubt_is_undone_once_the_target_has_abandoned_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		commit_fails(&variants[i], false);
		commit_fails(&variants[i], true);
	}
}

static int fail_after_commit(void *context, const char *path, struct json_object *record, bool synced)
{
	struct failing *f = context;
	(void)path;
	if (synced)
		return 0;
	if (f->seen && !f->injected) {
		f->injected = true;
		return EIO;
	}
	f->seen += str_same(json_text(record, "what"), "commit");
	return 0;
}

static void a_failed_write_after_the_commit_does_not_undo_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++) {
		struct failing f = {.what = " after the commit"};
		struct two_nodes *w = begin(&variants[i], &f);
		struct outcome outcome;
		journal_watch(fail_after_commit, &f);
		two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
		journal_watch(NULL, NULL);
		/* A guest that was to run, and was not released, runs nowhere: that is more than a leftover. */
		enum vmm_exit wanted = variants[i].runs ? VMM_NEEDS_DECISION : VMM_LEFTOVERS;
		if (!f.injected || outcome.exit != wanted || outcome.settled)
			two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
		two_nodes_recover_all(w, NODE1);
		assert_int_equal(guest_node(w), NODE2);
		outcome_free(&outcome);
		end(w, &variants[i]);
	}
}

/* The commit may be on the disk, the target may have written ABANDONED, and the worker dies before its next record. */
static void recover_after_a_commit_in_doubt_finds_one_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * variant_count; i++) {
		const struct variant *variant = &variants[i / 2];
		struct failing f = {.what = "commit", .written = i % 2, .then_killed = true};
		struct two_nodes *w = begin(variant, &f);
		int status = two_nodes_migrate_in_child(w, NODE1, variant->options, fail_at, &f);
		if (status != KILLED && status != VMM_NEEDS_DECISION)
			two_nodes_fail(w, "status %d", status);
		end(w, variant);
	}
}

/* The target cannot be asked to write ABANDONED: the commit stays in doubt until the target can be reached. */
static void a_commit_in_doubt_waits_for_a_target_that_is_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < variant_count; i++)
		for (int written = 0; written < 2; written++) {
			struct failing f = {.what = "commit", .written = written};
			struct two_nodes *w = begin(&variants[i], &f);
			struct outcome outcome;
			/* Finds the last call before the commit: the target disappears one call later each time. */
			int call = 1;
			for (; call < 100; call++) {
				two_nodes_free(w);
				w = begin(&variants[i], &f);
				f.injected = false;
				two_nodes_inject(w, NODE2, call, GONE_AFTER);
				journal_watch(fail_at, &f);
				two_nodes_migrate(w, NODE1, variants[i].options, &outcome);
				journal_watch(NULL, NULL);
				if (f.injected)
					break;
				outcome_free(&outcome);
			}
			if (outcome.exit != VMM_NEEDS_DECISION || outcome.settled)
				two_nodes_fail(w, "call %d: exit %d: %s", call, (int)outcome.exit, outcome.message);
			two_nodes_heal(w);
			outcome_free(&outcome);
			end(w, &variants[i]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_a_record_that_is_not_written),
		cmocka_unit_test(survives_a_record_that_is_written_though_the_write_fails),
		cmocka_unit_test(survives_a_disk_that_takes_no_more_records),
		cmocka_unit_test(survives_a_disk_that_fails_every_write_and_stores_it),
		cmocka_unit_test(a_commit_in_doubt_is_undone_once_the_target_has_abandoned_it),
		cmocka_unit_test(a_failed_write_after_the_commit_does_not_undo_it),
		cmocka_unit_test(recover_after_a_commit_in_doubt_finds_one_end),
		cmocka_unit_test(a_commit_in_doubt_waits_for_a_target_that_is_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
