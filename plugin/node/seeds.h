/* seeds.h: within the room - copies that stay on this node so that the next one sends only what differs (seeds.c). */
#ifndef VMM_NODE_SEEDS_H
#define VMM_NODE_SEEDS_H

#include "node/local.h"

enum {
	SEED_PARTIAL_LEAST = 16 << 20, /* bytes: a partial copy that holds less is not worth its place */
	SEED_PARTIAL_DAYS = 7,	       /* after so long a partial copy goes by itself */
};

/* Where the seed of a volume whose place is `place` lies: "<dir>/.vmmigrate-seed-<base>". */
char *seed_path(const char *place) VMM_MUST_USE;

/* Bytes that a file or a tree has allocated; `kind` is its storage's. */
int64_t seed_bytes(const char *path, const char *kind);

/* When the file, or the directory itself, was last written to, as text; NULL where there is neither. Belongs to the caller. */
char *seed_written(const char *path) VMM_MUST_USE;

/* Makes `file` the seed of the volume at `place`; an older seed of ours goes. `about`: {guest, generation, state: whole|partial,
 * task, kind: its storage's, home: the
 * guest's own directory, which goes with the last that is in it, or NULL; days: how long it stays, 0: until it is pruned}. *kept is false, and nothing has changed, where it cannot be one: a
 * stranger's file has the name, or the name would be too long, or it is neither a file nor a directory. */
int seed_keep(struct local_node *node, const char *file, const char *place, struct json_object *about, bool *kept,
	      struct vmm_error **err);

/* True where there is a file (of a tree: a directory) to begin from; bytes that it has allocated. */
bool seed_usable(const char *place, bool tree, int64_t *allocated);

/* Renames the seed to `temporary`. *taken is false where there is none, or where somebody still writes to it. The sidecar stays
 * until seed_forget, so that the seed can be given back. */
int seed_take(const char *place, bool tree, const char *temporary, bool *taken, struct vmm_error **err);
/* Gives a seed that was taken, and not written to, its name again. */
int seed_give_back(const char *temporary, const char *place, struct vmm_error **err);
/* Removes the sidecar of a seed that was taken for good. */
int seed_forget(const char *place, struct vmm_error **err);

/* All seeds of this node, oldest first: {path, place, guest, generation, task, state: whole|partial|touched|foreign, ours: bool (it
 * may be removed), size, allocated, kept_us, until_us: when it goes by itself, 0: it does not}. */
struct json_object *seeds_list(struct local_node *node);
/* Removes seeds from the filesystem of `place` until `need` bytes are free there, those of other guests first. */
void seeds_make_room(struct local_node *node, const char *place, int64_t need, const char *guest);
/* Adds "seeds", the bytes that would be free without seeds of ours, to the storages. */
void seeds_count(struct local_node *node, struct json_object *storages);

#endif
