/* seeds.c: copies of volumes that stay on this node so that the next copy sends only what differs - of a volume that has moved
 * away ("whole"), or of a copy that was cut in the middle ("partial").
 *
 * A seed lies beside the place of its volume, as ".vmmigrate-seed-NAME"; a sidecar, ".vmmigrate-seed-NAME.json", says whose it is.
 * What a seed holds is never trusted: a copy that begins from it reads and compares all of it. So a seed that does not fit
 * any more costs time, and nothing else. A file of such a name without a fitting sidecar is not ours: it may be begun from
 * (somebody has brought the image by other means), but is never removed.
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

char *seed_path(const char *place)
{
	vmm_auto_free char *dir = path_dir(place);
	return str_format("%s/" SEED_START "%s", dir, path_base(place));
}

static char *sidecar_path(const char *seed)
{
	return str_format("%s" SIDECAR_END, seed);
}

/* Where the seed's volume belongs. */
static char *place_of(const char *seed)
{
	vmm_auto_free char *dir = path_dir(seed);
	return str_format("%s/%s", dir, path_base(seed) + strlen(SEED_START));
}

/* Both names have to fit into a directory's entry, and a seed must not look like a sidecar. */
static bool can_be_named(const char *place)
{
	const char *base = path_base(place);
	return strlen(base) <= NAME_MAX - strlen(SEED_START) - strlen(SIDECAR_END) && !str_ends(base, SIDECAR_END);
}

static char *stamp(const struct timespec *time)
{
	return str_format("%lld.%09ld", (long long)time->tv_sec, time->tv_nsec);
}

/* A file, or the root of a tree. */
static bool is_volume(const char *path, struct stat *info)
{
	return lstat(path, info) == 0 && (S_ISREG(info->st_mode) || S_ISDIR(info->st_mode));
}

char *seed_written(const char *path)
{
	struct stat info;
	return is_volume(path, &info) ? stamp(&info.st_mtim) : NULL;
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

/* Numbers that can be reckoned with, whoever has written them. */
static void keep_within(struct json_object *sidecar, const char *key, int64_t most)
{
	int64_t number = json_number(sidecar, key);
	if (number < 0 || number > most)
		json_object_object_add(sidecar, key, json_object_new_int64(number < 0 ? 0 : most));
}

/* The sidecar, where it is of this very file; else NULL. */
static struct json_object *sidecar_read(const char *seed)
{
	vmm_auto_free char *path = sidecar_path(seed), *text = NULL;
	vmm_auto_json struct json_object *sidecar = NULL;
	if (file_read(path, SIDECAR_MOST, &text, NULL, NULL) < 0 || json_parse(text, -1, path, &sidecar, NULL) < 0 ||
	    json_number(sidecar, "version") != SEED_VERSION)
		return NULL;
	json_put(sidecar, "path:s", seed);
	keep_within(sidecar, "days", SEED_DAYS_MOST);
	keep_within(sidecar, "kept_us", INT64_MAX / 2);
	keep_within(sidecar, "allocated", SEED_BYTES_MOST);
	return local_same_file(sidecar) ? json_object_get(sidecar) : NULL;
}

/* `about` has "guest", "generation", "state", "task", "kind" and "days", maybe "allocated"; what the file is comes from `file`. */
static int sidecar_write(const char *file, const char *seed, struct json_object *about, struct vmm_error **err)
{
	struct stat info;
	vmm_auto_json struct json_object *sidecar =
		local_final_note(file, seed, json_text_or(about, "kind", "dir"), err);
	if (!sidecar)
		return -1;
	if (lstat(file, &info) < 0)
		return error_errno(err, errno, "volume %s", file);
	vmm_auto_free char *mtime = stamp(&info.st_mtim), *ctime = stamp(&info.st_ctim), *path = sidecar_path(seed);
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

/* `seed` is its sidecar, or its description. */
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
	if (str_same(home, dir))
		rmdir(home); /* where nothing else is in it */
	return 0;
}

/* ---------------------------------------------------------------- where there may be seeds */

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
	vmm_auto_free char *guard = str_format("%s/.seeds.lock", node->paths->state);
	vmm_auto_close int lock = file_lock(guard, 10000, err);
	if (lock < 0)
		return -1;
	vmm_auto_json struct json_object *dirs = known_dirs(node);
	if (json_has(dirs, "", dir))
		return 0;
	json_object_array_add(dirs, json_object_new_string(dir));
	return file_write(path, json_line(dirs), strlen(json_line(dirs)), 0600, err);
}

/* ---------------------------------------------------------------- one seed: kept, taken, given back */

/* A seed of ours gives way to a newer one; a stranger's file stays. */
static int clear_the_name(const char *seed, bool *clear, struct vmm_error **err)
{
	vmm_auto_json struct json_object *sidecar = sidecar_read(seed);
	*clear = !file_there(seed) || sidecar;
	return sidecar ? seed_remove(sidecar, err) : 0;
}

/* The sidecar is there before the seed is, so that a seed of ours is known to be ours whenever the power goes. */
int seed_keep(struct local_node *node, const char *file, const char *place, struct json_object *about, bool *kept,
	      struct vmm_error **err)
{
	vmm_auto_free char *seed = seed_path(place);
	struct stat info;
	*kept = false;
	bool clear = is_volume(file, &info) && can_be_named(place);
	if (clear && clear_the_name(seed, &clear, err) < 0)
		return -1;
	if (!clear)
		return 0;
	if (!json_at(about, "allocated"))
		json_put(about, "allocated:i", seed_bytes(file, json_text_or(about, "kind", "dir")));
	if (remember_dir(node, seed, err) < 0 || sidecar_write(file, seed, about, err) < 0 ||
	    file_rename_new(file, seed, err) < 0)
		return -1;
	/* The name was a change too: it has moved the ctime. */
	sidecar_write(seed, seed, about, NULL);
	*kept = true;
	return 0;
}

/* The session of a task that was given up may still be writing to it: as long as it does it holds this lock. */
static bool is_still(const char *seed)
{
	vmm_auto_close int fd = open(seed, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int64_t end = clock_steady_ms() + WRITER_WAIT_MS;
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (clock_steady_ms() >= end)
			return false;
		clock_sleep_ms(50);
	}
	return fd >= 0;
}

/* A second name of the same file would see what we write. What a tree takes was counted when it was kept. */
bool seed_usable(const char *place, bool tree, int64_t *allocated)
{
	vmm_auto_free char *seed = seed_path(place);
	struct stat info;
	*allocated = 0;
	if (!can_be_named(place) || !is_volume(seed, &info) || !!S_ISDIR(info.st_mode) != tree)
		return false;
	vmm_auto_json struct json_object *sidecar = tree ? sidecar_read(seed) : NULL;
	*allocated = tree ? json_number(sidecar, "allocated") : (int64_t)info.st_blocks * BLOCK_SIZE;
	return tree || info.st_nlink == 1;
}

int seed_take(const char *place, bool tree, const char *temporary, bool *taken, struct vmm_error **err)
{
	vmm_auto_free char *seed = seed_path(place);
	int64_t allocated;
	*taken = seed_usable(place, tree, &allocated) && is_still(seed);
	return *taken ? file_rename_new(seed, temporary, err) : 0;
}

int seed_give_back(const char *temporary, const char *place, struct vmm_error **err)
{
	vmm_auto_free char *seed = seed_path(place), *path = sidecar_path(seed), *text = NULL;
	vmm_auto_json struct json_object *sidecar = NULL;
	if (file_rename_new(temporary, seed, err) < 0)
		return -1;
	sidecar = sidecar_read(seed);
	return sidecar ? sidecar_write(seed, seed, sidecar, err) : 0;
}

int seed_forget(const char *place, struct vmm_error **err)
{
	vmm_auto_free char *seed = seed_path(place), *sidecar = sidecar_path(seed);
	return file_there(seed) ? 0 : file_remove(sidecar, err);
}

/* ---------------------------------------------------------------- all seeds */

/* Somebody has written to the seed since it was kept, or has given it another size. */
static bool was_touched(const struct stat *info, struct json_object *sidecar)
{
	vmm_auto_free char *mtime = stamp(&info->st_mtim), *ctime = stamp(&info->st_ctim);
	return !str_same(mtime, json_text(sidecar, "mtime")) || !str_same(ctime, json_text(sidecar, "ctime")) ||
	       (int64_t)info->st_size != json_number(sidecar, "size");
}

static struct json_object *seed_describe(const char *seed, const struct stat *info)
{
	vmm_auto_free char *place = place_of(seed);
	vmm_auto_json struct json_object *sidecar = sidecar_read(seed);
	bool tree = S_ISDIR(info->st_mode);
	if (!sidecar)
		return json_make("path:s place:s state:s ours:b size:i allocated:i kept_us:i", seed, place, "foreign",
				 0, (int64_t)info->st_size, tree ? 0 : (int64_t)info->st_blocks * BLOCK_SIZE,
				 (int64_t)info->st_mtim.tv_sec * 1000000);
	int64_t kept = json_number(sidecar, "kept_us"), days = json_number(sidecar, "days");
	const char *state = was_touched(info, sidecar) ? "touched" : json_text_or(sidecar, "state", "whole");
	return json_make(
		"path:s place:s guest:s generation:i task:s kind:s home:s state:s ours:b size:i allocated:i kept_us:i "
		"until_us:i",
		seed, place, json_text(sidecar, "guest"), json_number(sidecar, "generation"),
		json_text(sidecar, "task"), json_text(sidecar, "kind"), json_text(sidecar, "home"), state, 1,
		(int64_t)info->st_size,
		tree ? json_number(sidecar, "allocated") : (int64_t)info->st_blocks * BLOCK_SIZE, kept,
		days ? kept + days * DAY_US : 0);
}

static void add_seed(struct json_object *seeds, const char *dir, const char *name)
{
	vmm_auto_free char *seed = str_format("%s/%s", dir, name);
	struct stat info;
	if (is_volume(seed, &info))
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

/* ---------------------------------------------------------------- seeds give way */

static bool on_device(const char *path, dev_t device)
{
	struct stat info;
	return lstat(path, &info) == 0 && info.st_dev == device;
}

static int64_t free_in(const char *dir)
{
	struct statvfs room;
	return statvfs(dir, &room) < 0 ? INT64_MAX : (int64_t)(room.f_bavail * room.f_frsize);
}

/* Removes seeds of the filesystem, oldest first, until so much is free; those of the guest only where `of_guest`. */
static void give_way(struct json_object *seeds, const char *dir, dev_t device, int64_t need, const char *guest,
		     bool of_guest)
{
	json_each (seed, seeds, "") {
		const char *path = json_text(seed, "path");
		vmm_auto_error struct vmm_error *problem = NULL;
		if (free_in(dir) >= need)
			return;
		if (!json_true(seed, "ours") || str_same(json_text(seed, "guest"), guest) != of_guest ||
		    !on_device(path, device))
			continue;
		if (seed_remove(seed, &problem) < 0)
			log_warn("%s", problem->message);
		else
			log_info("seed %s has given way", path);
	}
}

void seeds_make_room(struct local_node *node, const char *place, int64_t need, const char *guest)
{
	vmm_auto_free char *dir = path_dir(place);
	struct stat info;
	if (stat(dir, &info) < 0 || free_in(dir) >= need)
		return;
	vmm_auto_json struct json_object *seeds = seeds_list(node);
	give_way(seeds, dir, info.st_dev, need, guest, false);
	give_way(seeds, dir, info.st_dev, need, guest, true);
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

static bool shall_go(struct json_object *seed, const char *prune)
{
	int64_t until = json_number(seed, "until_us");
	if (!json_true(seed, "ours"))
		return false;
	return !strcmp(prune, "all") || (until && until < clock_now_us());
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
		bool gone = prune && shall_go(seed, prune);
		if (gone && seed_remove(seed, err) < 0)
			return -1;
		json_object_array_add(gone ? pruned : kept, json_object_get(seed));
	}
	*reply = json_make("seeds:O pruned:O", kept, pruned);
	return 0;
}
