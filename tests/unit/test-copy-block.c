/* Copies to a block device: zeros are written as zeros, what lies behind the volume stays, a device that is too small
 * is refused. Needs root and a loop device, else the tests are skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "loop-device.h"

enum { MIB = 1 << 20, DEVICE = 12 * MIB };

static void with_device(struct rig *rig, size_t size)
{
	rig_begin(rig, size);
	vmm_auto_free char *path = str_format("%s/backing", rig->directory), *name = NULL;
	int device = loop_device(path, DEVICE, &name);
	if (device >= 0)
		rig_fill(device, 0, DEVICE, 77); /* what it held before */
	if (device < 0) {
		rig_end(rig);
		skip();
	}
	close(rig->target);
	rig->target = device;
}

static void assert_same_bytes(struct rig *rig)
{
	vmm_auto_free char *a = mem_zero(MIB), *b = mem_zero(MIB);
	for (uint64_t at = 0; at < rig->size; at += MIB) {
		ssize_t n = pread(rig->source, a, MIB, (off_t)at);
		assert_true(n > 0);
		assert_true(pread(rig->target, b, MIB, (off_t)at) >= n);
		assert_memory_equal(a, b, n);
	}
}

static void a_device_gets_the_volume_with_its_zeros_and_verifies(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves = {0};
	char before[4096], after[4096];
	with_device(&rig, 10 * MIB + 512);
	assert_int_equal(pread(rig.target, before, sizeof(before), 11 * MIB), sizeof(before));
	rig_fill(rig.source, 2 * MIB, 3 * MIB, 1);
	rig_fill(rig.source, 10 * MIB, 512, 2);
	rig_push_well(&rig, &leaves);
	assert_same_bytes(&rig);
	assert_int_equal(pread(rig.target, after, sizeof(after), 11 * MIB), sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
	copy_leaves_free(&leaves);
	rig_push_well(&rig, NULL);
	assert_in_range(rig.result.wire, 0, 20000);
	rig_zeros(rig.source, 3 * MIB, MIB);
	rig_push_well(&rig, &leaves);
	assert_same_bytes(&rig);
	assert_in_range(rig.result.wire, 0, 20000);
	assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void a_device_can_be_the_source(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves = {0};
	with_device(&rig, 5 * MIB);
	int file = rig.source;
	rig.source = rig.target;
	rig.target = file;
	rig_push_well(&rig, &leaves);
	assert_same_bytes(&rig);
	assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void a_device_that_is_too_small_is_refused(void **state)
{
	(void)state;
	struct rig rig;
	vmm_auto_error struct vmm_error *err = NULL;
	with_device(&rig, DEVICE + 4096);
	assert_int_equal(rig_push(&rig, NULL, &err), -1);
	assert_string_equal(err->code, "too-small");
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_gets_the_volume_with_its_zeros_and_verifies),
		cmocka_unit_test(a_device_can_be_the_source),
		cmocka_unit_test(a_device_that_is_too_small_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
