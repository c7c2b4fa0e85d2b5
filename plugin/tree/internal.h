/* internal.h: what the files of this room share. Nobody outside includes it. */
#ifndef VMM_TREE_INTERNAL_H
#define VMM_TREE_INTERNAL_H

#include "tree/tree.h"

/* A digest that is fed piece by piece (sum.c): Poly1305 under `key`, or SHA-256 where it is NULL. Error "malformed". */
struct tree_sum;
int tree_sum_begin(const char *key, struct tree_sum **sum, struct vmm_error **err);
void tree_sum_feed(struct tree_sum *sum, const void *data, size_t length);
/* Its digits, and frees it; NULL is harmless. */
void tree_sum_end(struct tree_sum *sum, char hex[TREE_HEX]);

#endif
