/* Writes that fail, though they may have reached the disk: at every record of every journal, and above all at the commit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "world.h"

/* Hundreds of lines about failed writes say nothing here; wrap: log_warn tree_push */
void __wrap_log_warn(const char *format, ...);
void __wrap_log_warn(const char *format, ...)
{
	(void)format;
}

enum { SEED = 41, SEED_AGAIN = 42, KILLED = 137 };

struct failing {
	int at, seen;	  /* the record that fails; or, where `what` is set, the one that says that */
	const char *what; /* "commit" */
	bool written;	  /* it is on the disk all the same */
	bool for_good;	  /* so do all that follow */
	bool then_killed; /* the process ends at the next record */
	bool struck;
};

static int fail_at(void *context, const char *path, struct json_object *record, bool synced)
{
	struct failing *f = context;
	(void)path;
	if (f->struck && f->then_killed)
		_exit(KILLED);
	if (!synced)
		f->seen++;
	bool now = f->what ? str_same(json_text(record, "what"), f->what) : f->seen == f->at;
	if (!(f->struck ? f->for_good : now) || synced != f->written)
		return 0;
	f->struck = true;
	return EIO;
}

static struct world *begin(const struct way *way, const struct failing *f)
{
	struct world *w = world_make();
	world_story(w, "%s: record %d%s fails%s%s%s", way->name, f->at, f->what ? f->what : "",
		    f->written ? ", though written" : "", f->for_good ? ", and all that follow" : "",
		    f->then_killed ? ", then killed" : "");
	world_guest(w, NODE1, way, NULL);
	guest_writes(w, NODE1, way->shared, SEED);
	return w;
}

static void end(struct world *w, const struct way *way)
{
	journal_watch(NULL, NULL);
	world_check_guards(w);
	world_settle(w, NODE1);
	world_check(w, way, way->runs, SEED);
	world_again(w, way, SEED_AGAIN);
	world_free(w);
}

/* False where there was no such record any more. */
static bool survives(const struct way *way, struct failing f)
{
	struct world *w = begin(way, &f);
	struct ended ended;
	journal_watch(fail_at, &f);
	world_migrate(w, NODE1, way->options, &ended);
	ended_free(&ended);
	end(w, way);
	return f.struck;
}

static void at_every_record(bool written, bool for_good)
{
	for (size_t i = 0; i < way_count; i++) {
		struct failing f = {.at = 1, .written = written, .for_good = for_good};
		while (survives(&ways[i], f))
			f.at++;
		assert_true(f.at > 15);
	}
}

static void survives_a_record_that_is_not_written(void **state)
{
	(void)state;
	at_every_record(false, false);
}

static void survives_a_record_that_is_written_and_said_not_to_be(void **state)
{
	(void)state;
	at_every_record(true, false);
}

static void survives_a_disk_that_takes_no_record_any_more(void **state)
{
	(void)state;
	at_every_record(false, true);
}

static void survives_a_disk_that_fails_each_record_and_takes_it(void **state)
{
	(void)state;
	at_every_record(true, true);
}

/* ------------------------------------------------------------------ the commit */

static bool moves_memory(const struct way *way)
{
	return !strcmp(way->name, "live") || !strcmp(way->name, "paused");
}

static void commit_fails(const struct way *way, bool written)
{
	struct failing f = {.what = "commit", .written = written};
	struct world *w = begin(way, &f);
	struct ended ended;
	journal_watch(fail_at, &f);
	world_migrate(w, NODE1, way->options, &ended);
	if (!f.struck)
		world_fail(w, "there was no commit");
	/* Memory that has moved cannot come back; all else does, once the target has promised. */
	if (moves_memory(way) ? ended.exit != VMM_NEEDS_DECISION || ended.settled
			      : ended.exit != VMM_FAILED || !ended.settled || guest_node(w) != NODE1)
		world_fail(w, "exit %d: %s", (int)ended.exit, ended.message);
	journal_watch(NULL, NULL);
	world_settle(w, NODE1);
	assert_int_equal(guest_node(w), moves_memory(way) ? NODE2 : NODE1);
	ended_free(&ended);
	end(w, way);
}

static void a_commit_in_doubt_is_undone_once_the_target_has_abandoned_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		commit_fails(&ways[i], false);
		commit_fails(&ways[i], true);
	}
}

static int fail_behind_commit(void *context, const char *path, struct json_object *record, bool synced)
{
	struct failing *f = context;
	(void)path;
	if (synced)
		return 0;
	if (f->seen && !f->struck) {
		f->struck = true;
		return EIO;
	}
	f->seen += str_same(json_text(record, "what"), "commit");
	return 0;
}

static void what_is_committed_is_not_undone_by_a_note_that_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++) {
		struct failing f = {.what = " behind the commit"};
		struct world *w = begin(&ways[i], &f);
		struct ended ended;
		journal_watch(fail_behind_commit, &f);
		world_migrate(w, NODE1, ways[i].options, &ended);
		journal_watch(NULL, NULL);
		if (!f.struck || ended.exit != VMM_LEFTOVERS || ended.settled)
			world_fail(w, "exit %d: %s", (int)ended.exit, ended.message);
		world_settle(w, NODE1);
		assert_int_equal(guest_node(w), NODE2);
		ended_free(&ended);
		end(w, &ways[i]);
	}
}

/* The commit may be on the disk, the target may have abandoned it, and the worker is gone before it could note anything more. */
static void the_replay_of_a_doubtful_commit_agrees(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2 * way_count; i++) {
		const struct way *way = &ways[i / 2];
		struct failing f = {.what = "commit", .written = i % 2, .then_killed = true};
		struct world *w = begin(way, &f);
		int status = world_migrate_apart(w, NODE1, way->options, fail_at, &f);
		if (status != KILLED && status != VMM_NEEDS_DECISION)
			world_fail(w, "status %d", status);
		end(w, way);
	}
}

/* The target cannot be asked to abandon it either: nobody may go on until it can. */
static void a_commit_in_doubt_waits_for_a_target_that_is_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < way_count; i++)
		for (int written = 0; written < 2; written++) {
			struct failing f = {.what = "commit", .written = written};
			struct world *w = begin(&ways[i], &f);
			struct ended ended;
			/* The commit follows the last call of the handover; find it. */
			int call = 1;
			for (; call < 100; call++) {
				world_free(w);
				w = begin(&ways[i], &f);
				f.struck = false;
				world_trouble(w, NODE2, call, GONE_AFTER);
				journal_watch(fail_at, &f);
				world_migrate(w, NODE1, ways[i].options, &ended);
				journal_watch(NULL, NULL);
				if (f.struck)
					break;
				ended_free(&ended);
			}
			if (ended.exit != VMM_NEEDS_DECISION || ended.settled)
				world_fail(w, "call %d: exit %d: %s", call, (int)ended.exit, ended.message);
			world_heal(w);
			ended_free(&ended);
			end(w, &ways[i]);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(survives_a_record_that_is_not_written),
		cmocka_unit_test(survives_a_record_that_is_written_and_said_not_to_be),
		cmocka_unit_test(survives_a_disk_that_takes_no_record_any_more),
		cmocka_unit_test(survives_a_disk_that_fails_each_record_and_takes_it),
		cmocka_unit_test(a_commit_in_doubt_is_undone_once_the_target_has_abandoned_it),
		cmocka_unit_test(what_is_committed_is_not_undone_by_a_note_that_fails),
		cmocka_unit_test(the_replay_of_a_doubtful_commit_agrees),
		cmocka_unit_test(a_commit_in_doubt_waits_for_a_target_that_is_gone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
