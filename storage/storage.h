/* storage: what volumes are stored on. Each kind of storage is one file that ends in its const ops table; storage.c
 * lists the kinds.
 *
 * A *volume* is a JSON object. guest/ makes it from a guest's definition:
 *   "target"    name within the guest: "vda", "nvram", "tpm"
 *   "type"      how the definition names it: "file" | "dir" | "tree" | "block" | "network" | "null" | "null-tree"
 *   "path"      absolute path of the file, directory or device; absent for "network"
 *   "format"    "raw" | "qcow2" | ...
 *   "source"    "network" only: the definition's source element in one line, in canonical form; equal text = same disk
 *   "home"      of a container's volume: the directory of the guest's own that it is in, if it is in one
 *   "included"  of a container's volume: a file that the config includes names it, so that it cannot be renamed
 *   "root_uid"  of a container's volume: the uid of the container's root on the node
 * storage_describe adds:
 *   "storage"   name of the storage that it is on: a [storage NAME] section, a libvirt pool, or made of the mount point
 *   "kind"      kind of the volume (storage_ops.kind)
 *   "size"      bytes of the host's file or device, not of the disk that the guest sees
 *   "allocated" bytes of that which are allocated
 *   "virtual_size"     bytes of the disk that the guest sees
 *   "opener"    a program of this node that has it open, though the guest has not (opener.c; added by node/facts.c)
 *   "real"      if the path of a file or directory is a symbolic link: what it leads to
 *   "uid","gid","mode" owner and permission bits of the file, which publish sets for its copy
 *   "absent"    true if there is nothing at the path, and the guest kind says that it is "made_at_start" (guest.h)
 *   "directory" true if the path is a directory (the state of a TPM, a container's root)
 *   "tree"      true for a directory tree; "format" is "tree" then, "size" is what is allocated, "files" their number
 *   "deep" "subvolume" "mounted"  of a tree: the first path in it that is too long or too deep to be copied, that is
 *               a subvolume (btrfs), that another filesystem is mounted on; absent if there is none
 *   "backing"   path of the backing file, if it has one
 *   "data_file" path of the external data file of a qcow2 image, if it has one: the image alone is not the whole volume
 *   "stands_on" all files below the image, as image_chain gives them, each with "size", "storage" and "sharing" (added
 *               by node/facts.c, if there are any)
 *   "snapshots" number of internal snapshots (qcow2)
 *   "identity"  what names a block device on every node that sees it (LVM's UUIDs, a WWN); absent if nothing does
 *   "sharing"   "network": every node reaches it; "local": this node only; "maybe": it may be shared, which has to be
 *               proven (a network or cluster filesystem, or the configuration says shared = yes)
 *
 * A *storage* is a JSON object:
 *   "name"
 *   "kind"      "dir" | "block" | "network" | "null"
 *   "source"    "config": a [storage NAME] section; "pool": a libvirt pool; "mount": made for a volume on none of these
 *   "path"      its directory, if it has one
 *   "active"    false if it cannot be used now; "problem" says why, if it could not be examined
 *   "fs","free","total"  filesystem ("ext4", "fuse.glusterfs"), free bytes, bytes in all
 *   "sharing"   as above
 *   "declared"  true if the configuration says shared = yes or no
 *   "keep_seed" as configured: a boolean, or a number of days
 */
#ifndef VMM_STORAGE_H
#define VMM_STORAGE_H

#include "base/base.h"

/* Owner and permission bits that a file is to have; -1: they stay as they are. */
struct storage_owner {
	int64_t uid, gid, mode;
};

struct storage_ops {
	const char *kind;	  /* stable name, shown to users */
	const char *storage_kind; /* kind of the storages that hold such volumes; NULL: the same as `kind` */
	bool tree;		  /* a volume is a directory tree and is copied file by file, not as one image */
	bool device;		  /* a volume is a device: it exists before it is filled, keeps its name, and stays */

	/* Is the volume of this kind? Called in the order of the list in storage.c until one says so; looks at the JSON
	 * only. */
	bool (*is_mine)(struct json_object *volume);

	/* Called by storage_describe, on the node where the volume is. Adds to the JSON what is true of this volume:
	 * sizes, owner, backing file, snapshots, ... Error "volume-missing" if it is not there, "volume-odd" if it is
	 * something else than the kind expects. */
	int (*describe)(struct json_object *volume, struct vmm_error **err);

	/* Called once for each active storage that has a "path", when storages are listed. Sets "fs", "free", "total",
	 * "active" and "sharing". An error makes the storage inactive and becomes its "problem". NULL: there is nothing
	 * to find out. */
	int (*examine)(struct json_object *storage, struct vmm_error **err);

	/* Called for a volume that is on no configured storage and in no pool. Returns the name of a storage that is
	 * made for it, and its directory or NULL; both belong to the caller. Volumes that give the same name share the
	 * storage. Cannot fail. */
	void (*default_storage)(struct json_object *volume, char **name, char **path);

	/* The members below are called on the target, for volumes that are copied (`open` on the source too). A kind
	 * whose volumes are never copied leaves them NULL. Paths are checked with path_check. */

	/* Makes an empty, sparse volume of `size` bytes (mode 0600) at `path` and returns a descriptor for reading and
	 * writing, which belongs to the caller. Error "volume-taken" if there is something at the path, "no-space" if
	 * `size_needed` bytes of data do not fit.
	 * A device has to be there, with any content; this may be repeated for it. Error "volume-missing" if it is not,
	 * "no-space" if it is smaller than `size`, "volume-taken" if this system uses it. */
	int (*allocate)(const char *path, uint64_t size, uint64_t size_needed, struct vmm_error **err);
	/* Opens a volume that is there; the descriptor belongs to the caller. Error "volume-missing", "volume-odd". A
	 * device that this system uses is not opened for writing: "volume-taken". NULL for trees. */
	int (*open)(const char *path, bool writable, struct vmm_error **err);
	/* Called when the copy is complete. Sets owner and mode (NULL: they stay as they are; those of a tree were
	 * copied with it), syncs the data and renames it durably from `temporary` to `final`, where it never replaces
	 * anything: error "volume-taken". Error "volume-missing" if nothing is at `temporary`. A device has one path
	 * only, and is just synced. */
	int (*publish)(const char *temporary, const char *final, const struct storage_owner *owner,
		       struct vmm_error **err);
	/* Removes a volume that was left by a migration, or an incomplete copy; no error if it is not there. A device
	 * stays, with its content. */
	int (*remove)(const char *path, struct vmm_error **err);
};

extern const struct storage_ops storage_dir, storage_tree, storage_block, storage_network, storage_null,
	storage_null_tree;

/* The ops of a volume: of its "kind" if that is set, else of the kind that says is_mine. Error "storage-unknown". */
int storage_of(struct json_object *volume, const struct storage_ops **ops, struct vmm_error **err);

/* The ops of that kind, or NULL. */
const struct storage_ops *storage_kind(const char *kind);
/* The same, but NULL is the error "storage-unknown", which names the volume. */
const struct storage_ops *storage_kind_of(const char *kind, const char *volume, struct vmm_error **err);

/* Adds to the volume what is listed above. `storages` is what storage_list has returned; a storage that is made for the
 * volume is appended to it. Errors are those of storage_of and describe, and "bad-path". */
int storage_describe(struct json_object *volume, struct json_object *storages, struct vmm_error **err);

/* Finds the storage that a volume is on, by its "path" (which need not exist yet) or "source". *storage belongs to
 * `storages`; one that is made for the volume is appended. A storage holds what is below its path *and on the same
 * mount*: a filesystem that is mounted inside of a storage is a storage of its own. *storage is never NULL on
 * success. */
int storage_at(struct json_object *volume, struct json_object *storages, struct json_object **storage,
	       struct vmm_error **err);

/* Makes the list of all storages, and examines them: those of the configuration (its object "storage": {NAME: {"kind",
 * "path","shared","keep_seed"}}), and the libvirt pools (array of {"name","type","path","active"}). The configuration
 * wins over a pool of the same name; what it does not set is taken from that pool. Error "bad-configuration". */
int storage_list(struct json_object *configured, struct json_object *pools, struct json_object **storages,
		 struct vmm_error **err);

/* The temporary path of a volume that will be at `path`, for a task: "<dir>/.vmmigrate-<task>-<base>". The last part is
 * shortened, with a checksum, if it would be too long for a file name. */
char *storage_temporary(const char *path, const char *task) VMM_MUST_USE;

/* The path at which a volume of that kind is filled: its temporary path, or a device's own path. */
char *storage_working_path(const char *kind, const char *path, const char *task) VMM_MUST_USE;

/* Proof that a directory is the same one on two nodes (token.c): one node writes a file with a random name,
 * "<dir>/.vmmigrate-token-<32 hexadecimal digits>", and the other node looks whether it has it too. *token is the name
 * and belongs to the caller. Looking takes up to 3 s on filesystems that may be shared, since their caches may be old.
 * A token that is not such a name is an error "bad-name". Removing one that is not there is no error. */
int storage_token_write(const char *dir, char **token, struct vmm_error **err);
int storage_token_there(const char *dir, const char *token, bool *there, struct vmm_error **err);
int storage_token_remove(const char *dir, const char *token, struct vmm_error **err);

/* ------------------------------------------------------------------ who has an image open (opener.c)
 *
 * Asked about volumes that no running guest of this node has open. The text belongs to the caller; NULL: nobody. */

/* A program that may write to the file or device at `path`, as words for a message: QEMU or one of its tools (by their
 * lock), or a loop device. Other programs are not found. */
char *storage_opener(const char *path) VMM_MUST_USE;

/* ------------------------------------------------------------------ filesystems (fs.c) */

/* The filesystem of a path, or of the nearest directory above it that is there. */
struct storage_fs {
	char *type;	     /* "ext4", "nfs4", "fuse.glusterfs" */
	char *mount;	     /* mount point */
	uint64_t mount_id;   /* equal for two paths on the same mount */
	const char *sharing; /* "local", or "maybe" for every filesystem that is not known to be local */
};
int storage_fs_look(const char *path, struct storage_fs *fs, struct vmm_error **err);
void storage_fs_free(struct storage_fs *fs);
/* The sharing of a filesystem of that type. */
const char *storage_fs_sharing(const char *type);

/* ------------------------------------------------------------------ volumes that are plain files (plain.c)
 *
 * Members of storage_ops, and parts of them, for kinds whose volumes are files or directories. */

/* The storage of the volume's mount point. */
void plain_default_storage(struct json_object *volume, char **name, char **path);
/* Sets "size", "allocated", "uid", "gid" and "mode" of the file at the volume's path, or "directory"; and "real".
 * Errors "volume-missing", "volume-odd". */
int plain_describe(struct json_object *volume, struct vmm_error **err);
/* As allocate, in a directory that has `free` bytes of free space. */
int plain_allocate(const char *path, uint64_t size, uint64_t size_needed, uint64_t free, struct vmm_error **err);
/* Error "no-space" if `need` is more than `free` (bytes). */
int plain_check_space(const char *path, uint64_t need, uint64_t free, struct vmm_error **err);
/* Renames durably. Error "volume-taken" if there is something at `final`. */
int plain_rename(const char *temporary, const char *final, struct vmm_error **err);
int plain_open(const char *path, bool writable, struct vmm_error **err);
int plain_publish(const char *temporary, const char *final, const struct storage_owner *owner, struct vmm_error **err);
int plain_remove(const char *path, struct vmm_error **err);

/* Sets "virtual_size", "snapshots", "backing" and "data_file" from the image's header (image.c, `qemu-img info`). A raw
 * image has none: its virtual size is its size. */
int image_describe(struct json_object *volume, struct vmm_error **err);
/* The image, its backing and data files, their backing files, and so on: an array of {"path","format", "as": disk |
 * backing | data, "relative": the image above names it relative to its own directory}, the caller's. The format is the
 * one that the guest's definition names: a header in a raw disk is the guest's own. What cannot be read ends the
 * chain. */
struct json_object *image_chain(const char *path, const char *format);

/* ------------------------------------------------------------------ trees that no guest uses (tree-private.c)
 *
 * While a tree is copied, set aside, or kept as a seed, it is in a private directory, which only root may enter. A
 * volume's temporary path, the path of what is set aside and that of a seed are those of private directories then. */

/* The path of the tree in a private directory; belongs to the caller. */
char *tree_within(const char *private) VMM_MUST_USE;
/* True if there is a tree in it. */
bool tree_is_within(const char *private);
/* Makes a private directory; an empty one that is there already is taken. Error "volume-taken". */
int tree_private_make(const char *private, struct vmm_error **err);
/* Moves the tree at the path `tree` into a private directory, which is there and empty. */
int tree_hide(const char *tree, const char *private, struct vmm_error **err);
/* Moves the tree in a private directory to `path`, never over anything (error "volume-taken"), and removes the
 * directory. */
int tree_show(const char *private, const char *path, struct vmm_error **err);

/* A container's tree on a storage, outside of the container's own directory, has a directory of its own there, which
 * only root and the container's root may enter: "<storage>/<guest's id>-<volume>", for example /srv/fast/200-rootfs.
 * Belongs to the caller. */
char *tree_own_directory(const char *storage, const char *id, const char *target) VMM_MUST_USE;
/* True if `dir` has the name of such a directory of that guest and volume. */
bool tree_is_own_directory(const char *dir, const char *id, const char *target);

/* ------------------------------------------------------------------ directory trees (tree-remove.c)
 *
 * Both act on whatever is in the tree, files that chattr(1) protects included, and on nothing outside of it. */

/* So many levels of directories are copied and compared. */
enum { TREE_LEVELS_MOST = 512 };
/* Removes the tree; no error if it is not there. */
int tree_remove_all(const char *path, struct vmm_error **err);
/* Takes the flags "immutable" and "append only" off everything in the tree, so that it can be written to. */
int tree_unprotect_all(const char *path, struct vmm_error **err);

/* ------------------------------------------------------------------ block devices (device.c) */

/* Opens a block device with the flags of open(2) and returns the descriptor. Errors "volume-missing", "volume-odd". */
int device_open(const char *path, int flags, struct vmm_error **err);
/* Its size in bytes. */
int device_size(int fd, const char *path, uint64_t *size, struct vmm_error **err);
/* What names it on every node that sees it, or NULL; belongs to the caller. */
char *device_identity(int fd);
/* A text that changes when anything is written to the device ("" if it cannot be found out). Dirty pages are written
 * first. */
char *device_written(int fd) VMM_MUST_USE;
/* Error "volume-taken" if this system uses the device: if it is mounted, swapped to, or part of another device. */
int device_unused(const char *path, struct vmm_error **err);

#endif
