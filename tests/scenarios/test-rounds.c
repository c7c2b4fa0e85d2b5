/* Rounds while the guest runs: whichever volume it writes to meanwhile, little is left to send while it is off. And
 * what the result says about the copies. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "two-nodes.h"

enum { MIB = 1 << 20, LARGE = 24 * MIB };

static const struct variant *const restart = &variants[2];
static int until_jump; /* the clock jumps ahead at this call; 0: never */

int64_t __real_clock_steady_ms(void);
int64_t __wrap_clock_steady_ms(void);

/* wrap: clock_steady_ms */
int64_t __wrap_clock_steady_ms(void)
{
	enum { JUMP_MS = 11000 };
	static int64_t ahead_ms;
	if (until_jump && !--until_jump)
		ahead_ms += JUMP_MS;
	return __real_clock_steady_ms() + ahead_ms;
}

/* ------------------------------------------------------------------ a guest with two disks */

static char *disk(struct two_nodes *w, int node, const char *name)
{
	return str_format("%s/disks/%s", w->machine[node].root, name);
}

/* Fills a disk with data that cannot be compressed. */
static void write_disk(struct two_nodes *w, int node, const char *name, size_t bytes, uint64_t seed)
{
	vmm_auto_free char *path = disk(w, node, name);
	vmm_auto_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	vmm_auto_free uint64_t *numbers = mem_zero(bytes);
	for (size_t i = 0; i < bytes / sizeof(*numbers); i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		numbers[i] = seed ^ seed >> 29;
	}
	if (fd < 0 || fd_write_all(fd, numbers, bytes) < 0)
		two_nodes_fail(w, "%s cannot be written", path);
}

static bool same_disk(struct two_nodes *w, const char *name, const char *kept)
{
	vmm_auto_free char *there = disk(w, NODE2, name), *before = disk(w, NODE1, kept);
	const char *const argv[] = {"cmp", there, before, NULL};
	struct run_result result;
	if (run_program(&(struct run){.argv = argv, .limit_ms = 30000}, &result, NULL) < 0)
		return false;
	bool same = result.status == 0;
	run_result_free(&result);
	return same;
}

static struct two_nodes *two_disks(void)
{
	struct two_nodes *w = two_nodes_make();
	struct guest_env env = {.node = "node1", .null_root = w->machine[NODE1].root};
	struct guest_host *host;
	vmm_auto_free char *definition =
		str_format("{\"id\":\"" GUEST "\",\"name\":\"web\",\"uuid\":\"7e40f1a2-0101-4c3e-9b61-aaaaaaaaaaaa\","
			   "\"memory\":1048576,\"behaviours\":[],\"volumes\":["
			   "{\"target\":\"vda\",\"type\":\"null\",\"format\":\"raw\",\"device\":\"disk\",\"path\":\"%s/"
			   "root/disks/a.raw\"},"
			   "{\"target\":\"vdb\",\"type\":\"null\",\"format\":\"raw\",\"device\":\"disk\",\"path\":\"%s/"
			   "root/disks/b.raw\"}]}",
			   w->dir, w->dir);
	assert_int_equal(guest_null.open(&env, &host, NULL), 0);
	assert_int_equal(guest_null.define(host, definition, NULL), 0);
	assert_int_equal(guest_null.start(host, GUEST, false, NULL), 0);
	guest_null.close(host);
	write_disk(w, NODE1, "a.raw", LARGE, 1);
	write_disk(w, NODE1, "b.raw", MIB, 2);
	return w;
}

/* The guest writes to vda just before a step; a copy of what it wrote is kept, to be compared. */
struct writing {
	struct two_nodes *w;
	const char *phase, *object;
	bool slow; /* the first round seems to take long */
	int times;
};

static bool begins(struct json_object *record, const char *phase, const char *object)
{
	return str_same(json_text(record, "what"), "do") && str_same(json_text(record, "phase"), phase) &&
	       str_same(json_text(record, "object"), object);
}

static int write_before(void *context, const char *path, struct json_object *record, bool synced)
{
	struct writing *writing = context;
	(void)path;
	if (synced && writing->slow && begins(record, "precopy", "vda"))
		until_jump = 2; /* the first call is when the round begins */
	if (!synced || !begins(record, writing->phase, writing->object))
		return 0;
	writing->times++;
	write_disk(writing->w, NODE1, "a.raw", LARGE, 3);
	write_disk(writing->w, NODE1, "kept", LARGE, 3);
	return 0;
}

static struct json_object *statistics_of(struct two_nodes *w, int node, const char *task)
{
	vmm_auto_free char *path = str_format("%s/tasks/%s/result", w->machine[node].state, task), *text = NULL;
	vmm_auto_json struct json_object *result = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0 || json_parse(text, -1, path, &result, NULL) < 0)
		two_nodes_fail(w, "%s cannot be read", path);
	return json_object_get(json_at(result, "statistics"));
}

/* Migrates the guest; the statistics of the result. */
static struct json_object *moves(struct two_nodes *w, int from, const char *options)
{
	struct outcome outcome;
	two_nodes_migrate(w, from, options, &outcome);
	if (outcome.exit != VMM_DONE)
		two_nodes_fail(w, "exit %d: %s", (int)outcome.exit, outcome.message);
	struct json_object *statistics = statistics_of(w, from, outcome.task);
	outcome_free(&outcome);
	return statistics;
}

static void writes_before(struct two_nodes *w, const char *phase, const char *object, bool slow)
{
	struct writing writing = {w, phase, object, slow, 0};
	two_nodes_describe(w, "a write before %s %s", phase, object);
	journal_watch(write_before, &writing);
	vmm_auto_json struct json_object *statistics = moves(w, NODE1, "{\"restart\":true}");
	journal_watch(NULL, NULL);
	if (writing.times != 1 || !same_disk(w, "a.raw", "kept"))
		two_nodes_fail(w, "%d writes, and what arrived is not what was written", writing.times);
	if (json_number(statistics, "last_wire_bytes") > MIB)
		two_nodes_fail(w, "%jd bytes crossed while the guest was off",
			       (intmax_t)json_number(statistics, "last_wire_bytes"));
	two_nodes_free(w);
}

static void what_was_written_while_another_disk_was_copied_is_sent_before_the_stop(void **state)
{
	(void)state;
	writes_before(two_disks(), "precopy", "vdb", false);
}

/* The first round sends next to nothing, since a seed holds all of it, but takes long: much may have been written. */
static void a_first_round_that_took_long_is_followed_by_another(void **state)
{
	(void)state;
	struct two_nodes *w = two_disks();
	vmm_auto_free char *seed = str_format("%s/disks/.vmmigrate-seed-a.raw", w->machine[NODE2].root);
	vmm_auto_free char *source = disk(w, NODE1, "a.raw");
	const char *const argv[] = {"cp", source, seed, NULL};
	struct run_result result;
	assert_int_equal(run_checked(&(struct run){.argv = argv, .limit_ms = 30000}, &result, NULL), 0);
	run_result_free(&result);
	writes_before(w, "rounds", GUEST, true);
}

/* ------------------------------------------------------------------ the result */

/* Two thirds of the guest's volume are data, which lie in leaves 0 and 1. */
static void the_result_says_what_was_read_sent_and_already_there(void **state)
{
	(void)state;
	struct two_nodes *w = two_nodes_make();
	two_nodes_guest(w, NODE1, restart, NULL);
	guest_writes(w, NODE1, false, 5);
	vmm_auto_json struct json_object *first =
		moves(w, NODE1, "{\"restart\":true,\"no_precopy\":true,\"keep_seed\":true}");
	assert_int_equal(json_number(first, "volume_bytes"), GUEST_BYTES);
	assert_int_equal(json_number(first, "read_bytes"), GUEST_BYTES);
	assert_int_equal(json_number(first, "last_read_bytes"), GUEST_BYTES);
	assert_int_equal(json_number(first, "present_bytes"), 0);
	assert_true(json_number(first, "wire_bytes") > GUEST_BYTES / 2);
	assert_int_equal(json_number(first, "wire_bytes"), json_number(first, "last_wire_bytes"));
	assert_non_null(json_at(first, "downtime_ms"));
	assert_non_null(json_at(first, "shutdown_ms"));
	vmm_auto_json struct json_object *back = moves(w, NODE2, "{\"restart\":true,\"no_precopy\":true}");
	assert_int_equal(json_number(back, "read_bytes"), GUEST_BYTES);
	assert_int_equal(json_number(back, "present_bytes"), 2 * COPY_LEAF); /* counted in whole leaves */
	assert_true(json_number(back, "wire_bytes") < GUEST_BYTES / 20);
	two_nodes_check(w, restart, true, 5);
	two_nodes_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_while_another_disk_was_copied_is_sent_before_the_stop),
		cmocka_unit_test(a_first_round_that_took_long_is_followed_by_another),
		cmocka_unit_test(the_result_says_what_was_read_sent_and_already_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
