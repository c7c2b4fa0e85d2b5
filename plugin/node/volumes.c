/* volumes.c: the task's volumes on this node - made under temporary paths, filled through sessions, given their final
 * paths. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/stat.h>

#include "node/seeds.h"
#include "storage/volume.h"

/* A volume of the plan that this node is to make or to publish for the task. */
struct asked {
	struct plan_volume volume;
	const struct storage_ops *ops; /* of the kind that it has on this node */
	const char *task, *guest;      /* borrowed from the arguments */
	bool replace;
};
#define vmm_auto_asked __attribute__((cleanup(asked_free)))

static void asked_free(struct asked *asked)
{
	plan_volume_free(&asked->volume);
}

static int check_asked(struct asked *asked, struct vmm_error **err)
{
	const struct plan_volume *volume = &asked->volume;
	if (volume->action != PLAN_COPY)
		return error_set(err, VMM_FAILED, "bad-plan", "volume %s of the plan is not to be copied",
				 volume->target);
	asked->ops = storage_kind_of(volume->to_kind, volume->target, err);
	if (!asked->ops)
		return -1;
	vmm_auto_free char *expected = storage_working_path(asked->ops->kind, volume->to, asked->task);
	return strcmp(expected, volume->temporary)
		       ? error_set(err, VMM_FAILED, "bad-path", "volume %s: %s is not its temporary path", volume->to,
				   volume->temporary)
		       : 0;
}

/* Reads and checks the arguments of ALLOCATE and PUBLISH. The temporary path must be the one that belongs to the
 * volume's path and to the task: error "bad-path". */
static int asked_read(struct json_object *args, struct asked *asked, struct vmm_error **err)
{
	*asked = (struct asked){.task = json_text(args, "task"),
				.guest = json_text(args, "guest"),
				.replace = json_true(args, "replace")};
	if (plan_volume_read(json_at(args, "volume"), &asked->volume, err) < 0)
		return -1;
	return check_asked(asked, err);
}

/* ---------------------------------------------------------------- allocate */

/* The file, or the tree, that is copied is there. */
static bool copy_is_there(const struct asked *asked)
{
	const char *temporary = asked->volume.temporary;
	return asked->ops->tree ? tree_is_within(temporary) : file_there(temporary);
}

/* Makes the volume under its temporary path: from a seed, if there is one (*taken; *seed: bytes in it), else new and
 * empty. If there is too little room, seeds are removed, those of other guests first. */
static int make_volume(struct local_node *node, const struct asked *asked, bool *taken, int64_t *seed,
		       struct vmm_error **err)
{
	const struct plan_volume *volume = &asked->volume;
	bool usable = seed_usable(volume->to, volume->tree, seed);
	if (usable && seed_take(volume->to, volume->tree, volume->temporary, taken, err) < 0)
		return -1;
	*seed = *taken ? *seed : 0;
	seeds_make_room(node, volume->to, volume->allocated - *seed, asked->guest);
	if (*taken)
		return 0;
	vmm_auto_close int fd =
		asked->ops->allocate(volume->temporary, (uint64_t)volume->size, (uint64_t)volume->allocated, err);
	return fd < 0 ? -1 : 0;
}

/* The path with all links in its directory resolved. Sessions open the volume under this path: they reach the file that
 * was made even if somebody has changed such a link since. */
static char *without_links(const char *path)
{
	vmm_auto_free char *dir = path_dir(path), *real = realpath(dir, NULL);
	return str_format("%s/%s", real ? real : dir, path_base(path));
}

/* The directory that a tree has on a storage, or NULL; belongs to the caller. */
static char *own_directory(const struct asked *asked)
{
	const char *id = strchr(asked->guest, '-');
	char *dir = path_dir(asked->volume.to);
	if (id && tree_is_own_directory(dir, id + 1, asked->volume.target))
		return dir;
	free(dir);
	return NULL;
}

/* The directory of the guest's own that the volume will be in, or NULL; belongs to the caller. */
static char *home_of(const struct asked *asked)
{
	const char *home = asked->volume.home, *to = asked->volume.to;
	bool within = home && str_starts(to, home) && to[strlen(home)] == '/';
	return within ? str_copy(home) : own_directory(asked);
}

static bool only_seeds_in(const char *directory)
{
	vmm_auto_json struct json_object *names = NULL;
	if (dir_list(directory, &names, NULL) < 0)
		return false;
	json_each (name, names, "")
		if (!str_starts(json_text_or(name, "", ""), ".vmmigrate-seed-"))
			return false;
	return true;
}

/* Makes a directory of the guest's own and notes it in the made journal, so that an abort removes it once it is empty.
 * A directory in which there is nothing but seeds is noted too: an earlier task has made it. */
static int make_own(struct local_node *node, const struct asked *asked, const char *dir, struct vmm_error **err)
{
	if (file_there(dir) && !only_seeds_in(dir))
		return 0;
	if (local_made_note(node, asked->task, json_make("made:s path:s", "home", dir), err) < 0 ||
	    dir_make(dir, 0700, err) < 0)
		return -1;
	/* LXC enters the directory of a tree as the container's root, when it mounts the tree. */
	vmm_auto_free char *own = own_directory(asked);
	uid_t owner = asked->volume.root_uid > 0 ? (uid_t)asked->volume.root_uid : 0;
	return str_same(own, dir) && lchown(dir, owner, (gid_t)-1) < 0
		       ? error_errno(err, errno, "set the owner of %s", dir)
		       : 0;
}

/* The directory of the guest's own that the volume will be in, and those between that and the volume. */
static int make_home(struct local_node *node, const struct asked *asked, struct vmm_error **err)
{
	vmm_auto_free char *home = home_of(asked), *dir = path_dir(asked->volume.to);
	if (!home)
		return 0;
	if (path_check(home, "volume", err) < 0)
		return -1;
	for (size_t end = strlen(home); end <= strlen(dir); end += 1 + strcspn(dir + end + 1, "/")) {
		vmm_auto_free char *part = str_format("%.*s", (int)end, dir);
		if (make_own(node, asked, part, err) < 0)
			return -1;
		if (!dir[end])
			break;
	}
	return 0;
}

/* A block device is not made, and cannot be set aside: the device at the volume's path is filled, unless this system or
 * a guest uses it. */
static int take_device(struct local_node *node, const struct asked *asked, struct vmm_error **err)
{
	const char *to = asked->volume.to;
	if (device_unclaimed(node, to, asked->guest, err) < 0)
		return -1;
	struct json_object *note =
		json_make("made:s path:s real:s kind:s guest:s task:s size:i format:s", "volume", to, to,
			  asked->ops->kind, asked->guest, asked->task, (int64_t)asked->volume.size, "raw");
	if (local_made_note(node, asked->task, note, err) < 0)
		return -1;
	vmm_auto_close int fd = asked->ops->allocate(to, (uint64_t)asked->volume.size, 0, err);
	return fd < 0 ? -1 : 0;
}

/* Notes in the made journal what is about to be made. */
static int note_volume(struct local_node *node, const struct asked *asked, struct vmm_error **err)
{
	const struct plan_volume *volume = &asked->volume;
	vmm_auto_free char *real = without_links(volume->temporary), *seed = seed_path(volume->to);
	vmm_auto_free char *written = seed_written(seed), *home = home_of(asked);
	return local_made_note(node, asked->task,
			       json_make("made:s path:s real:s kind:s to:s guest:s task:s seed:s home:s size:i "
					 "format:s",
					 "volume", volume->temporary, real, asked->ops->kind, volume->to, asked->guest,
					 asked->task, written, home, (int64_t)volume->size, volume->format),
			       err);
}

int local_allocate(struct local_node *node, struct json_object *args, struct json_object **reply,
		   struct vmm_error **err)
{
	vmm_auto_asked struct asked asked;
	if (asked_read(args, &asked, err) < 0)
		return -1;
	const struct plan_volume *volume = &asked.volume;
	if (!asked.ops->allocate)
		return error_set(err, VMM_BLOCKED, "storage-format", "volume %s: a %s storage cannot be copied to",
				 volume->to, asked.ops->kind);
	if (asked.ops->device) {
		*reply = json_make("begun:b seed:i", 0, (int64_t)0);
		return take_device(node, &asked, err);
	}
	if (local_place_check(node, volume->to, err) < 0)
		return -1;
	if (file_there(volume->to) && !asked.replace)
		return error_set(err, VMM_BLOCKED, "volume-taken", "volume %s is on %s already", volume->to,
				 node->base.name);
	/* If the copy is there, this call is a repetition: its first reply was lost. */
	bool resumed = copy_is_there(&asked), taken = false;
	int64_t seed = 0;
	if (!resumed && (make_home(node, &asked, err) < 0 || note_volume(node, &asked, err) < 0 ||
			 make_volume(node, &asked, &taken, &seed, err) < 0))
		return -1;
	*reply = json_make("begun:b seed:i", (int)(resumed || taken), seed);
	return 0;
}

/* ---------------------------------------------------------------- publish */

/* Renames the file that is at the volume's path, if any, so that an abort can give it its name again. */
static int set_aside(struct local_node *node, const struct asked *asked, struct vmm_error **err)
{
	const char *path = asked->volume.to;
	vmm_auto_free char *dir = path_dir(path);
	vmm_auto_free char *aside = str_format("%s/.vmmigrate-aside-%s-%s", dir, asked->task, path_base(path));
	struct stat info;
	if (lstat(path, &info) < 0)
		return 0;
	bool tree = S_ISDIR(info.st_mode);
	struct json_object *note =
		json_make("made:s path:s from:s kind:s private:b", "aside", aside, path, asked->ops->kind, (int)tree);
	if (local_made_note(node, asked->task, note, err) < 0)
		return -1;
	if (!tree)
		return file_rename_new(path, aside, err);
	return tree_private_make(aside, err) < 0 ? -1 : tree_hide(path, aside, err);
}

/* The temporary file is gone. If this call is a repetition, the volume has its final path already; a file that somebody
 * else has put there is not taken for it: error "volume-missing". */
static int published_before(struct local_node *node, const struct asked *asked, struct vmm_error **err)
{
	const char *to = asked->volume.to;
	struct journal *made;
	bool ours = false;
	if (local_made_open(node, asked->task, &made, err) < 0)
		return -1;
	json_each (record, journal_records(made), "")
		ours |= str_same(json_text(record, "made"), "final") && str_same(json_text(record, "path"), to) &&
			local_same_file(record);
	journal_close(made);
	if (ours && asked->ops->tree)
		rmdir(asked->volume.temporary); /* which the interrupted call has left empty */
	return ours ? 0 : error_set(err, VMM_FAILED, "volume-missing", "volume %s: its copy is gone", to);
}

static int note_final(struct local_node *node, const struct asked *asked, struct vmm_error **err)
{
	const struct plan_volume *volume = &asked->volume;
	vmm_auto_free char *tree = tree_within(volume->temporary);
	struct json_object *note =
		local_final_note(asked->ops->tree ? tree : volume->temporary, volume->to, asked->ops->kind, err);
	if (!note)
		return -1;
	json_put(note, "to:s guest:s task:s", volume->to, asked->guest, asked->task);
	return local_made_note(node, asked->task, note, err);
}

int local_publish(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	vmm_auto_asked struct asked asked;
	(void)reply;
	if (asked_read(args, &asked, err) < 0)
		return -1;
	const struct plan_volume *volume = &asked.volume;
	if (!asked.ops->device && !copy_is_there(&asked))
		return published_before(node, &asked, err);
	if (!asked.ops->device &&
	    ((asked.replace && set_aside(node, &asked, err) < 0) || note_final(node, &asked, err) < 0))
		return -1;
	if (asked.ops->publish(volume->temporary, volume->to, &volume->owner, err) < 0)
		return -1;
	return asked.ops->device ? 0 : seed_forget(volume->to, err);
}

/* ---------------------------------------------------------------- sessions */

struct serve {
	const struct node_paths *paths;
	char *task;
	struct stream *stream;
};

/* May a session give the volume of that record so many bytes? The table of its leaves needs memory in proportion, so a
 * peer is believed up to the plan's size only. Images of other formats than raw grow while their guest runs, but not
 * beyond what their filesystem holds. */
static int check_size(struct json_object *record, uint64_t size, struct vmm_error **err)
{
	const char *path = json_text_or(record, "real", json_text_or(record, "path", ""));
	uint64_t most = (uint64_t)json_number(record, "size");
	struct statvfs room;
	if (!str_same(json_text(record, "format"), "raw") && statvfs(path, &room) == 0)
		most += (uint64_t)room.f_blocks * room.f_frsize;
	if (size <= most)
		return 0;
	return error_set(err, VMM_FAILED, "too-large",
			 "volume %s: the source has announced %llu bytes, planned were %llu", path,
			 (unsigned long long)size, (unsigned long long)most);
}

/* Opens a volume for a session. A peer reaches storage in this way only, and only volumes that this node has noted in
 * the task's made journal. */
static int open_made(void *context, const char *name, uint64_t size, struct vmm_error **err)
{
	struct serve *serve = context;
	vmm_auto_free char *path = str_format("%s/tasks/%s/made", serve->paths->state, serve->task);
	struct journal *made;
	if (journal_open(path, false, &made, err) < 0)
		return -1;
	int fd = -2;
	json_each (record, journal_records(made), "") {
		if (fd != -2 || !str_same(json_text(record, "made"), "volume") ||
		    !str_same(json_text(record, "path"), name))
			continue;
		const struct storage_ops *ops = storage_kind_of(json_text(record, "kind"), name, err);
		if (ops && !ops->open)
			continue; /* a tree: it is not copied by sessions */
		fd = ops && check_size(record, size, err) == 0
			     ? ops->open(json_text_or(record, "real", name), true, err)
			     : -1;
		/* While a session has the volume open, seeds.c does not give it to another task as a seed. */
		if (fd >= 0)
			flock(fd, LOCK_SH | LOCK_NB);
	}
	journal_close(made);
	return fd == -2
		       ? error_set(err, VMM_FAILED, "not-ours", "volume %s was not made for task %s", name, serve->task)
		       : fd;
}

int local_serve(const struct node_paths *paths, const char *task, struct stream *stream, struct vmm_error **err)
{
	if (name_check(task, "task", err) < 0)
		return -1;
	struct serve serve = {.paths = paths, .task = (char *)task, .stream = stream};
	return copy_serve(stream, open_made, &serve, err);
}

/* A session within one process, for tests that run two nodes in it: a thread serves the far end. Closing the session
 * waits for the thread, so that nothing runs beside a caller that forks or frees the node afterwards. */
struct near_session {
	struct stream base;
	struct stream *near, *far;
	pthread_t thread;
	const struct node_paths *paths;
	char *task;
};

static ssize_t near_read(struct stream *s, void *data, size_t length, int wait_ms, struct vmm_error **err)
{
	struct stream *near = ((struct near_session *)s)->near;
	return near->ops->read(near, data, length, wait_ms, err);
}

static int near_write(struct stream *s, const void *data, size_t length, struct vmm_error **err)
{
	struct stream *near = ((struct near_session *)s)->near;
	return near->ops->write(near, data, length, err);
}

static void near_finish(struct stream *s)
{
	stream_finish(((struct near_session *)s)->near);
}

static void near_free(struct near_session *session)
{
	free(session->task);
	free(session);
}

static void near_close(struct stream *s)
{
	struct near_session *session = (struct near_session *)s;
	stream_close(session->near);
	pthread_join(session->thread, NULL);
	near_free(session);
}

static void *far_end(void *context)
{
	struct near_session *session = context;
	local_serve(session->paths, session->task, session->far, NULL);
	stream_close(session->far);
	return NULL;
}

int local_session(struct vmm_node *node, const char *task, bool tls, struct stream **result, struct vmm_error **err)
{
	(void)tls; /* both ends are in this process */
	static const struct stream_ops ops = {
		.read = near_read, .write = near_write, .finish = near_finish, .close = near_close};
	struct stream *pair[2];
	if (stream_pair(pair, err) < 0)
		return -1;
	struct near_session *session = mem_zero(sizeof(*session));
	*session = (struct near_session){.base.ops = &ops,
					 .near = pair[0],
					 .far = pair[1],
					 .paths = ((struct local_node *)node)->paths,
					 .task = str_copy(task)};
	int number = pthread_create(&session->thread, NULL, far_end, session);
	if (number) {
		stream_close(pair[0]);
		stream_close(pair[1]);
		near_free(session);
		return error_errno(err, number, "begin a session");
	}
	*result = &session->base;
	return 0;
}

/* ---------------------------------------------------------------- proof of sharing */

int local_token(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	(void)node;
	const char *what = json_text(args, "do"), *dir = json_text(args, "dir"), *token = json_text(args, "token");
	if (!strcmp(what, "write")) {
		vmm_auto_free char *written = NULL;
		if (storage_token_write(dir, &written, err) < 0)
			return -1;
		*reply = json_make("token:s", written);
		return 0;
	}
	if (!strcmp(what, "remove"))
		return storage_token_remove(dir, token, err);
	bool there;
	if (storage_token_there(dir, token, &there, err) < 0)
		return -1;
	*reply = json_make("there:b", (int)there);
	return 0;
}
