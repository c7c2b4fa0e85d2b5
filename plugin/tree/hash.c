/* hash.c: a digest over many small pieces of data, by libcrypto. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "tree/tree-internal.h"

enum { KEY_DIGITS = 64, BUFFER = 64 << 10, SMALL = 4 << 10 };

struct tree_hash {
	EVP_MAC_CTX *mac; /* Poly1305, or NULL: SHA-256 in `md` */
	EVP_MD_CTX *md;
	size_t buffered; /* bytes in `buffer` that libcrypto does not have yet: a call for eight bytes is expensive */
	char buffer[BUFFER];
};

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static EVP_MAC_CTX *mac_begin(const char *key, struct vmm_error **err)
{
	unsigned char bytes[KEY_DIGITS / 2];
	for (size_t i = 0; i < sizeof(bytes); i++) {
		int high = strlen(key) == KEY_DIGITS ? hex_value(key[2 * i]) : -1,
		    low = high < 0 ? -1 : hex_value(key[2 * i + 1]);
		if (high < 0 || low < 0) {
			error_set(err, VMM_USAGE, "malformed", "the key of a digest is not 64 hexadecimal digits");
			return NULL;
		}
		bytes[i] = (unsigned char)(high << 4 | low);
	}
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
	EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	if (!context || EVP_MAC_init(context, bytes, sizeof(bytes), NULL) != 1)
		abort();
	return context;
}

int tree_hash_begin(const char *key, struct tree_hash **hash, struct vmm_error **err)
{
	EVP_MAC_CTX *mac = key ? mac_begin(key, err) : NULL;
	if (key && !mac)
		return -1;
	*hash = mem_zero(sizeof(**hash));
	(*hash)->mac = mac;
	(*hash)->md = key ? NULL : EVP_MD_CTX_new();
	if (!key && (!(*hash)->md || EVP_DigestInit_ex((*hash)->md, EVP_sha256(), NULL) != 1))
		abort();
	return 0;
}

static void feed(struct tree_hash *hash, const void *data, size_t length)
{
	if ((hash->mac ? EVP_MAC_update(hash->mac, data, length) : EVP_DigestUpdate(hash->md, data, length)) != 1)
		abort();
}

void tree_hash_update(struct tree_hash *hash, const void *data, size_t length)
{
	if (length > SMALL || hash->buffered + length > BUFFER) {
		feed(hash, hash->buffer, hash->buffered);
		hash->buffered = 0;
	}
	if (length > SMALL) {
		feed(hash, data, length);
		return;
	}
	memcpy(hash->buffer + hash->buffered, data, length);
	hash->buffered += length;
}

void tree_hash_end(struct tree_hash *hash, char hex[TREE_DIGEST_HEX])
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	size_t length = 0;
	unsigned hashed = 0;
	if (!hash)
		return;
	feed(hash, hash->buffer, hash->buffered);
	if ((hash->mac ? EVP_MAC_final(hash->mac, bytes, &length, sizeof(bytes))
		       : EVP_DigestFinal_ex(hash->md, bytes, &hashed)) != 1)
		abort();
	for (size_t i = 0; i < length + hashed; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	EVP_MAC_CTX_free(hash->mac);
	EVP_MD_CTX_free(hash->md);
	free(hash);
}
