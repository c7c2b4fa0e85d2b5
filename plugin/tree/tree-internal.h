/* tree-internal.h: what the files of this room share. Nothing outside of the room includes it. */
#ifndef VMM_TREE_INTERNAL_H
#define VMM_TREE_INTERNAL_H

#include "tree/tree.h"

/* A digest of data that comes in pieces (hash.c): Poly1305 with `key` (64 hexadecimal digits), or SHA-256 if it is
 * NULL. Error "malformed": the key is not of that form. */
struct tree_hash;
int tree_hash_begin(const char *key, struct tree_hash **sum, struct vmm_error **err);
void tree_hash_update(struct tree_hash *sum, const void *data, size_t length);
/* Writes the digest's hexadecimal digits and frees `hash`. Does nothing if it is NULL. */
void tree_hash_end(struct tree_hash *sum, char hex[TREE_DIGEST_HEX]);

#endif
