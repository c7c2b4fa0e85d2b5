/* sum.c: one digest over many small pieces. */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "tree/internal.h"

enum { KEY_DIGITS = 64, ROOM = 64 << 10, SMALL = 4 << 10 };

struct tree_sum {
	EVP_MAC_CTX *mac; /* NULL: the other */
	EVP_MD_CTX *hash;
	size_t held; /* what was fed and not handed on yet: libcrypto's calls are dear for eight bytes */
	char room[ROOM];
};

static int nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static EVP_MAC_CTX *keyed(const char *key, struct vmm_error **err)
{
	unsigned char bytes[KEY_DIGITS / 2];
	for (size_t i = 0; i < sizeof(bytes); i++) {
		int high = strlen(key) == KEY_DIGITS ? nibble(key[2 * i]) : -1,
		    low = high < 0 ? -1 : nibble(key[2 * i + 1]);
		if (high < 0 || low < 0) {
			error_set(err, VMM_USAGE, "malformed", "the key of a digest is malformed");
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

int tree_sum_begin(const char *key, struct tree_sum **sum, struct vmm_error **err)
{
	EVP_MAC_CTX *mac = key ? keyed(key, err) : NULL;
	if (key && !mac)
		return -1;
	*sum = mem_zero(sizeof(**sum));
	(*sum)->mac = mac;
	(*sum)->hash = key ? NULL : EVP_MD_CTX_new();
	if (!key && (!(*sum)->hash || EVP_DigestInit_ex((*sum)->hash, EVP_sha256(), NULL) != 1))
		abort();
	return 0;
}

static void hand_on(struct tree_sum *sum, const void *data, size_t length)
{
	if ((sum->mac ? EVP_MAC_update(sum->mac, data, length) : EVP_DigestUpdate(sum->hash, data, length)) != 1)
		abort();
}

void tree_sum_feed(struct tree_sum *sum, const void *data, size_t length)
{
	if (length > SMALL || sum->held + length > ROOM) {
		hand_on(sum, sum->room, sum->held);
		sum->held = 0;
	}
	if (length > SMALL) {
		hand_on(sum, data, length);
		return;
	}
	memcpy(sum->room + sum->held, data, length);
	sum->held += length;
}

void tree_sum_end(struct tree_sum *sum, char hex[TREE_HEX])
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	size_t length = 0;
	unsigned hashed = 0;
	if (!sum)
		return;
	hand_on(sum, sum->room, sum->held);
	if ((sum->mac ? EVP_MAC_final(sum->mac, bytes, &length, sizeof(bytes))
		      : EVP_DigestFinal_ex(sum->hash, bytes, &hashed)) != 1)
		abort();
	for (size_t i = 0; i < length + hashed; i++)
		snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
	EVP_MAC_CTX_free(sum->mac);
	EVP_MD_CTX_free(sum->hash);
	free(sum);
}
