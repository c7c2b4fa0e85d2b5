/* steps-volumes.c: the steps that bring volumes over - prepare, copy, verify, publish. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/engine.h"
#include "engine/steps.h"
#include "storage/storage.h"

static size_t place_of(struct migration *m, struct json_object *volume)
{
	size_t place = 0;
	json_each (one, m->plan, "volumes") {
		if (one == volume)
			return place;
		place++;
	}
	abort();
}

static struct copy_leaves *leaves_of(struct migration *m, struct json_object *volume)
{
	if (!m->leaves)
		m->leaves = mem_zero(json_count(m->plan, "volumes") * sizeof(*m->leaves));
	return &m->leaves[place_of(m, volume)];
}

/* What lies at the volume's place goes aside where it was asked for, or where it is a leftover of ours. */
static struct json_object *place_arguments(struct migration *m, struct json_object *volume)
{
	bool replace = json_true(m->request, "options.replace") || json_true(volume, "set_aside");
	return json_make("volume:O replace:b", volume, (int)replace);
}

int step_prepare(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	return migration_call(m, TARGET, NODE_ALLOCATE, place_arguments(m, volume), NULL, err);
}

static int open_source(struct json_object *volume, struct vmm_error **err)
{
	const struct storage_ops *ops;
	if (storage_of(volume, &ops, err) < 0)
		return -1;
	if (!ops->open)
		return error_set(err, VMM_BLOCKED, "storage-format", "volume %s: a %s storage cannot be copied from",
				 json_text(volume, "target"), ops->kind);
	return ops->open(json_text(volume, "from"), false, err);
}

/* What changes when anybody writes to the file. */
static char *fingerprint(int fd)
{
	struct stat info;
	if (fstat(fd, &info) < 0)
		return str_copy("");
	return str_format("%llu %lld.%09ld %lld.%09ld", (unsigned long long)info.st_size,
			  (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec, (long long)info.st_ctim.tv_sec,
			  info.st_ctim.tv_nsec);
}

struct watching {
	struct migration *m;
	const char *phase, *object;
};

static bool on_progress(void *context, const struct copy_progress *progress)
{
	struct watching *w = context;
	task_progress(w->m->task, w->phase, w->object, progress->done, progress->total,
		      json_make("wire:i", (int64_t)progress->wire));
	return !task_cancelled(w->m->task);
}

static void count(struct migration *m, const char *what, uint64_t bytes)
{
	json_object_object_add(m->statistics, what,
			       json_object_new_int64(json_number(m->statistics, what) + (int64_t)bytes));
}

int step_copy(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	vmm_auto_close int fd = open_source(volume, err);
	struct stat info;
	if (fd < 0)
		return -1;
	if (fstat(fd, &info) < 0)
		return error_errno(err, errno, "volume %s", json_text(volume, "from"));
	vmm_auto_free char *seen = fingerprint(fd);
	json_put(volume, "seen:s", seen);
	struct stream *session;
	if (m->node[TARGET]->ops->session(m->node[TARGET], task_id(m->task), &session, err) < 0)
		return -1;
	struct watching watching = {m, "copy", json_text(volume, "target")};
	struct copy_job job = {.fd = fd,
			       .size = (uint64_t)info.st_size,
			       .volume = json_text(volume, "temporary"),
			       .rate_limit = (uint64_t)json_number(m->request, "options.bwlimit") * 1024,
			       .progress = on_progress,
			       .context = &watching};
	struct copy_progress result = {0};
	int done = copy_push(&job, &session, 1, leaves_of(m, volume), &result, err);
	count(m, "wire_bytes", session->sent + session->received);
	stream_close(session);
	count(m, "read_bytes", result.data);
	count(m, "present_bytes", result.present);
	count(m, "volume_bytes", (uint64_t)info.st_size);
	return done;
}

static int unchanged(struct json_object *volume, struct vmm_error **err)
{
	vmm_auto_close int fd = open_source(volume, err);
	if (fd < 0)
		return -1;
	vmm_auto_free char *now = fingerprint(fd);
	return str_same(now, json_text(volume, "seen"))
		       ? 0
		       : error_set(err, VMM_FAILED, "source-changed", "volume %s was written to while it was copied",
				   json_text(volume, "from"));
}

int step_verify(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	struct stream *session;
	if (unchanged(volume, err) < 0 ||
	    m->node[TARGET]->ops->session(m->node[TARGET], task_id(m->task), &session, err) < 0)
		return -1;
	int done = copy_verify(session, json_text(volume, "temporary"), leaves_of(m, volume), NULL, err);
	stream_close(session);
	return done;
}

int step_publish(struct migration *m, struct json_object *volume, struct vmm_error **err)
{
	return migration_call(m, TARGET, NODE_PUBLISH, place_arguments(m, volume), NULL, err);
}
