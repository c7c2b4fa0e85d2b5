/* What a verification promises: a copy that differs in one bit, or a source that has changed, is found, and the error
 * names the offset. */
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "copy-rig.h"

enum { MIB = 1 << 20 };

static void flip_bit(int fd, uint64_t offset)
{
	uint8_t byte;
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 4;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
}

static void copied_volume(struct rig *rig, struct copy_leaves *leaves)
{
	*leaves = (struct copy_leaves){0};
	rig_begin(rig, 20 * MIB + 100);
	rig_fill(rig->source, MIB, 12 * MIB, 1);
	rig_fill(rig->source, 20 * MIB, 100, 2);
	rig_push_well(rig, leaves);
}

static void assert_differs_at(struct rig *rig, struct copy_leaves *leaves, const char *offset, size_t extents)
{
	vmm_auto_error struct vmm_error *err = NULL;
	size_t bad = 99;
	assert_int_equal(rig_verify(rig, leaves, &bad, &err), -1);
	assert_true(error_is(err, "verify-failed"));
	assert_non_null(strstr(err->message, offset));
	assert_int_equal(bad, extents);
}

static void a_good_copy_verifies_again_and_again_on_one_session(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves;
	copied_volume(&rig, &leaves);
	for (int i = 0; i < 3; i++) {
		size_t bad = 99;
		assert_int_equal(rig_verify(&rig, &leaves, &bad, NULL), 0);
		assert_int_equal(bad, 0);
	}
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void tags_are_made_by_the_digest_that_was_asked_for(void **state)
{
	(void)state;
	for (enum copy_digest digest = 0; digest < COPY_DIGESTS; digest++) {
		struct rig rig;
		struct copy_leaves leaves = {0};
		uint8_t data[COPY_SECRET + 4096], hash[32];
		rig_begin(&rig, 4096);
		rig_fill(rig.source, 0, 4096, 1);
		rig.digest = digest;
		rig_push_well(&rig, &leaves);
		memcpy(data, leaves.key + 1, COPY_SECRET);
		assert_int_equal(pread(rig.source, data + COPY_SECRET, 4096, 0), 4096);
		assert_int_equal(EVP_Digest(data, sizeof(data), hash, NULL, EVP_sha256(), NULL), 1);
		assert_int_equal(!memcmp(hash, leaves.tag[0], COPY_TAG), digest == COPY_SHA256);
		rig_push_well(&rig, NULL); /* the target makes the same tags */
		assert_int_equal(rig.result.present, COPY_LEAF);
		assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
		copy_leaves_free(&leaves);
		rig_end(&rig);
	}
}

static void the_root_changes_with_the_content_and_its_digest_is_named(void **state)
{
	(void)state;
	static const char *const name[] = {"poly1305", "sha256"};
	for (enum copy_digest digest = 0; digest < COPY_DIGESTS; digest++) {
		struct rig rig;
		struct copy_leaves leaves = {0};
		char root[65], again[65], changed[65];
		rig_begin(&rig, 5 * MIB);
		rig_fill(rig.source, MIB, MIB, 1);
		rig.digest = digest;
		rig_push_well(&rig, &leaves);
		assert_string_equal(copy_digest_name(&leaves), name[digest]);
		copy_root(&leaves, root);
		assert_int_equal(strspn(root, "0123456789abcdef"), 64);
		rig_push_well(&rig, &leaves);
		copy_root(&leaves, again);
		assert_string_equal(root, again);
		rig_fill(rig.source, 2 * MIB, 512, 2);
		rig_push_well(&rig, &leaves);
		copy_root(&leaves, changed);
		assert_string_not_equal(root, changed);
		copy_leaves_free(&leaves);
		rig_end(&rig);
	}
}

static void a_flipped_bit_is_found_by_sha256_too(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves = {0};
	rig_begin(&rig, MIB);
	rig_fill(rig.source, 0, MIB, 1);
	rig.digest = COPY_SHA256;
	rig_push_well(&rig, &leaves);
	flip_bit(rig.target, 70000);
	assert_differs_at(&rig, &leaves, "offset 65536", 1);
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void a_flipped_bit_is_found_wherever_it_is(void **state)
{
	(void)state;
	static const struct {
		uint64_t at;
		const char *leaf;
	} flips[] = {
		{5 * MIB + 77, "offset 5242880 "},   /* in data */
		{15 * MIB, "offset 15728640 "},	     /* in a hole */
		{20 * MIB + 99, "offset 20971520 "}, /* the last byte */
		{0, "offset 0 "},
	};
	struct rig rig;
	struct copy_leaves leaves;
	copied_volume(&rig, &leaves);
	for (size_t i = 0; i < VMM_COUNT(flips); i++) {
		flip_bit(rig.target, flips[i].at);
		assert_differs_at(&rig, &leaves, flips[i].leaf, 1);
		flip_bit(rig.target, flips[i].at);
	}
	flip_bit(rig.target, 5 * MIB);
	flip_bit(rig.target, 6 * MIB);
	flip_bit(rig.target, 9 * MIB);
	assert_differs_at(&rig, &leaves, "offset 5242880 ", 2);
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static size_t unverified(const struct copy_leaves *leaves)
{
	size_t count = 0;
	for (size_t leaf = 0; leaf < leaves->count; leaf++)
		count += !(leaves->verified[leaf / 64] >> leaf % 64 & 1);
	return count;
}

static void only_what_was_sent_since_is_read_back(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves;
	copied_volume(&rig, &leaves);
	assert_int_equal(unverified(&leaves), leaves.count);
	assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
	assert_int_equal(unverified(&leaves), 0);
	rig_fill(rig.source, 6 * MIB + 100, 4096, 3);
	rig_zeros(rig.source, 7 * MIB, COPY_LEAF);
	rig_fill(rig.source, 15 * MIB, COPY_LEAF + 1, 4);
	rig_push_well(&rig, &leaves);
	assert_int_equal(unverified(&leaves), 4);
	/* What was verified before is not read again. */
	flip_bit(rig.target, 5 * MIB);
	flip_bit(rig.target, 15 * MIB + COPY_LEAF);
	assert_differs_at(&rig, &leaves, "offset 15794176 ", 1);
	assert_int_equal(unverified(&leaves), 4);
	flip_bit(rig.target, 15 * MIB + COPY_LEAF);
	assert_int_equal(rig_verify(&rig, &leaves, NULL, NULL), 0);
	assert_int_equal(unverified(&leaves), 0);
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void leaves_that_were_swapped_are_found(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves;
	vmm_auto_free char *a = mem_zero(COPY_LEAF), *b = mem_zero(COPY_LEAF);
	copied_volume(&rig, &leaves);
	assert_int_equal(pread(rig.target, a, COPY_LEAF, 2 * MIB), COPY_LEAF);
	assert_int_equal(pread(rig.target, b, COPY_LEAF, 3 * MIB), COPY_LEAF);
	assert_int_equal(pwrite(rig.target, b, COPY_LEAF, 2 * MIB), COPY_LEAF);
	assert_int_equal(pwrite(rig.target, a, COPY_LEAF, 3 * MIB), COPY_LEAF);
	assert_differs_at(&rig, &leaves, "offset 2097152 ", 1);
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void a_truncated_copy_is_found(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves;
	vmm_auto_error struct vmm_error *err = NULL;
	copied_volume(&rig, &leaves);
	assert_int_equal(ftruncate(rig.target, 20 * MIB), 0);
	assert_int_equal(rig_verify(&rig, &leaves, NULL, &err), -1);
	assert_true(error_is(err, "verify-failed"));
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void a_longer_copy_is_found(void **state)
{
	(void)state;
	struct rig rig;
	struct copy_leaves leaves;
	vmm_auto_error struct vmm_error *err = NULL;
	copied_volume(&rig, &leaves);
	assert_int_equal(ftruncate(rig.target, 24 * MIB), 0);
	assert_int_equal(rig_verify(&rig, &leaves, NULL, &err), -1);
	assert_true(error_is(err, "verify-failed"));
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

static void a_source_that_changed_is_found(void **state)
{
	(void)state;
	static const uint64_t offsets[] = {3 * MIB, 14 * MIB, 20 * MIB + 99};
	struct rig rig;
	struct copy_leaves leaves;
	copied_volume(&rig, &leaves);
	assert_int_equal(copy_compare(rig.source, &leaves, NULL), 0);
	for (size_t i = 0; i < VMM_COUNT(offsets); i++) {
		vmm_auto_error struct vmm_error *err = NULL;
		vmm_auto_free char *offset =
			str_format("offset %llu", (unsigned long long)(offsets[i] / COPY_LEAF * COPY_LEAF));
		flip_bit(rig.source, offsets[i]);
		assert_int_equal(copy_compare(rig.source, &leaves, &err), -1);
		assert_true(error_is(err, "source-changed"));
		assert_non_null(strstr(err->message, offset));
		flip_bit(rig.source, offsets[i]);
		assert_int_equal(copy_compare(rig.source, &leaves, NULL), 0);
	}
	vmm_auto_error struct vmm_error *err = NULL;
	assert_int_equal(ftruncate(rig.source, 21 * MIB), 0);
	assert_int_equal(copy_compare(rig.source, &leaves, &err), -1);
	assert_true(error_is(err, "source-changed"));
	copy_leaves_free(&leaves);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_copy_verifies_again_and_again_on_one_session),
		cmocka_unit_test(tags_are_made_by_the_digest_that_was_asked_for),
		cmocka_unit_test(the_root_changes_with_the_content_and_its_digest_is_named),
		cmocka_unit_test(a_flipped_bit_is_found_by_sha256_too),
		cmocka_unit_test(a_flipped_bit_is_found_wherever_it_is),
		cmocka_unit_test(only_what_was_sent_since_is_read_back),
		cmocka_unit_test(leaves_that_were_swapped_are_found),
		cmocka_unit_test(a_truncated_copy_is_found),
		cmocka_unit_test(a_longer_copy_is_found),
		cmocka_unit_test(a_source_that_changed_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
