/* undo.c: removes things at the end of a task. ABORT, on the target: everything that the made journal says the task has
 * made. GIVE_UP, on the source: the definition and the volumes of a guest that the target owns now. Each step may have
 * been done before, and does nothing then.
 *
 * A `note` here is one record of the made journal.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "node/seeds.h"
#include "storage/volume.h"

static const struct storage_ops *kind_of(struct json_object *note)
{
	const struct storage_ops *ops;
	return storage_of(note, &ops, NULL) < 0 ? NULL : ops;
}

/* When the file was made, in nanoseconds; 0 where the filesystem does not say. It tells the file from a later one that
 * has got the same inode number. */
static int64_t born(const char *path)
{
	struct statx info;
	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &info) < 0 || !(info.stx_mask & STATX_BTIME))
		return 0;
	return info.stx_btime.tv_sec * 1000000000 + info.stx_btime.tv_nsec;
}

struct json_object *local_final_note(const char *file, const char *to, const char *kind, struct vmm_error **err)
{
	struct stat info;
	if (lstat(file, &info) == 0)
		return json_make("made:s path:s kind:s inode:i device:i born:i", "final", to, kind,
				 (int64_t)info.st_ino, (int64_t)info.st_dev, born(file));
	error_errno(err, errno, "volume %s", file);
	return NULL;
}

/* A filesystem may have another device number after a boot, so the time when the file was made is compared instead,
 * where the filesystem says it. */
bool local_same_file(struct json_object *note)
{
	const char *path = json_text(note, "path");
	struct stat info;
	if (lstat(path, &info) < 0 || (int64_t)info.st_ino != json_number(note, "inode"))
		return false;
	return json_number(note, "born") ? born(path) == json_number(note, "born")
					 : (int64_t)info.st_dev == json_number(note, "device");
}

void local_remove_emptied(const char *dir, const char *home)
{
	size_t length = home ? strlen(home) : 0;
	vmm_auto_free char *at = str_copy(dir);
	while (length && str_starts(at, home) && (!at[length] || at[length] == '/') && rmdir(at) == 0 && at[length])
		at[strrchr(at, '/') - at] = 0;
}

static int undo_volume(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	(void)node;
	const struct storage_ops *ops = kind_of(note);
	if (!ops || !ops->remove)
		return error_set(err, VMM_FAILED, "storage-unknown", "volume %s: its kind is not known here",
				 json_text_or(note, "path", "?"));
	return ops->remove(json_text(note, "path"), err);
}

/* An unfinished copy. If it began from a seed and nothing was written since, it becomes that seed again. If it holds
 * enough to save the next attempt some work, it becomes a partial seed. Else, or if that fails, it is removed. */
static int undo_copy(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	const char *path = json_text(note, "path"), *to = json_text(note, "to"), *begun = json_text(note, "seed");
	vmm_auto_free char *written = seed_written(path);
	bool kept = false, private = str_same(json_text(note, "made"), "volume");
	if (!to || !written)
		return undo_volume(node, note, err);
	if (begun && !strcmp(begun, written))
		return seed_give_back(path, to, err);
	vmm_auto_json struct json_object *about = json_make(
		"guest:s task:s kind:s home:s state:s days:i", json_text(note, "guest"), json_text(note, "task"),
		json_text(note, "kind"), json_text(note, "home"), "partial", (int64_t)SEED_PARTIAL_DAYS);
	vmm_auto_error struct vmm_error *problem = NULL;
	if ((begun || seed_bytes(path, json_text(note, "kind")) >= SEED_PARTIAL_LEAST) &&
	    seed_keep(node, path, private, to, about, &kept, &problem) < 0)
		log_warn("%s is not kept as a seed: %s", path, problem->message); /* most often the disk is full */
	return kept ? 0 : undo_volume(node, note, err);
}

static int undo_final(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	return local_same_file(note) ? undo_copy(node, note, err) : 0;
}

static int undo_aside(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	(void)node;
	const char *aside = json_text(note, "path"), *from = json_text(note, "from");
	if (!file_there(aside))
		return 0;
	if (!json_true(note, "private"))
		return file_rename_new(aside, from, err);
	if (tree_is_within(aside))
		return tree_show(aside, from, err);
	rmdir(aside); /* the tree was not moved into it yet */
	return 0;
}

static int undo_file(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	(void)node;
	return file_remove(json_text_or(note, "path", ""), err);
}

static int undo_definition(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	vmm_auto_guest struct local_guest g;
	if (local_guest_open(node, note, &g, err) < 0 || g.ops->destroy(g.host, g.id, err) < 0)
		return -1;
	return g.ops->undefine(g.host, g.id, err);
}

static int undo_aside_definition(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	vmm_auto_guest struct local_guest g;
	if (local_guest_open(node, note, &g, err) < 0 ||
	    g.ops->define(g.host, json_text_or(note, "definition", ""), err) < 0 ||
	    (json_count(note, "moments") &&
	     g.ops->define_moments(g.host, g.id, json_at(note, "moments"), NULL, err) < 0) ||
	    local_own(node, note, true, err) < 0)
		return -1;
	return json_true(note, "autostart") ? g.ops->autostart(g.host, g.id, true, err) : 0;
}

/* The relay of a live migration. Its pid may belong to another process by now: the start time must be the noted one. */
static int undo_relay(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	(void)node, (void)err;
	pid_t pid = (pid_t)json_number(note, "pid");
	uint64_t started = strtoull(json_text_or(note, "started", "0"), NULL, 10);
	if (pid > 1 && started && process_started(pid) == started)
		kill(pid, SIGTERM);
	return 0;
}

/* The directory that was made for the guest's volumes. It stays if it is not empty. */
static int undo_home(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	(void)node, (void)err;
	if (json_text(note, "path"))
		rmdir(json_text(note, "path"));
	return 0;
}

/* What a note says was made, and how that is undone. */
static const struct undo {
	const char *made;
	int (*undo)(struct local_node *node, struct json_object *note, struct vmm_error **err);
} undos[] = {
	{"volume", undo_copy},
	{"final", undo_final},
	{"aside", undo_aside},
	{"definition", undo_definition},
	{"aside-definition", undo_aside_definition},
	{"relay", undo_relay},
	{"home", undo_home},
	{"snapshot", undo_file},
	{"memory-socket", undo_file},
};

static int undo_one(struct local_node *node, struct json_object *note, struct vmm_error **err)
{
	for (size_t i = 0; i < VMM_COUNT(undos); i++)
		if (str_same(undos[i].made, json_text(note, "made")))
			return undos[i].undo(node, note, err);
	return 0;
}

int local_end_relays(struct local_node *node, const char *task, struct vmm_error **err)
{
	struct journal *made;
	if (local_made_open(node, task, &made, err) < 0)
		return -1;
	json_each (note, journal_records(made), "")
		if (str_same(json_text(note, "made"), "relay"))
			undo_relay(node, note, err);
	journal_close(made);
	return 0;
}

/* Calls remove_it for each note of `what`, up to the first failure. */
static int drop(struct local_node *node, const char *task, const char *what,
		int (*remove_it)(struct local_node *, struct json_object *, struct vmm_error **),
		struct vmm_error **err)
{
	struct journal *made;
	int done = 0;
	if (local_made_open(node, task, &made, err) < 0)
		return -1;
	json_each (note, journal_records(made), "")
		if (done == 0 && str_same(json_text(note, "made"), what))
			done = remove_it(node, note, err);
	journal_close(made);
	return done;
}

int local_drop_aside(struct local_node *node, const char *task, struct vmm_error **err)
{
	return drop(node, task, "aside", undo_volume, err);
}

int local_drop_snapshots(struct local_node *node, const char *task, struct vmm_error **err)
{
	return drop(node, task, "snapshot", undo_file, err);
}

/* Undoes all notes, the last one first. A failure does not end it: the first one is the error, and the rest is still
 * tried. */
static int undo_all(struct local_node *node, const char *task, struct vmm_error **err)
{
	struct journal *made;
	if (local_made_open(node, task, &made, err) < 0)
		return -1;
	int done = 0;
	struct json_object *notes = journal_records(made);
	for (size_t i = json_count(notes, ""); i > 0; i--) {
		struct vmm_error *problem = NULL;
		if (undo_one(node, json_object_array_get_idx(notes, i - 1), &problem) < 0) {
			log_warn("%s", problem->message);
			done = -1;
			error_take(err, problem);
		}
	}
	journal_close(made);
	return done;
}

/* The partial seeds of the task on this node, from which the next attempt begins. */
static struct json_object *kept_of(struct local_node *node, const char *task)
{
	vmm_auto_json struct json_object *seeds = seeds_list(node);
	struct json_object *kept = json_object_new_array();
	json_each (seed, seeds, "")
		if (str_same(json_text(seed, "task"), task) && str_same(json_text(seed, "state"), "partial"))
			json_object_array_add(kept, json_object_get(seed));
	return kept;
}

/* The record is ABANDONED on the disk before anything is removed: a commit that arrives later is refused then. */
int local_abort(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = json_text(args, "task"), *guest = json_text(args, "guest");
	vmm_auto_record struct guest_record record = {0};
	if (record_read(node->paths->state, guest, &record, err) < 0)
		return -1;
	if (str_same(record.task, task)) {
		vmm_auto_json struct json_object *to = json_make("task:s guest:s to:s", task, guest, "abandoned");
		vmm_auto_json struct json_object *ignored = NULL;
		if (local_advance(node, to, &ignored, err) < 0)
			return -1;
	}
	vmm_auto_free char *dir = local_task_dir(node, task);
	if (file_there(dir) && undo_all(node, task, err) < 0)
		return -1;
	*reply = json_make("kept:o", kept_of(node, task));
	return local_unlock(node, args, &(struct json_object *){NULL}, err);
}

/* How many days the volume's seed shall stay; 0: until it is pruned; -1: there shall be none. `wanted`: the request
 * asks for seeds. */
static int64_t seed_days(struct local_node *node, const struct plan_volume *volume, bool wanted)
{
	struct json_object *storages = json_at(node->config, "storage"), *storage = NULL;
	if (storages && volume->storage)
		json_object_object_get_ex(storages, volume->storage, &storage);
	int64_t days = json_number(storage, "keep_seed");
	return days > 0 ? days : wanted || json_true(storage, "keep_seed") ? 0 : -1;
}

/* ---------------------------------------------------------------- a volume at the end of a symbolic link
 *
 * It is the file that the link led to when it was copied; the link goes with it. If somebody has changed the link
 * since, both stay: it may lead to another guest's file by now. */

static int check_link(const struct plan_volume *volume, struct vmm_error **err)
{
	vmm_auto_free char *now = realpath(volume->from, NULL);
	bool loose = !now && file_there(volume->from) && file_there(volume->real);
	if (!loose && (!now || !strcmp(now, volume->real)))
		return 0;
	return error_set(err, VMM_FAILED, "volume-odd", "%s was a link to %s and leads elsewhere by now: both stay",
			 volume->from, volume->real);
}

/* Removes the link, and those that it leads to. */
static int remove_links(const char *path, struct vmm_error **err)
{
	vmm_auto_free char *at = str_copy(path);
	char to[PATH_MAX];
	ssize_t length;
	while ((length = readlink(at, to, sizeof(to))) > 0 && length < (ssize_t)sizeof(to)) {
		to[length] = 0;
		vmm_auto_free char *dir = path_dir(at),
				   *next = *to == '/' ? str_copy(to) : str_format("%s/%s", dir, to);
		if (file_remove(at, err) < 0)
			return -1;
		str_replace(&at, next);
	}
	return 0;
}

/* A seed is beside the volume's path. */
static bool can_be_renamed(const char *file, const char *volume_path)
{
	vmm_auto_free char *dir = path_dir(volume_path);
	struct stat one, other;
	return stat(file, &one) == 0 && stat(dir, &other) == 0 && one.st_dev == other.st_dev;
}

/* The target has the volume now: makes it a seed where days >= 0 and that is possible, else removes it. */
static int give_up_volume(struct local_node *node, const struct guest_record *record, const struct plan_volume *volume,
			  int64_t days, struct vmm_error **err)
{
	const char *from = volume->from, *file = volume->real ? volume->real : from;
	bool kept = false;
	if (volume->action != PLAN_COPY)
		return error_set(err, VMM_FAILED, "bad-plan", "volume %s was not copied: it stays", volume->target);
	vmm_auto_free char *opener = volume->tree ? NULL : storage_opener(file);
	if (opener)
		return error_set(err, VMM_FAILED, "volume-in-use", "%s stays: %s uses it", file, opener);
	if (volume->real && (path_check(file, volume->target, err) < 0 || check_link(volume, err) < 0))
		return -1;
	vmm_auto_json struct json_object *moved = json_make("path:s kind:s", file, volume->kind);
	vmm_auto_json struct json_object *about =
		json_make("guest:s generation:i task:s kind:s home:s state:s days:i", record->guest, record->generation,
			  record->task, volume->kind, volume->home, "whole", days);
	if (volume->tree) /* counting again would read the whole tree */
		json_put(about, "allocated:i", volume->allocated);
	if (days >= 0 && can_be_renamed(file, from) && seed_keep(node, file, false, from, about, &kept, err) < 0)
		return -1;
	if (!kept && undo_volume(node, moved, err) < 0)
		return -1;
	return volume->real ? remove_links(from, err) : 0;
}

int local_give_up(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_guest struct local_guest g;
	vmm_auto_record struct guest_record record = {0};
	vmm_auto_json struct json_object *state = NULL;
	if (local_guest_open(node, args, &g, err) < 0 || record_read(node->paths->state, g.key, &record, err) < 0)
		return -1;
	if (record.state != RECORD_COMMITTED || str_same(record.owner, node->base.name))
		return error_set(err, VMM_FAILED, "wrong-state",
				 "guest %s on %s is not another node's: nothing is removed",
				 record.guest ? record_label(&record) : g.id, node->base.name);
	if (g.ops->state(g.host, g.id, &state, err) < 0)
		return -1;
	if (!str_same(json_text(state, "state"), "absent") && !str_same(json_text(state, "state"), "shutoff"))
		return error_set(err, VMM_NEEDS_DECISION, "still-there", "guest %s on %s is %s though it was moved",
				 record_label(&record), node->base.name, json_text_or(state, "state", "?"));
	struct plan_volume *volumes;
	size_t count;
	if (plan_volumes_read(json_at(args, "volumes"), &volumes, &count, err) < 0)
		return -1;
	*reply = json_make("left:o", json_object_new_array());
	struct vmm_error *problem = NULL;
	if (g.ops->undefine(g.host, g.id, &problem) < 0) {
		json_append(*reply, "left", json_object_new_string(problem->message));
		error_clear(&problem);
	}
	for (size_t i = 0; i < count; i++) {
		int64_t days = seed_days(node, &volumes[i], json_true(args, "keep_seed"));
		if (give_up_volume(node, &record, &volumes[i], days, &problem) < 0) {
			json_append(*reply, "left", json_object_new_string(problem->message));
			error_clear(&problem);
		}
		vmm_auto_free char *dir = path_dir(volumes[i].from);
		local_remove_emptied(dir, volumes[i].home);
	}
	plan_volumes_free(volumes, count);
	return 0;
}
