/* volumes.c: the task's volumes on this node - made under temporary names, filled through sessions, given their own names. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "node/seeds.h"
#include "storage/volume.h"

/* The kind that it has here. */
static int kind_here(struct json_object *volume, const struct storage_ops **ops, struct vmm_error **err)
{
	vmm_auto_json struct json_object *here =
		json_make("target:s kind:s", json_text(volume, "target"), json_text(volume, "to_kind"));
	return storage_of(json_text(here, "kind") ? here : volume, ops, err);
}

/* A volume as the plan has it, checked: both places absolute, in one directory, the temporary one of this task. */
static int volume_check(struct json_object *args, const char *task, struct json_object **volume,
			const struct storage_ops **ops, struct vmm_error **err)
{
	*volume = json_at(args, "volume");
	const char *to, *temporary;
	if (json_need(*volume, "to", "volume", &to, err) < 0 ||
	    json_need(*volume, "temporary", "volume", &temporary, err) < 0 || path_check(to, "volume", err) < 0 ||
	    kind_here(*volume, ops, err) < 0)
		return -1;
	vmm_auto_free char *expected = storage_working_path((*ops)->kind, to, task);
	if (strcmp(expected, temporary))
		return error_set(err, VMM_FAILED, "bad-path", "volume %s: %s is not its temporary place", to,
				 temporary);
	return 0;
}

/* The place is a seed of the volume where there is one, else new and empty. Seeds of others give way where there is no room. */
static int make_place(struct local_node *node, const struct storage_ops *ops, struct json_object *volume,
		      const char *guest, bool *taken, int64_t *seed, struct vmm_error **err)
{
	const char *temporary = json_text(volume, "temporary"), *to = json_text(volume, "to");
	int64_t need = json_number(volume, "allocated");
	bool tree = json_true(volume, "tree"), usable = seed_usable(to, tree, seed);
	if (usable && seed_take(to, tree, temporary, taken, err) < 0)
		return -1;
	*seed = *taken ? *seed : 0;
	seeds_make_room(node, to, need - *seed, guest);
	if (*taken)
		return 0;
	vmm_auto_close int fd = ops->allocate(temporary, (uint64_t)json_number(volume, "size"), (uint64_t)need, err);
	return fd < 0 ? -1 : 0;
}

/* The same file whatever becomes of links on the way to it: sessions open a volume where it was made, and nowhere else. */
static char *without_links(const char *path)
{
	vmm_auto_free char *dir = path_dir(path), *real = realpath(dir, NULL);
	return str_format("%s/%s", real ? real : dir, path_base(path));
}

/* The directory of the guest's own that the volume will lie in, or NULL: --targetstorage may send it elsewhere. */
static const char *home_of(struct json_object *volume)
{
	const char *home = json_text(volume, "home"), *to = json_text_or(volume, "to", "");
	return home && str_starts(to, home) && to[strlen(home)] == '/' ? home : NULL;
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

/* It goes with the last that is in it. Where an earlier task has left nothing but seeds there it is ours as well. */
static int make_home(struct local_node *node, const char *task, struct json_object *volume, struct vmm_error **err)
{
	const char *home = home_of(volume);
	if (!home)
		return 0;
	if (path_check(home, "volume", err) < 0)
		return -1;
	if (file_there(home) && !only_seeds_in(home))
		return 0;
	return local_made_note(node, task, json_make("made:s path:s", "home", home), err) < 0
		       ? -1
		       : dir_make(home, 0700, err);
}

/* Nothing is made, and nothing can be set aside: the device that is named is filled, once nobody is known to use it. */
static int take_device(struct local_node *node, const char *task, const struct storage_ops *ops,
		       struct json_object *volume, const char *guest, struct vmm_error **err)
{
	const char *to = json_text(volume, "to");
	if (device_unclaimed(node, to, guest, err) < 0)
		return -1;
	struct json_object *note =
		json_make("made:s path:s real:s kind:s guest:s task:s", "volume", to, to, ops->kind, guest, task);
	if (local_made_note(node, task, note, err) < 0)
		return -1;
	vmm_auto_close int fd = ops->allocate(to, (uint64_t)json_number(volume, "size"), 0, err);
	return fd < 0 ? -1 : 0;
}

int local_allocate(struct local_node *node, struct json_object *args, struct json_object **reply,
		   struct vmm_error **err)
{
	const char *task = local_task(args, err);
	struct json_object *volume;
	const struct storage_ops *ops;
	if (!task || volume_check(args, task, &volume, &ops, err) < 0)
		return -1;
	const char *to = json_text(volume, "to"), *temporary = json_text(volume, "temporary");
	if (!ops->allocate)
		return error_set(err, VMM_BLOCKED, "storage-format", "volume %s: a %s storage cannot be copied to", to,
				 ops->kind);
	if (ops->device) {
		*reply = json_make("begun:b seed:i", 0, (int64_t)0);
		return take_device(node, task, ops, volume, json_text(args, "guest"), err);
	}
	bool replace = json_true(args, "replace");
	if (file_there(to) && !replace)
		return error_set(err, VMM_BLOCKED, "volume-taken", "volume %s is on %s already", to, node->base.name);
	bool resumed = file_there(temporary), taken = false;
	int64_t seed = 0;
	if (!resumed) {
		if (make_home(node, task, volume, err) < 0)
			return -1;
		vmm_auto_free char *real = without_links(temporary), *name = seed_path(to),
				   *written = seed_written(name);
		const char *guest = json_text(args, "guest");
		struct json_object *note =
			json_make("made:s path:s real:s kind:s to:s guest:s task:s seed:s home:s", "volume", temporary,
				  real, ops->kind, to, guest, task, written, home_of(volume));
		if (local_made_note(node, task, note, err) < 0 ||
		    make_place(node, ops, volume, guest, &taken, &seed, err) < 0)
			return -1;
	}
	*reply = json_make("begun:b seed:i", (int)(resumed || taken), seed);
	return 0;
}

/* Moves what --replace replaces aside, journaled, so that it can go back. */
static int set_aside(struct local_node *node, const char *task, const char *path, const struct storage_ops *ops,
		     struct vmm_error **err)
{
	vmm_auto_free char *dir = path_dir(path);
	vmm_auto_free char *aside = str_format("%s/.vmmigrate-aside-%s-%s", dir, task, path_base(path));
	if (!file_there(path))
		return 0;
	if (local_made_note(node, task, json_make("made:s path:s from:s kind:s", "aside", aside, path, ops->kind),
			    err) < 0)
		return -1;
	return file_rename_new(path, aside, err);
}

/* Called again after a lost reply: the file has its name already. Another's file of that name is not ours. */
static int published_before(struct local_node *node, const char *task, const char *to, struct vmm_error **err)
{
	struct journal *made;
	bool ours = false;
	if (local_made_open(node, task, &made, err) < 0)
		return -1;
	json_each (record, journal_records(made), "")
		ours |= str_same(json_text(record, "made"), "final") && str_same(json_text(record, "path"), to) &&
			local_same_file(record);
	journal_close(made);
	return ours ? 0 : error_set(err, VMM_FAILED, "volume-missing", "volume %s: its copy is gone", to);
}

int local_publish(struct local_node *node, struct json_object *args, struct json_object **reply, struct vmm_error **err)
{
	const char *task = local_task(args, err);
	struct json_object *volume;
	const struct storage_ops *ops;
	(void)reply;
	if (!task || volume_check(args, task, &volume, &ops, err) < 0)
		return -1;
	const char *to = json_text(volume, "to"), *temporary = json_text(volume, "temporary");
	if (ops->device)
		return ops->publish(temporary, to, NULL, err);
	if (!file_there(temporary))
		return published_before(node, task, to, err);
	if (json_true(args, "replace") && set_aside(node, task, to, ops, err) < 0)
		return -1;
	struct json_object *note = local_final_note(temporary, to, ops->kind, err);
	if (!note)
		return -1;
	json_put(note, "to:s guest:s task:s", to, json_text(args, "guest"), task);
	if (local_made_note(node, task, note, err) < 0)
		return -1;
	struct plan_volume planned;
	if (plan_volume_read(volume, &planned, err) < 0)
		return -1;
	int done = ops->publish(temporary, to, &planned.owner, err);
	plan_volume_free(&planned);
	if (done < 0)
		return -1;
	return seed_forget(to, err);
}

/* ---------------------------------------------------------------- sessions */

struct serve {
	const struct node_paths *paths;
	char *task;
	struct stream *stream;
};

/* The only way from a peer to storage: a volume is opened if, and only if, this node has made it for the task. */
static int open_made(void *context, const char *name, uint64_t size, struct vmm_error **err)
{
	struct serve *serve = context;
	(void)size;
	vmm_auto_free char *path = str_format("%s/tasks/%s/made", serve->paths->state, serve->task);
	struct journal *made;
	if (journal_open(path, false, &made, err) < 0)
		return -1;
	int fd = -2;
	json_each (record, journal_records(made), "") {
		if (fd != -2 || !str_same(json_text(record, "made"), "volume") ||
		    !str_same(json_text(record, "path"), name))
			continue;
		const struct storage_ops *ops;
		vmm_auto_json struct json_object *volume = json_make("kind:s", json_text(record, "kind"));
		fd = storage_of(volume, &ops, err) < 0 ? -1 : ops->open(json_text_or(record, "real", name), true, err);
		/* As long as a session has it open, it is not taken for the beginning of another copy (seeds.c). */
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

/* Within one process (two nodes of a test) a thread is the far end. It has ended when the session is closed: who forks or frees
 * the node afterwards does it alone. */
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
	(void)tls; /* nobody is between two ends of one process */
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
	const char *what, *dir, *token = json_text(args, "token");
	if (json_need(args, "do", "call", &what, err) < 0 || json_need(args, "dir", "call", &dir, err) < 0 ||
	    path_check(dir, "storage", err) < 0)
		return -1;
	if (!strcmp(what, "place")) {
		vmm_auto_free char *placed = NULL;
		if (storage_token_write(dir, &placed, err) < 0)
			return -1;
		*reply = json_make("token:s", placed);
		return 0;
	}
	if (name_check(token, "token", err) < 0)
		return -1;
	if (!strcmp(what, "remove"))
		return storage_token_remove(dir, token, err);
	bool there;
	if (storage_token_there(dir, token, &there, err) < 0)
		return -1;
	*reply = json_make("there:b", (int)there);
	return 0;
}
