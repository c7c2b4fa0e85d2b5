/* Whatever the volumes hold, wherever the link is cut: the next push makes them identical, and no less sparse.
 *
 * COPY_SEED=n runs the cases of that seed, COPY_CASES=n so many of them. A failure prints both and what the case was.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "copy-rig.h"

enum { SIZE_MOST = 9 << 20, BLOCK = 4096 };

struct property {
	struct rig rig;
	uint64_t seed;	   /* of the numbers drawn */
	struct text log;   /* what the case is, for the message of a failure */
	bool preallocated; /* the target's file has storage behind its data */
	struct copy_range changed[8];
	size_t changed_count;
};

static uint64_t draw(struct property *p, uint64_t below)
{
	return below ? rig_random(&p->seed) % below : 0;
}

static size_t draw_length(struct property *p)
{
	static const size_t most[] = {10, 6000, 100000, 2 << 20};
	return draw(p, most[draw(p, 4)]) + 1;
}

static void copy_range(int from, uint64_t at, int to, uint64_t offset, size_t length)
{
	vmm_auto_free char *data = mem_zero(length);
	ssize_t n = pread(from, data, length, (off_t)at);
	if (n < 0 || pwrite(to, data, (size_t)n, (off_t)offset) != n)
		abort();
}

/* One change within the first `size` bytes. */
static void change(struct property *p, int fd, uint64_t size)
{
	uint64_t at = draw(p, size), length = draw_length(p), kind = draw(p, 8);
	if (draw(p, 2))
		at = at / BLOCK * BLOCK;
	if (length > size - at)
		length = size - at;
	if (!length)
		return;
	text_add(&p->log, " %llu:%llu+%llu", (unsigned long long)kind, (unsigned long long)at,
		 (unsigned long long)length);
	p->changed[p->changed_count++ % VMM_COUNT(p->changed)] = (struct copy_range){at, length};
	if (kind < 4)
		rig_fill(fd, at, length, rig_random(&p->seed));
	else if (kind == 4)
		rig_zeros(fd, at, length);
	else if (kind == 5)
		fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)length);
	else
		copy_range(fd, draw(p, size), fd, at, length);
}

static void changes(struct property *p, const char *what, int fd, uint64_t size, uint64_t most)
{
	text_add(&p->log, "\n  %s:", what);
	for (uint64_t n = draw(p, most + 1); size && n; n--)
		change(p, fd, size);
}

static void stale_target(struct property *p)
{
	struct rig *rig = &p->rig;
	uint64_t kind = draw(p, 7), size = draw(p, SIZE_MOST);
	text_add(&p->log, "\n  stale target of kind %llu", (unsigned long long)kind);
	switch (kind) {
	case 0: /* none */
		return;
	case 1: /* of other content and size */
		if (ftruncate(rig->target, (off_t)size) < 0)
			abort();
		changes(p, "target", rig->target, size, 12);
		return;
	case 2: /* zeros that occupy storage */
		rig_zeros(rig->target, 0, size);
		return;
	case 3: /* preallocated storage */
		p->preallocated = size && !fallocate(rig->target, 0, 0, (off_t)size);
		return;
	case 4: /* the source's content, shifted */
		copy_range(rig->source, 0, rig->target, draw(p, 5000), rig->size);
		return;
	default: /* an earlier copy without holes, perhaps shorter or longer, and changed */
		copy_range(rig->source, 0, rig->target, 0, rig->size);
		if (kind == 6 && ftruncate(rig->target, (off_t)size) < 0)
			abort();
		changes(p, "target", rig->target, size, 6);
	}
}

static void fail_case(struct property *p, const char *what, const struct vmm_error *err)
{
	fail_msg("%s%s%s: size %llu, sessions %zu%s", what, err ? ": " : "", err ? err->message : "",
		 (unsigned long long)p->rig.size, p->rig.sessions, p->log.data ? p->log.data : "");
}

/* The link is cut after a random number of bytes: the push must fail, or have made an identical copy. */
static void push_cut(struct property *p)
{
	struct vmm_error *err = NULL;
	p->rig.cut_after = draw(p, draw(p, 2) ? p->rig.size + 1000 : 20000) + 1;
	text_add(&p->log, "\n  cut after %llu", (unsigned long long)p->rig.cut_after);
	if (rig_push(&p->rig, NULL, &err) == 0 && !rig_same(&p->rig))
		fail_case(p, "a push that was cut succeeded without making a copy", NULL);
	error_clear(&err);
	p->rig.cut_after = 0;
}

static void push_and_check(struct property *p, struct copy_leaves *leaves)
{
	vmm_auto_error struct vmm_error *err = NULL;
	if (rig_push(&p->rig, leaves, &err) < 0)
		fail_case(p, "push", err);
	if (!rig_same(&p->rig))
		fail_case(p, "the volumes differ", NULL);
	uint64_t needed = rig_needed(p->rig.target), allocated = rig_allocated(p->rig.target);
	/* A file of many extents needs some blocks for their map. */
	if (!p->preallocated && allocated > needed + 8 * BLOCK)
		fail_case(p, "less sparse", NULL);
	if (rig_verify(&p->rig, leaves, NULL, &err) < 0)
		fail_case(p, "verify", err);
	if (copy_compare(p->rig.source, leaves, &err) < 0)
		fail_case(p, "compare", err);
}

static void one_case(struct property *p)
{
	struct copy_leaves leaves = {0};
	/* Most faults show within a few leaves; the others within two extents and a part of a third. */
	static const uint64_t most[] = {5000, 100000, 1 << 20, SIZE_MOST};
	uint64_t size = draw(p, most[draw(p, VMM_COUNT(most))]);
	rig_begin(&p->rig, size);
	p->rig.sessions = draw(p, 2) ? 1 : RIG_SESSIONS;
	changes(p, "source", p->rig.source, size, 12);
	stale_target(p);
	for (uint64_t cuts = draw(p, 3); cuts; cuts--)
		push_cut(p);
	push_and_check(p, &leaves);
	for (uint64_t rounds = draw(p, 3); rounds; rounds--) {
		p->changed_count = 0;
		changes(p, "round", p->rig.source, size, 5);
		/* In half of the cases the push is told what has changed. */
		p->rig.changed = draw(p, 2) ? p->changed : NULL;
		p->rig.changed_count = p->changed_count;
		push_and_check(p, &leaves);
	}
	copy_leaves_free(&leaves);
	rig_end(&p->rig);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void any_two_volumes_become_identical_and_as_sparse(void **state)
{
	(void)state;
	uint64_t seed = from_environment("COPY_SEED", (uint64_t)clock_now_us() % 1000000);
	uint64_t cases = from_environment("COPY_CASES", 0);
	int64_t until = clock_steady_ms() + 8000;
	print_message("COPY_SEED=%llu\n", (unsigned long long)seed);
	uint64_t done = 0;
	/* As many as fit into 8 seconds; the seed differs from run to run. */
	for (; cases ? done < cases : done < 300 && clock_steady_ms() < until; done++) {
		struct property p = {.seed = seed + done * 1000003};
		text_add(&p.log, "\n  COPY_SEED=%llu case %llu", (unsigned long long)seed, (unsigned long long)done);
		one_case(&p);
		text_free(&p.log);
	}
	print_message("%llu cases\n", (unsigned long long)done);
	assert_true(done > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_two_volumes_become_identical_and_as_sparse),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
