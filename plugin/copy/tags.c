/* tags.c: keyed tags of leaves, and the root over them.
 *
 * Poly1305 is used as a universal hash. Key and tags cross the encrypted link only. As long as they stay secret, not
 * even someone who chooses the content of both sides can make two different leaves have the same tag, except with a
 * probability below 2^-90. */
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "copy-internal.h"

struct tagger {
	EVP_MAC *mac;
	EVP_MAC_CTX *context;
	EVP_MD *hash; /* NULL: the tags are the MAC's */
	EVP_MD_CTX *hashing;
	uint8_t key[COPY_KEY];
};

bool bytes_are_zero(const void *data, size_t length)
{
	const uint8_t *bytes = data;
	size_t head = length < 16 ? length : 16;
	for (size_t i = 0; i < head; i++)
		if (bytes[i])
			return false;
	/* The first sixteen bytes are zero, and each further byte must equal the one sixteen before it. */
	return length <= 16 || !memcmp(bytes, bytes + 16, length - 16);
}

bool block_runs_next(const uint8_t *data, size_t length, size_t *at, size_t *run, bool *zero)
{
	*run = 0;
	*zero = false;
	while (*at < length) {
		size_t piece = min64(COPY_BLOCK, length - *at);
		bool is_zero = bytes_are_zero(data + *at, piece);
		if (!*run)
			*zero = is_zero;
		else if (is_zero != *zero)
			break;
		*run += piece;
		*at += piece;
	}
	return *run > 0;
}

struct tagger *tagger_new(const uint8_t key[COPY_KEY])
{
	struct tagger *tagger = mem_zero(sizeof(*tagger));
	memcpy(tagger->key, key, COPY_KEY);
	if (key[0] == COPY_SHA256) {
		tagger->hash = EVP_MD_fetch(NULL, "SHA256", NULL);
		tagger->hashing = tagger->hash ? EVP_MD_CTX_new() : NULL;
	} else {
		tagger->mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
		tagger->context = tagger->mac ? EVP_MAC_CTX_new(tagger->mac) : NULL;
	}
	if (!tagger->context && !tagger->hashing)
		abort(); /* no memory, or a libcrypto without this digest: nothing could be copied */
	return tagger;
}

void tagger_free(struct tagger *tagger)
{
	if (!tagger)
		return;
	EVP_MAC_CTX_free(tagger->context);
	EVP_MAC_free(tagger->mac);
	EVP_MD_CTX_free(tagger->hashing);
	EVP_MD_free(tagger->hash);
	free(tagger);
}

bool tag_is_zero(const uint8_t tag[COPY_TAG])
{
	static const uint8_t zero[COPY_TAG];
	return !memcmp(tag, zero, COPY_TAG);
}

static bool tag_by_mac(struct tagger *tagger, const void *data, size_t length, uint8_t tag[COPY_TAG])
{
	size_t made = 0;
	return EVP_MAC_init(tagger->context, tagger->key + 1, COPY_SECRET, NULL) &&
	       EVP_MAC_update(tagger->context, data, length) && EVP_MAC_final(tagger->context, tag, &made, COPY_TAG) &&
	       made == COPY_TAG;
}

static bool tag_by_hash(struct tagger *tagger, const void *data, size_t length, uint8_t tag[COPY_TAG])
{
	uint8_t whole[EVP_MAX_MD_SIZE];
	bool good = EVP_DigestInit_ex(tagger->hashing, tagger->hash, NULL) &&
		    EVP_DigestUpdate(tagger->hashing, tagger->key + 1, COPY_SECRET) &&
		    EVP_DigestUpdate(tagger->hashing, data, length) && EVP_DigestFinal_ex(tagger->hashing, whole, NULL);
	memcpy(tag, whole, COPY_TAG);
	return good;
}

void tagger_tag(struct tagger *tagger, const void *data, size_t length, uint8_t tag[COPY_TAG])
{
	if (!(tagger->hash ? tag_by_hash : tag_by_mac)(tagger, data, length, tag))
		abort();
	if (tag_is_zero(tag))
		tag[0] = 1; /* an all-zero tag means a leaf of zeros */
}

/* Adds the number of an extent, the bits of the leaves that are in the set, and their tags. */
static bool add_extent(EVP_MD_CTX *context, const struct copy_leaves *leaves, uint64_t extent, uint64_t bits)
{
	uint8_t head[16];
	put64(head, extent);
	put64(head + 8, bits);
	bool good = EVP_DigestUpdate(context, head, sizeof(head));
	for (unsigned first, end = 0; good && bits_run(bits, end, &first, &end);)
		good = EVP_DigestUpdate(context, leaves->tag[extent * COPY_EXTENT_LEAVES + first],
					(size_t)(end - first) * COPY_TAG);
	return good;
}

void leaves_root(const struct copy_leaves *leaves, const struct leaf_set *set, uint8_t root[COPY_ROOT_SIZE])
{
	uint8_t size[8];
	put64(size, leaves->size);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) &&
		    EVP_DigestUpdate(context, leaves->key, COPY_KEY) && EVP_DigestUpdate(context, size, sizeof(size));
	for (uint64_t extent = set->first; good && extent < set->end; extent++)
		if (set->bits[extent])
			good = add_extent(context, leaves, extent, set->bits[extent]);
	if (!good || !EVP_DigestFinal_ex(context, root, NULL))
		abort();
	EVP_MD_CTX_free(context);
}

int leaves_make(uint64_t size, const uint8_t key[COPY_KEY], struct copy_leaves *leaves, struct vmm_error **err)
{
	*leaves = (struct copy_leaves){.size = size, .count = leaf_count(size)};
	memcpy(leaves->key, key, COPY_KEY);
	/* The kernel allocates pages of it only where a tag is not zero, so the table of a sparse volume is small. */
	leaves->tag = calloc(leaves->count ? leaves->count : 1, COPY_TAG);
	leaves->verified = calloc(extent_count(size) ? extent_count(size) : 1, sizeof(*leaves->verified));
	if (!leaves->tag || !leaves->verified)
		return error_set(err, VMM_FAILED, "too-large", "no memory for the table of a volume of %llu bytes",
				 (unsigned long long)size);
	return 0;
}

/* Reallocates a table from `from` to `to` entries of `size` bytes; the new ones are zero. NULL without memory. */
static void *extend(void *table, size_t size, uint64_t from, uint64_t to)
{
	uint8_t *extended = realloc(table, (to ? to : 1) * size);
	if (extended)
		memset(extended + from * size, 0, (to - from) * size);
	return extended;
}

int leaves_grow(struct copy_leaves *leaves, uint64_t size, struct vmm_error **err)
{
	size_t count = leaf_count(size);
	if (size == leaves->size)
		return 0;
	uint8_t(*tag)[COPY_TAG] = extend(leaves->tag, COPY_TAG, leaves->count, count);
	if (tag)
		leaves->tag = tag;
	uint64_t *verified =
		extend(leaves->verified, sizeof(*verified), extent_count(leaves->size), extent_count(size));
	if (verified)
		leaves->verified = verified;
	if (!tag || !verified)
		return error_set(err, VMM_FAILED, "too-large", "no memory for the table of a volume of %llu bytes",
				 (unsigned long long)size);
	/* The old last leaf may be longer now: then it has to be verified again. */
	if (leaves->count && leaves->size % COPY_LEAF)
		leaves->verified[(leaves->count - 1) / COPY_EXTENT_LEAVES] &=
			~(1ull << (leaves->count - 1) % COPY_EXTENT_LEAVES);
	leaves->size = size;
	leaves->count = count;
	return 0;
}

void leaves_get(const struct copy_leaves *leaves, uint64_t extent, struct extent_tags *tags)
{
	size_t first = extent * COPY_EXTENT_LEAVES, count = min64(COPY_EXTENT_LEAVES, leaves->count - first);
	tags->nonzero = 0;
	memcpy(tags->tag, leaves->tag[first], count * COPY_TAG);
	for (size_t leaf = 0; leaf < count; leaf++)
		if (!tag_is_zero(tags->tag[leaf]))
			tags->nonzero |= 1ull << leaf;
}

void leaves_put(struct copy_leaves *leaves, uint64_t extent, const struct extent_tags *tags)
{
	size_t first = extent * COPY_EXTENT_LEAVES, count = min64(COPY_EXTENT_LEAVES, leaves->count - first);
	for (size_t leaf = 0; leaf < count; leaf++) {
		if (tags->nonzero >> leaf & 1)
			memcpy(leaves->tag[first + leaf], tags->tag[leaf], COPY_TAG);
		else if (!tag_is_zero(
				 leaves->tag[first + leaf])) /* writing zeros would allocate pages, see leaves_make */
			memset(leaves->tag[first + leaf], 0, COPY_TAG);
	}
}

void copy_leaves_free(struct copy_leaves *leaves)
{
	free(leaves->tag);
	free(leaves->verified);
	OPENSSL_cleanse(leaves, sizeof(*leaves));
}
