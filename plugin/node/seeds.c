/* seeds.c: seeds are copies of volumes that stay on this node, so that the next copy sends only what differs: copies of
 * a volume that has moved away ("whole"), and copies that were interrupted ("partial").
 *
 * A seed is beside its volume's path, as ".vmmigrate-seed-NAME"; its sidecar ".vmmigrate-seed-NAME.json" says whose it
 * is. What a seed holds is never trusted: a copy that begins from it reads and compares all of it. So a seed that does
 * not match any more costs time and nothing else. A file of such a name without a sidecar that matches it is not ours:
 * a copy may begin from it (somebody has brought the image by other means), but it is never removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "node/seeds.h"

#define SEED_START	".vmmigrate-seed-"
#define SIDECAR_END	".json"
#define SEEDS_FILE	"seeds.json"
#define BLOCK_SIZE	512 /* of st_blocks */
#define DAY_US		(86400 * INT64_C(1000000))
#define SIDECAR_MOST	(64 << 10)
#define SEED_DAYS_MOST	INT64_C(36500)
#define SEED_BYTES_MOST (INT64_C(1) << 50)

enum { SEED_VERSION = 1, WRITER_WAIT_MS = 5000 };

/* ---------------------------------------------------------------- names, sidecars */

char *seed_path(const char *volume_path)
{
	vmm_auto_free char *dir = path_dir(volume_path);
	return str_format("%s/" SEED_START "%s", dir, path_base(volume_path));
}

static char *sidecar_path(const char *seed)
{
	return str_format("%s" SIDECAR_END, seed);
}

/* The path of the volume that the seed is a copy of. */
static char *volume_path_of(const char *seed)
{
	vmm_auto_free char *dir = path_dir(seed);
	return str_format("%s/%s", dir, path_base(seed) + strlen(SEED_START));
}

/* Can the volume have a seed? The sidecar's name must not be too long for a directory entry, and the seed's name must
 * not look like a sidecar's. */
static bool can_be_named(const char *volume_path)
{
	const char *base = path_base(volume_path);
	return strlen(base) <= NAME_MAX - strlen(SEED_START) - strlen(SIDECAR_END) && !str_ends(base, SIDECAR_END);
}

static char *time_text(const struct timespec *time)
{
	return str_format("%lld.%09ld", (long long)time->tv_sec, time->tv_nsec);
}

/* True for a file, and for a directory, which is the root of a tree. */
static bool is_volume(const char *path, struct stat *info)
{
	return lstat(path, info) == 0 && (S_ISREG(info->st_mode) || S_ISDIR(info->st_mode));
}

/* What lstat says of the file or, where `path` is a private directory (storage.h), of the tree in it. */
static bool look_at(const char *path, struct stat *info)
{
	vmm_auto_free char *tree = tree_within(path);
	return is_volume(tree_is_within(path) ? tree : path, info);
}

char *seed_written(const char *path)
{
	struct stat info;
	return look_at(path, &info) ? time_text(&info.st_mtim) : NULL;
}

int64_t seed_bytes(const char *path, const char *kind)
{
	struct stat info;
	const struct storage_ops *ops;
	vmm_auto_json struct json_object *volume = json_make("kind:s path:s", kind, path);
	if (!is_volume(path, &info))
		return 0;
	if (S_ISREG(info.st_mode))
		return (int64_t)info.st_blocks * BLOCK_SIZE;
	return storage_of(volume, &ops, NULL) < 0 || ops->describe(volume, NULL) < 0 ? 0
										     : json_number(volume, "allocated");
}

/* A sidecar may have been edited: its numbers are kept so small that calculations with them do not overflow. */
static void limit_number(struct json_object *sidecar, const char *key, int64_t most)
{
	int64_t number = json_number(sidecar, key);
	if (number < 0 || number > most)
		json_object_object_add(sidecar, key, json_object_new_int64(number < 0 ? 0 : most));
}

/* The sidecar, if it describes the very file that has the seed's name; else NULL. */
static struct json_object *sidecar_read(const char *seed)
{
	vmm_auto_free char *path = sidecar_path(seed), *text = NULL;
	vmm_auto_json struct json_object *sidecar = NULL;
	if (file_read(path, SIDECAR_MOST, &text, NULL, NULL) < 0 || json_parse(text, -1, path, &sidecar, NULL) < 0 ||
	    json_number(sidecar, "version") != SEED_VERSION)
		return NULL;
	json_put(sidecar, "path:s", seed);
	limit_number(sidecar, "days", SEED_DAYS_MOST);
	limit_number(sidecar, "kept_us", INT64_MAX / 2);
	limit_number(sidecar, "allocated", SEED_BYTES_MOST);
	return local_same_file(sidecar) ? json_object_get(sidecar) : NULL;
}

/* Writes what `about` says (seed_keep; "kept_us" is now if it is not given), the identity of `file`, and its size and
 * times, or those of the tree in it. */
static int sidecar_write(const char *file, const char *seed, struct json_object *about, struct vmm_error **err)
{
	struct stat info;
	vmm_auto_json struct json_object *sidecar =
		local_final_note(file, seed, json_text_or(about, "kind", "dir"), err);
	if (!sidecar)
		return -1;
	if (!look_at(file, &info))
		return error_errno(err, errno, "volume %s", file);
	vmm_auto_free char *mtime = time_text(&info.st_mtim), *ctime = time_text(&info.st_ctim),
			   *path = sidecar_path(seed);
	json_object_object_del(sidecar, "made");
	json_put(sidecar,
		 "version:d state:s guest:s generation:i task:s home:s size:i allocated:i mtime:s ctime:s kept_us:i "
		 "days:i",
		 SEED_VERSION, json_text(about, "state"), json_text(about, "guest"), json_number(about, "generation"),
		 json_text(about, "task"), json_text(about, "home"), (int64_t)info.st_size,
		 json_at(about, "allocated") ? json_number(about, "allocated")
					     : seed_bytes(file, json_text(sidecar, "kind")),
		 mtime, ctime, json_at(about, "kept_us") ? json_number(about, "kept_us") : clock_now_us(),
		 json_number(about, "days"));
	const char *text = json_line(sidecar);
	return file_write(path, text, strlen(text), 0600, err);
}

/* `seed` is a sidecar, or an object of seeds_list. */
static int seed_remove(struct json_object *seed, struct vmm_error **err)
{
	const char *path = json_text(seed, "path"), *kind = json_text_or(seed, "kind", "dir"),
		   *home = json_text(seed, "home");
	vmm_auto_free char *sidecar = sidecar_path(path), *dir = path_dir(path);
	const struct storage_ops *ops;
	vmm_auto_json struct json_object *volume = json_make("target:s kind:s", path, kind);
	if (storage_of(volume, &ops, err) < 0)
		return -1;
	if (!ops->remove)
		return error_set(err, VMM_FAILED, "storage-unknown", "seed %s: a %s storage removes nothing", path,
				 kind);
	if (ops->remove(path, err) < 0 || file_remove(sidecar, err) < 0)
		return -1;
	local_remove_emptied(dir, home);
	return 0;
}

/* ---------------------------------------------------------------- directories with seeds
 *
 * Seeds are looked for in the directories of the configured storages, and in those where a seed was ever kept. */

static struct json_object *known_dirs(struct local_node *node)
{
	vmm_auto_free char *path = str_format("%s/" SEEDS_FILE, node->paths->state), *text = NULL;
	struct json_object *dirs = NULL;
	if (file_read(path, 1 << 20, &text, NULL, NULL) < 0 || json_parse(text, -1, path, &dirs, NULL) < 0 ||
	    !json_object_is_type(dirs, json_type_array)) {
		json_object_put(dirs);
		dirs = json_object_new_array();
	}
	struct json_object *storages = json_at(node->config, "storage");
	if (!storages)
		return dirs;
	json_object_object_foreach(storages, name, storage)
	{
		(void)name;
		const char *dir = json_text(storage, "path");
		if (dir && !json_has(dirs, "", dir))
			json_object_array_add(dirs, json_object_new_string(dir));
	}
	return dirs;
}

static int remember_dir(struct local_node *node, const char *seed, struct vmm_error **err)
{
	vmm_auto_free char *path = str_format("%s/" SEEDS_FILE, node->paths->state), *dir = path_dir(seed);
	vmm_auto_free char *lock_path = str_format("%s/.seeds.lock", node->paths->state);
	vmm_auto_close int lock = file_lock(lock_path, 10000, err);
	if (lock < 0)
		return -1;
	vmm_auto_json struct json_object *dirs = known_dirs(node);
	if (json_has(dirs, "", dir))
		return 0;
	json_object_array_add(dirs, json_object_new_string(dir));
	return file_write(path, json_line(dirs), strlen(json_line(dirs)), 0600, err);
}

/* ---------------------------------------------------------------- one seed: keep, take, give back */

/* Removes an older seed of ours. *clear is false if somebody else's file has the name, which stays. */
static int clear_name(const char *seed, bool *clear, struct vmm_error **err)
{
	vmm_auto_json struct json_object *sidecar = sidecar_read(seed);
	*clear = !file_there(seed) || sidecar;
	return sidecar ? seed_remove(sidecar, err) : 0;
}

/* The sidecar is written before the rename: if the power fails in between, we still know the seed as ours. */
static int keep_as(const char *file, bool private, const char *seed, struct json_object *about, struct vmm_error **err)
{
	struct stat info;
	bool hide = lstat(file, &info) == 0 && S_ISDIR(info.st_mode) && !private;
	if (hide && tree_private_make(seed, err) < 0)
		return -1;
	if (sidecar_write(hide ? seed : file, seed, about, err) < 0)
		return -1;
	return hide ? tree_hide(file, seed, err) : file_rename_new(file, seed, err);
}

int seed_keep(struct local_node *node, const char *file, bool private, const char *volume_path,
	      struct json_object *about, bool *kept, struct vmm_error **err)
{
	vmm_auto_free char *seed = seed_path(volume_path);
	struct stat info;
	*kept = false;
	bool clear = is_volume(file, &info) && can_be_named(volume_path);
	if (clear && clear_name(seed, &clear, err) < 0)
		return -1;
	if (!clear)
		return 0;
	if (!json_at(about, "allocated"))
		json_put(about, "allocated:i", seed_bytes(file, json_text_or(about, "kind", "dir")));
	if (remember_dir(node, seed, err) < 0 || keep_as(file, private, seed, about, err) < 0)
		return -1;
	/* Again, because the rename has changed the ctime. */
	sidecar_write(seed, seed, about, NULL);
	*kept = true;
	return 0;
}

/* Waits until nobody writes to the seed any more. The session of a task that was aborted may still do, and holds this
 * lock meanwhile. False if it still writes after WRITER_WAIT_MS. */
static bool wait_for_writer(const char *seed)
{
	vmm_auto_free char *tree = tree_within(seed);
	vmm_auto_close int fd =
		open(tree_is_within(seed) ? tree : seed, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int64_t end = clock_steady_ms() + WRITER_WAIT_MS;
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (clock_steady_ms() >= end)
			return false;
		clock_sleep_ms(50);
	}
	return fd >= 0;
}

/* A file with a second hard link is not used: what we write would change that one too. The bytes of a tree were counted
 * when it was kept. */
bool seed_usable(const char *volume_path, bool tree, int64_t *allocated)
{
	vmm_auto_free char *seed = seed_path(volume_path);
	struct stat info;
	*allocated = 0;
	if (!can_be_named(volume_path) || !is_volume(seed, &info) || !!S_ISDIR(info.st_mode) != tree)
		return false;
	vmm_auto_json struct json_object *sidecar = tree ? sidecar_read(seed) : NULL;
	*allocated = tree ? json_number(sidecar, "allocated") : (int64_t)info.st_blocks * BLOCK_SIZE;
	/* A seed of ours without its tree: it was being kept when the power failed. */
	return tree ? !sidecar || tree_is_within(seed) : info.st_nlink == 1;
}

/* A tree that somebody has brought as a seed is not in a private directory yet. rsync could not change what is
 * protected in it; the flags of the guest's files are set at the end. */
static int take_tree(const char *seed, const char *temporary, struct vmm_error **err)
{
	if (tree_unprotect_all(seed, err) < 0)
		return -1;
	if (tree_is_within(seed))
		return file_rename_new(seed, temporary, err);
	return tree_private_make(temporary, err) < 0 ? -1 : tree_hide(seed, temporary, err);
}

int seed_take(const char *volume_path, bool tree, const char *temporary, bool *taken, struct vmm_error **err)
{
	vmm_auto_free char *seed = seed_path(volume_path);
	int64_t allocated;
	*taken = seed_usable(volume_path, tree, &allocated) && wait_for_writer(seed);
	if (!*taken)
		return 0;
	return tree ? take_tree(seed, temporary, err) : file_rename_new(seed, temporary, err);
}

int seed_give_back(const char *temporary, const char *volume_path, struct vmm_error **err)
{
	vmm_auto_free char *seed = seed_path(volume_path);
	vmm_auto_json struct json_object *sidecar = NULL;
	if (file_rename_new(temporary, seed, err) < 0)
		return -1;
	sidecar = sidecar_read(seed);
	return sidecar ? sidecar_write(seed, seed, sidecar, err) : 0;
}

int seed_forget(const char *volume_path, struct vmm_error **err)
{
	vmm_auto_free char *seed = seed_path(volume_path), *sidecar = sidecar_path(seed);
	return file_there(seed) ? 0 : file_remove(sidecar, err);
}

/* ---------------------------------------------------------------- all seeds */

/* True if somebody has written to the seed, or has changed its size, since it was kept. */
static bool was_touched(const struct stat *info, struct json_object *sidecar)
{
	vmm_auto_free char *mtime = time_text(&info->st_mtim), *ctime = time_text(&info->st_ctim);
	return !str_same(mtime, json_text(sidecar, "mtime")) || !str_same(ctime, json_text(sidecar, "ctime")) ||
	       (int64_t)info->st_size != json_number(sidecar, "size");
}

static struct json_object *seed_describe(const char *seed, const struct stat *info)
{
	vmm_auto_free char *volume_path = volume_path_of(seed);
	vmm_auto_json struct json_object *sidecar = sidecar_read(seed);
	bool tree = S_ISDIR(info->st_mode);
	if (!sidecar)
		return json_make("path:s place:s state:s ours:b size:i allocated:i kept_us:i", seed, volume_path,
				 "foreign", 0, (int64_t)info->st_size, tree ? 0 : (int64_t)info->st_blocks * BLOCK_SIZE,
				 (int64_t)info->st_mtim.tv_sec * 1000000);
	int64_t kept = json_number(sidecar, "kept_us"), days = json_number(sidecar, "days");
	const char *state = was_touched(info, sidecar) ? "touched" : json_text_or(sidecar, "state", "whole");
	return json_make(
		"path:s place:s guest:s generation:i task:s kind:s home:s state:s ours:b size:i allocated:i kept_us:i "
		"until_us:i",
		seed, volume_path, json_text(sidecar, "guest"), json_number(sidecar, "generation"),
		json_text(sidecar, "task"), json_text(sidecar, "kind"), json_text(sidecar, "home"), state, 1,
		(int64_t)info->st_size,
		tree ? json_number(sidecar, "allocated") : (int64_t)info->st_blocks * BLOCK_SIZE, kept,
		days ? kept + days * DAY_US : 0);
}

static void add_seed(struct json_object *seeds, const char *dir, const char *name)
{
	vmm_auto_free char *seed = str_format("%s/%s", dir, name);
	struct stat info;
	if (look_at(seed, &info))
		json_object_array_add(seeds, seed_describe(seed, &info));
}

static int oldest_first(const void *a, const void *b)
{
	int64_t one = json_number(*(struct json_object *const *)a, "kept_us"),
		other = json_number(*(struct json_object *const *)b, "kept_us");
	return one < other ? -1 : one > other;
}

struct json_object *seeds_list(struct local_node *node)
{
	vmm_auto_json struct json_object *dirs = known_dirs(node);
	struct json_object *seeds = json_object_new_array();
	json_each (item, dirs, "") {
		const char *dir = json_text(item, "");
		DIR *names = dir ? opendir(dir) : NULL;
		for (struct dirent *entry; names && (entry = readdir(names));)
			if (str_starts(entry->d_name, SEED_START) && !str_ends(entry->d_name, SIDECAR_END))
				add_seed(seeds, dir, entry->d_name);
		if (names)
			closedir(names);
	}
	json_object_array_sort(seeds, oldest_first);
	return seeds;
}

/* ---------------------------------------------------------------- seeds are removed for space */

static bool on_device(const char *path, dev_t device)
{
	struct stat info;
	return lstat(path, &info) == 0 && info.st_dev == device;
}

static int64_t free_bytes(const char *dir)
{
	struct statvfs room;
	return statvfs(dir, &room) < 0 ? INT64_MAX : (int64_t)(room.f_bavail * room.f_frsize);
}

/* Removes seeds of the filesystem, oldest first, until `need` bytes are free: those of the guest if `of_guest`, else
 * those of all others. */
static void remove_until_free(struct json_object *seeds, const char *dir, dev_t device, int64_t need, const char *guest,
			      bool of_guest)
{
	json_each (seed, seeds, "") {
		const char *path = json_text(seed, "path");
		vmm_auto_error struct vmm_error *problem = NULL;
		if (free_bytes(dir) >= need)
			return;
		if (!json_true(seed, "ours") || str_same(json_text(seed, "guest"), guest) != of_guest ||
		    !on_device(path, device))
			continue;
		if (seed_remove(seed, &problem) < 0)
			log_warn("%s", problem->message);
		else
			log_info("seed %s was removed, because its space was needed", path);
	}
}

void seeds_make_room(struct local_node *node, const char *volume_path, int64_t need, const char *guest)
{
	vmm_auto_free char *dir = path_dir(volume_path);
	struct stat info;
	if (stat(dir, &info) < 0 || free_bytes(dir) >= need)
		return;
	vmm_auto_json struct json_object *seeds = seeds_list(node);
	remove_until_free(seeds, dir, info.st_dev, need, guest, false);
	remove_until_free(seeds, dir, info.st_dev, need, guest, true);
}

void seeds_count(struct local_node *node, struct json_object *storages)
{
	vmm_auto_json struct json_object *seeds = seeds_list(node);
	json_each (seed, seeds, "") {
		vmm_auto_json struct json_object *volume =
			json_make("target:s type:s path:s", "seed", node->paths->null_root ? "null" : "file",
				  json_text(seed, "path"));
		struct json_object *storage;
		if (json_true(seed, "ours") && storage_at(volume, storages, &storage, NULL) == 0)
			json_put(storage, "seeds:i", json_number(storage, "seeds") + json_number(seed, "allocated"));
	}
}

/* ---------------------------------------------------------------- the operation */

static bool is_pruned(struct json_object *seed, const char *prune)
{
	int64_t until = json_number(seed, "until_us");
	if (!json_true(seed, "ours"))
		return false;
	return !strcmp(prune, "all") || (until && until < clock_now_us());
}

/* Adds "called": "KIND-ID", where the record of the seed's guest has its id. */
static void add_called(struct local_node *node, struct json_object *seed)
{
	vmm_auto_record struct guest_record record = {0};
	const char *guest = json_text(seed, "guest");
	if (!guest || record_read(node->paths->state, guest, &record, NULL) < 0 || !record.kind || !record.id)
		return;
	vmm_auto_free char *called = str_format("%s-%s", record.kind, record.id);
	json_put(seed, "called:s", called);
}

int local_seeds(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *prune = json_text(args, "prune"), *guest = json_text(args, "guest");
	vmm_auto_json struct json_object *seeds = seeds_list(node), *kept = json_object_new_array(),
					 *pruned = json_object_new_array();
	if (prune && strcmp(prune, "all") && strcmp(prune, "old"))
		return error_set(err, VMM_USAGE, "usage", "prune takes all or old, not \"%s\"", prune);
	json_each (seed, seeds, "") {
		if (guest && !str_same(guest, json_text(seed, "guest")))
			continue;
		add_called(node, seed);
		bool gone = prune && is_pruned(seed, prune);
		if (gone && seed_remove(seed, err) < 0)
			return -1;
		json_object_array_add(gone ? pruned : kept, json_object_get(seed));
	}
	*reply = json_make("seeds:O pruned:O", kept, pruned);
	return 0;
}
