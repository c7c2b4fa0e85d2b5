/* seeds.h: within the room - seeds: copies of volumes that stay on this node, so that the next copy of the same volume
 * sends only what differs (seeds.c). A seed is a file, or the directory of a tree, and is named after the volume that
 * it is a copy of. In all functions `volume_path` is that volume's path on this node.
 */
#ifndef VMM_NODE_SEEDS_H
#define VMM_NODE_SEEDS_H

#include "node/local.h"

enum {
	SEED_PARTIAL_LEAST = 16 << 20, /* bytes: a partial copy that holds less is not kept */
	SEED_PARTIAL_DAYS = 7,	       /* after so many days a partial copy is removed */
};

/* The path of the volume's seed: "<dir>/.vmmigrate-seed-<base>". */
char *seed_path(const char *volume_path) VMM_MUST_USE;

/* Bytes that a file or a tree has allocated; 0 if it is neither. `kind` is its storage's. */
int64_t seed_bytes(const char *path, const char *kind);

/* The time of the last write to the file, or to the directory itself, as text that belongs to the caller; NULL if it is
 * neither. */
char *seed_written(const char *path) VMM_MUST_USE;

/* Renames `file` to be the volume's seed; an older seed of ours is removed. A seed that is a tree is in a private
 * directory (storage.h): `private` says that `file` is such a directory already. `about` has, for the sidecar:
 *
 *	guest, generation, task		whose copy it is
 *	state				"whole" or "partial"
 *	kind				of its storage
 *	home				the guest's own directory, which is removed with the last file in it; or NULL
 *	days				how long it stays; 0: until it is pruned
 *	allocated			bytes; counted if it is absent
 *
 * *kept is false, and nothing has changed, if `file` cannot be a seed: somebody else's file has the name, or the name
 * would be too long, or it is neither a file nor a directory. */
int seed_keep(struct local_node *node, const char *file, bool private, const char *volume_path,
	      struct json_object *about, bool *kept, struct vmm_error **err);

/* True if there is a file (of a tree: a directory) that a copy can begin from; *allocated is its bytes. */
bool seed_usable(const char *volume_path, bool tree, int64_t *allocated);

/* Renames the seed to `temporary`. *taken is false if there is none, or if somebody still writes to it. Its sidecar
 * stays until seed_forget, so that the seed can be given back. */
int seed_take(const char *volume_path, bool tree, const char *temporary, bool *taken, struct vmm_error **err);
/* Gives a seed that was taken, and has not been written to, its name again. */
int seed_give_back(const char *temporary, const char *volume_path, struct vmm_error **err);
/* Removes the sidecar of a seed that was taken, once its copy has the volume's final path. */
int seed_forget(const char *volume_path, struct vmm_error **err);

/* All seeds of this node, oldest first. Each has:
 *
 *	path, place			its own path, and the volume's
 *	state				"whole", "partial", "touched": it has been written to since, or "foreign"
 *	ours				false: it is somebody else's file and is never removed
 *	guest, generation, task		whose copy it is (ours only, as kind and home)
 *	size, allocated			bytes
 *	kept_us, until_us		when it became a seed, and when it is removed; 0: not by itself
 */
struct json_object *seeds_list(struct local_node *node);
/* Removes seeds of ours from the filesystem of the volume until `need` bytes are free there: first those of other
 * guests than `guest`, each time the oldest one. It ends with less free if there are no more seeds. */
void seeds_make_room(struct local_node *node, const char *volume_path, int64_t need, const char *guest);
/* Adds "seeds" to each storage: the bytes that removing our seeds would free. */
void seeds_count(struct local_node *node, struct json_object *storages);

#endif
