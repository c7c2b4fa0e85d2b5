/* world-node.h: what the files of the world share. */
#ifndef TEST_WORLD_NODE_H
#define TEST_WORLD_NODE_H

#include "world.h"

/* From now on `root` is that machine's. */
void world_view(struct world *w, int node);
/* The node as the engine sees it: with all the trouble that the world has for it. */
int world_node(struct world *w, int number, struct vmm_node **node, struct vmm_error **err);
/* What the guest there holds in memory, new with each start; NULL where it has none. */
char *guest_memory(struct world *w, int node) VMM_MUST_USE;

#endif
