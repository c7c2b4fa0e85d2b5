/* storage: where volumes lie. Each kind is one file that ends in its const ops table, listed in storage.c.
 *
 * A *volume* is a JSON object, as guest/ finds it in a definition and storage_describe completes it:
 *   "target"    name within the guest: "vda", "nvram", "tpm"
 *   "type"      "file" | "block" | "network" | "null" (how the definition names it)
 *   "path"      absolute path of the file, directory or device ("network": absent)
 *   "format"    "raw" | "qcow2" | ...; a directory's is "tree" once it is described
 *   "source"    network: the source element in one line, canonical; equal text = the same disk
 * storage_describe adds:
 *   "storage"   name of the storage: the [storage NAME] section, the libvirt pool, else a name made from the mount point
 *   "kind"      ops->kind
 *   "size"      bytes of the host file or device (not the guest's view)
 *   "allocated" bytes that are allocated
 *   "virtual_size" bytes of the guest's view
 *   "uid","gid","mode"  owner and permission bits of the host file, which publish gives to its copy
 *   "directory" true where the path is a directory (the state of a TPM, a container's root); sizes are absent then
 *   "backing"   path of the backing file, if it has one
 *   "data_file" path of the external data file of a qcow2 image, if it has one: the image alone is not the whole volume
 *   "snapshots" count of internal snapshots (qcow2)
 *   "identity"  block devices: what names the device on every node that sees it (LVM's UUIDs, a WWN); absent: not known
 *   "sharing"   "network" (reachable from everywhere by its nature), "maybe" (a network or cluster filesystem, or declared
 *               shared: to be proven), "local"
 * A *storage* is a JSON object: "name","kind","path","fs" ("ext4","fuse.glusterfs",..),"free" bytes,"total","active" (bool),
 *   "sharing" as above, "problem" (why it could not be looked at), "declared" (true where the configuration says shared=), "keep_seed" (as configured: bool, or days),
 *   "source" ("config"|"pool"|"mount").
 */
#ifndef VMM_STORAGE_H
#define VMM_STORAGE_H

#include "base/base.h"

struct storage_ops {
	const char *kind; /* "dir", "tree", "block", "network", "null"; stable, shown to people */
	const char *on;	  /* the kind of the storages that hold such volumes; NULL: the same word */
	bool tree;	  /* a volume is a directory tree, which goes by copy/tree.h and not as one image */
	bool device; /* a volume is a device: it is there before it is filled, has its name from the start, and stays */

	/* Is this volume of this kind? Asked in the order of the list; looks at the JSON only. */
	bool (*is_mine)(struct json_object *volume);

	/* Completes volume (size, allocated, backing, snapshots). Missing file: error "volume-missing" naming it. */
	int (*describe)(struct json_object *volume, struct vmm_error **err);

	/* Completes a storage object that has "path": fs, free, total, active, sharing. NULL: nothing to say. */
	int (*examine)(struct json_object *storage, struct vmm_error **err);

	/* Name and path of the storage that is made for a volume which neither the configuration nor a pool claims; both belong
	 * to the caller. *path is NULL where the storage has no directory. Cannot fail. */
	void (*place)(struct json_object *volume, char **name, char **path);

	/* The members below are called only for volumes with the action "copy"; a kind that is never copied leaves them NULL.
	 * `path` is the temporary or final place, already checked with path_check. */

	/* Makes an empty volume of `size` bytes at `path`, which must not exist; mode 0600, sparse. Error "no-space" where it
	 * cannot fit `size_needed` bytes of data. Opens it for reading and writing: the descriptor is the caller's.
	 * A device has to be there, with any content: "volume-missing"; "no-space" where it is smaller, "volume-taken" where this
	 * system uses it. May be called again. */
	int (*allocate)(const char *path, uint64_t size, uint64_t size_needed, struct vmm_error **err);
	/* Opens an existing volume; returns the descriptor. A device that this system uses is not opened for writing:
	 * "volume-taken". */
	int (*open)(const char *path, bool writable, struct vmm_error **err);
	/* Gives the volume its final name, durably, never over an existing one (error "volume-taken"); owner and mode are the
	 * volume's "uid", "gid" and "mode" where it has them. Error "volume-missing" where `temporary` is not there. A device,
	 * whose places are one, is synced and no more. */
	int (*publish)(const char *temporary, const char *final, struct json_object *volume, struct vmm_error **err);
	/* Removes it; no error where it is gone already. A device stays, with what it holds. */
	int (*remove)(const char *path, struct vmm_error **err);
};

extern const struct storage_ops storage_dir, storage_tree, storage_block, storage_network, storage_null,
	storage_null_tree;

/* The ops of a volume (by "kind" if set, else by is_mine). Error "storage-unknown" names the volume and its type. */
int storage_of(struct json_object *volume, const struct storage_ops **ops, struct vmm_error **err);

/* The ops of that name, or NULL. */
const struct storage_ops *storage_kind(const char *kind);

/* Completes the volume and says which storage it is on; `storages` is what storage_list gave. A volume on a directory that is
 * in no storage so far gets one named after its mount point, appended to `storages`. */
int storage_describe(struct json_object *volume, struct json_object *storages, struct vmm_error **err);

/* The storage that a volume (with "path" or "source", which need not be there yet) lies on; borrowed from `storages`, to which
 * it is appended if it is new. A storage holds what is below its path *and on the same mount*: a network filesystem that is
 * mounted inside of a local storage is a storage of its own. Never NULL on success. */
int storage_at(struct json_object *volume, struct json_object *storages, struct json_object **storage,
	       struct vmm_error **err);

/* All storages: those of the configuration ("storage" object of the cluster's configuration: name → {path, shared, …}), and
 * the libvirt pools (array of {name,type,path,active}), examined. The configuration wins over a pool of the same name. */
int storage_list(struct json_object *configured, struct json_object *pools, struct json_object **storages,
		 struct vmm_error **err);

/* The temporary place of a volume whose final place is `path`, for a task: "<dir>/.vmmigrate-<task>-<base>". */
char *storage_temporary(const char *path, const char *task) VMM_MUST_USE;

/* Where a volume of that kind is while it is filled: its temporary place; of a device its own. */
char *storage_working_place(const char *kind, const char *path, const char *task) VMM_MUST_USE;

/* Proof of sharing for directories: token_place writes "<dir>/.vmmigrate-token-<random>" and returns its name; the other node
 * looks with token_there (after a sync and with attribute caches in mind: up to 3 s); token_remove takes it away. */
int storage_token_place(const char *dir, char **token, struct vmm_error **err);
int storage_token_there(const char *dir, const char *token, bool *there, struct vmm_error **err);
int storage_token_remove(const char *dir, const char *token, struct vmm_error **err);

/* ------------------------------------------------------------------ for the kinds */

/* What a path (or the nearest directory above it that is there) lies on. */
struct storage_fs {
	char *type;	     /* "ext4", "nfs4", "fuse.glusterfs" */
	char *mount;	     /* mount point */
	uint64_t mount_id;   /* the same for two paths: the same mount */
	const char *sharing; /* "local", or "maybe" for every filesystem that is not known to be local */
};
int storage_fs_look(const char *path, struct storage_fs *fs, struct vmm_error **err);
void storage_fs_free(struct storage_fs *fs);
/* The class of a filesystem by its name. */
const char *storage_fs_sharing(const char *type);

/* The storage that a mount point makes. */
void plain_place(struct json_object *volume, char **name, char **path);
/* size, allocated, uid, gid, mode of the file at the volume's path. Error "volume-missing". */
int plain_describe(struct json_object *volume, struct vmm_error **err);
/* allocate, for a directory with `free` bytes of room. */
int plain_allocate(const char *path, uint64_t size, uint64_t size_needed, uint64_t free, struct vmm_error **err);
/* Error "no-space" where `need` bytes are not free. */
int plain_room(const char *path, uint64_t need, uint64_t free, struct vmm_error **err);
/* Opens a block device; error "volume-missing", or "volume-odd" where it is something else. */
int device_open(const char *path, int flags, struct vmm_error **err);
/* Bytes of it. */
int device_size(int fd, const char *path, uint64_t *size, struct vmm_error **err);
/* What names it on every node that sees it, or NULL; the caller's. */
char *device_identity(int fd);
/* What changes when anybody writes to it; what is still in memory is written first. Belongs to the caller. */
char *device_written(int fd) VMM_MUST_USE;
/* Does this system use it - is it mounted, swapped to, a part of another device? Error "volume-taken" says what is known. */
int device_unused(const char *path, struct vmm_error **err);

/* The final name, durably, never over another. */
int plain_rename(const char *temporary, const char *final, struct vmm_error **err);
int plain_open(const char *path, bool writable, struct vmm_error **err);
int plain_publish(const char *temporary, const char *final, struct json_object *volume, struct vmm_error **err);
int plain_remove(const char *path, struct vmm_error **err);

/* virtual_size, backing, data_file, snapshots: from the image's header (`qemu-img info`); a raw one has none to be read. */
int image_describe(struct json_object *volume, struct vmm_error **err);

#endif
