/* two-nodes-internal.h: what the two-nodes*.c files share. */
#ifndef TEST_TWO_NODES_INTERNAL_H
#define TEST_TWO_NODES_INTERNAL_H

#include "two-nodes.h"

/* Points DIR/root to that machine. */
void two_nodes_link_root(struct two_nodes *w, int node);
/* Opens a node as the engine sees it: a local node before which faults are injected. */
int two_nodes_open_node(struct two_nodes *w, int number, struct vmm_node **node, struct vmm_error **err);
/* Makes the volume of a guest whose variant has a tree, with one directory that no write changes (two-nodes-tree.c). */
void two_nodes_make_tree(struct two_nodes *w, int node);
/* For a volume that is a tree: removes all its files but the directory that no write changes, and replaces *volume with
 * the path of the one file that the tree holds for that seed. Does nothing for other volumes. */
void tree_clear(char **volume, unsigned seed);
/* For a volume that is a tree: false if it holds more or less than the file for that seed and the directory that no
 * write changes. Replaces *volume with the path of that file. True for other volumes. */
bool tree_holds(char **volume, unsigned seed);
/* Copies the tree whose path comes on `fd` to `path`, as rsync would. */
int tree_take(int fd, const char *path, struct vmm_error **err);
/* What the guest there has in memory, new with each start; NULL if it has none. */
char *guest_memory(struct two_nodes *w, int node) VMM_MUST_USE;

/* Runs recover on node2, with an administrator's decision or NULL. The outcome that it reports ("settled",
 * "unsettled"), or "nothing" (two-nodes-target.c). */
const char *recover_on_node2(struct two_nodes *w, const char *keep);

#endif
