/* Changes are compressed only if the link is slow and the data can be compressed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "copy-rig.h"
#include "copy/copy-internal.h"

enum { MIB = 1 << 20, SECOND = 1000000 };

static const char line[] = "Nov 22 04:11:10 guest kernel: [ 1.000000] nothing of interest has happened\n";

static void fill_with_text(uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)line[i % (sizeof(line) - 1)];
}

static void fill_at_random(uint8_t *data, size_t length)
{
	uint64_t seed = 7;
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)rig_random(&seed);
}

static void text_is_compressed_for_a_slow_link_and_decompressed(void **state)
{
	(void)state;
	vmm_auto_free uint8_t *data = mem_zero(MIB), *out = mem_zero(COPY_LIMIT_TO_TARGET);
	struct compressor compressor = {0};
	size_t length = 0;
	fill_with_text(data, MIB);
	throughput_add(&compressor.link, 2 * MIB, SECOND);
	size_t made = compressor_run(&compressor, data, MIB);
	assert_in_range(made, 1, MIB / 10);
	assert_int_equal(decompress(compressor.output, made, out, &length, NULL), 0);
	assert_int_equal(length, MIB);
	assert_memory_equal(out, data, MIB);
	compressor_end(&compressor);
}

static void nothing_is_compressed_for_a_fast_link_or_before_it_is_measured(void **state)
{
	(void)state;
	vmm_auto_free uint8_t *data = mem_zero(MIB);
	struct compressor unknown = {0}, fast = {0};
	fill_with_text(data, MIB);
	assert_int_equal(compressor_run(&unknown, data, MIB), 0);
	throughput_add(&fast.link, 400 * MIB, SECOND);
	assert_int_equal(compressor_run(&fast, data, MIB), 0);
	assert_null(fast.context); /* it was not even tried */
	compressor_end(&unknown);
	compressor_end(&fast);
}

static void incompressible_data_are_tried_less_and_less_often(void **state)
{
	(void)state;
	vmm_auto_free uint8_t *data = mem_zero(MIB);
	struct compressor compressor = {0};
	unsigned longest = 0;
	fill_at_random(data, MIB);
	throughput_add(&compressor.link, 2 * MIB, SECOND);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(compressor_run(&compressor, data, MIB), 0);
		longest = compressor.skip > longest ? compressor.skip : longest;
	}
	assert_int_equal(longest, 31);
	compressor_end(&compressor);
}

static void a_link_that_gets_faster_is_noticed(void **state)
{
	(void)state;
	struct throughput throughput = {0};
	for (unsigned i = 0; i < 10; i++)
		throughput_add(&throughput, MIB, SECOND);
	assert_true(throughput_rate(&throughput) < 2);
	for (unsigned i = 0; i < 200; i++)
		throughput_add(&throughput, MIB, 1000);
	assert_true(throughput_rate(&throughput) > 200);
}

static void malformed_compressed_data_are_refused(void **state)
{
	(void)state;
	vmm_auto_free uint8_t *data = mem_zero(MIB), *out = mem_zero(COPY_LIMIT_TO_TARGET);
	struct compressor compressor = {0};
	size_t length;
	fill_with_text(data, MIB);
	throughput_add(&compressor.link, 2 * MIB, SECOND);
	size_t made = compressor_run(&compressor, data, MIB);
	static const uint32_t lies[] = {0, 1, MIB - 1, MIB + 1, COPY_LIMIT_TO_TARGET, COPY_LIMIT_TO_TARGET + 1, ~0u};
	for (size_t i = 0; i < VMM_COUNT(lies); i++) {
		vmm_auto_error struct vmm_error *err = NULL;
		put32(compressor.output, lies[i]);
		assert_int_equal(decompress(compressor.output, made, out, &length, &err), -1);
		assert_string_equal(err->code, "protocol-error");
	}
	put32(compressor.output, MIB);
	assert_int_equal(decompress(compressor.output, made - 1, out, &length, NULL), -1);
	assert_int_equal(decompress(compressor.output, 4, out, &length, NULL), -1);
	assert_int_equal(decompress(compressor.output, 0, out, &length, NULL), -1);
	compressor_end(&compressor);
}

static void text_over_a_slow_link_takes_a_fraction_of_its_bytes(void **state)
{
	(void)state;
	struct rig rig;
	vmm_auto_free uint8_t *data = mem_zero(8 * MIB);
	fill_with_text(data, 8 * MIB);
	rig_begin(&rig, 8 * MIB);
	assert_int_equal(pwrite(rig.source, data, 8 * MIB, 0), 8 * MIB);
	rig.rate_limit = 4 * MIB;
	rig_push_well(&rig, NULL);
	assert_true(rig_same(&rig));
	assert_in_range(rig.result.wire, 0, 3 * MIB);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_compressed_for_a_slow_link_and_decompressed),
		cmocka_unit_test(nothing_is_compressed_for_a_fast_link_or_before_it_is_measured),
		cmocka_unit_test(incompressible_data_are_tried_less_and_less_often),
		cmocka_unit_test(a_link_that_gets_faster_is_noticed),
		cmocka_unit_test(malformed_compressed_data_are_refused),
		cmocka_unit_test(text_over_a_slow_link_takes_a_fraction_of_its_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
