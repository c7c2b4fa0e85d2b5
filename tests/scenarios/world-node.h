/* world-node.h: what the files of the world share. */
#ifndef TEST_WORLD_NODE_H
#define TEST_WORLD_NODE_H

#include "world.h"

/* From now on `root` is that machine's. */
void world_view(struct world *w, int node);
/* The node as the engine sees it: with all the trouble that the world has for it. */
int world_node(struct world *w, int number, struct vmm_node **node, struct vmm_error **err);
/* The volume of a guest whose way is a tree's, with what stays in it (world-tree.c). */
void world_tree(struct world *w, int node);
/* Where *volume is a tree: the path of the one file that it holds for that seed, which is all it holds besides what stays. What it held
 * for others goes, or is what it must not hold. */
void tree_clear(char **volume, unsigned seed);
bool tree_holds(char **volume, unsigned seed);
/* Copies one tree over another as rsync would, from the path that comes on `fd`. */
int tree_take(int fd, const char *place, struct vmm_error **err);
/* What the guest there holds in memory, new with each start; NULL where it has none. */
char *guest_memory(struct world *w, int node) VMM_MUST_USE;

#endif
