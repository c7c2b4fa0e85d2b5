/* tags.c: keyed tags of leaves, and the root over them.
 *
 * Poly1305 as a universal hash: as long as key and tags stay secret - they cross the encrypted link only - not even who
 * chooses the content of both sides can make two leaves collide, but with a chance below 2^-90.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "parts.h"

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
	/* Each byte equals the one sixteen before it, and the first sixteen are zero. */
	return length <= 16 || !memcmp(bytes, bytes + 16, length - 16);
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
		abort(); /* no memory, or a libcrypto without them: then nothing could be copied */
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
		tag[0] = 1; /* all zero is taken: it means a leaf of zeros */
}

/* Of one extent: which it is, which of its leaves, their tags. */
static bool add_extent(EVP_MD_CTX *context, const struct copy_leaves *leaves, uint64_t extent, uint64_t bits)
{
	uint8_t head[16];
	put64(head, extent);
	put64(head + 8, bits);
	bool good = EVP_DigestUpdate(context, head, sizeof(head));
	for (unsigned first, end = 0; good && bits_run(bits, end, &first, &end);)
		good = EVP_DigestUpdate(context, leaves->tag[extent * COPY_LEAVES + first],
					(size_t)(end - first) * COPY_TAG);
	return good;
}

void leaves_root(const struct copy_leaves *leaves, const struct picked *picked, uint8_t root[COPY_ROOT_SIZE])
{
	uint8_t size[8];
	put64(size, leaves->size);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) &&
		    EVP_DigestUpdate(context, leaves->key, COPY_KEY) && EVP_DigestUpdate(context, size, sizeof(size));
	for (uint64_t extent = picked->first; good && extent < picked->end; extent++)
		if (picked->leaves[extent])
			good = add_extent(context, leaves, extent, picked->leaves[extent]);
	if (!good || !EVP_DigestFinal_ex(context, root, NULL))
		abort();
	EVP_MD_CTX_free(context);
}

int leaves_make(uint64_t size, const uint8_t key[COPY_KEY], struct copy_leaves *leaves, struct vmm_error **err)
{
	*leaves = (struct copy_leaves){.size = size, .count = leaf_count(size)};
	memcpy(leaves->key, key, COPY_KEY);
	/* Pages of zero tags are never touched, so a sparse volume's table is sparse too. */
	leaves->tag = calloc(leaves->count ? leaves->count : 1, COPY_TAG);
	leaves->proven = calloc(extent_count(size) ? extent_count(size) : 1, sizeof(*leaves->proven));
	if (!leaves->tag || !leaves->proven)
		return error_set(err, VMM_FAILED, "too-large", "no memory for the table of a volume of %llu bytes",
				 (unsigned long long)size);
	return 0;
}

/* The table with more entries, the new ones zero; NULL where there is no memory. */
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
	uint64_t *proven = extend(leaves->proven, sizeof(*proven), extent_count(leaves->size), extent_count(size));
	if (proven)
		leaves->proven = proven;
	if (!tag || !proven)
		return error_set(err, VMM_FAILED, "too-large", "no memory for the table of a volume of %llu bytes",
				 (unsigned long long)size);
	/* A last leaf that was cut short is longer now: what was proven of it says nothing. */
	if (leaves->count && leaves->size % COPY_LEAF)
		leaves->proven[(leaves->count - 1) / COPY_LEAVES] &= ~(1ull << (leaves->count - 1) % COPY_LEAVES);
	leaves->size = size;
	leaves->count = count;
	return 0;
}

void leaves_get(const struct copy_leaves *leaves, uint64_t extent, struct extent_tags *tags)
{
	size_t first = extent * COPY_LEAVES, count = min64(COPY_LEAVES, leaves->count - first);
	tags->nonzero = 0;
	memcpy(tags->tag, leaves->tag[first], count * COPY_TAG);
	for (size_t leaf = 0; leaf < count; leaf++)
		if (!tag_is_zero(tags->tag[leaf]))
			tags->nonzero |= 1ull << leaf;
}

void leaves_put(struct copy_leaves *leaves, uint64_t extent, const struct extent_tags *tags)
{
	size_t first = extent * COPY_LEAVES, count = min64(COPY_LEAVES, leaves->count - first);
	for (size_t leaf = 0; leaf < count; leaf++) {
		if (tags->nonzero >> leaf & 1)
			memcpy(leaves->tag[first + leaf], tags->tag[leaf], COPY_TAG);
		else if (!tag_is_zero(leaves->tag[first + leaf])) /* leaves untouched pages untouched */
			memset(leaves->tag[first + leaf], 0, COPY_TAG);
	}
}

void copy_leaves_free(struct copy_leaves *leaves)
{
	free(leaves->tag);
	free(leaves->proven);
	OPENSSL_cleanse(leaves, sizeof(*leaves));
}
