/* push.c: brings the target's volume to the source's content, over all sessions at the same time. */
#include <openssl/rand.h>
#include <sys/stat.h>

#include "source.h"

enum { PROGRESS_MS = 100, WATCH_MS = 20, BATCHES_PER_SESSION = 8 };

/* A thread that serves one session. */
struct worker {
	struct pool *pool;
	struct stream *session;
	pthread_t thread;
};

struct pool {
	struct push push;
	struct copy_sessions *sessions;
	struct worker workers[COPY_SESSIONS_MOST];
	size_t started; /* workers */
	struct session_scaling scaling;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t working;		   /* workers that have not ended; guarded by `lock` */
	struct vmm_error *failure; /* the first; guarded by `lock` */
};

/* Keeps the first error and stops all workers. Those that end because of that report "cancelled", which is dropped. */
static void note_failure(struct pool *pool, struct vmm_error *failure)
{
	if (!pool->failure)
		pool->failure = failure;
	else
		error_clear(&failure);
	pool->push.stop = true;
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	struct pool *pool = worker->pool;
	struct vmm_error *failure = NULL;
	if (pool->push.job->idle_io)
		io_set_idle();
	sender_run(&pool->push, worker->session, &failure);
	pthread_mutex_lock(&pool->lock);
	if (failure)
		note_failure(pool, failure);
	pool->working--;
	pthread_cond_signal(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

static void report(const struct push *push, struct copy_progress *progress)
{
	*progress = (struct copy_progress){
		.done = push->done,
		.total = push->map.size,
		.data = push->data,
		.wire = push->wire,
		.present = push->present,
	};
}

/* Starts a worker for each session that has none yet. */
static void start_workers(struct pool *pool)
{
	while (pool->started < pool->sessions->count) {
		struct worker *worker = &pool->workers[pool->started];
		*worker = (struct worker){.pool = pool, .session = pool->sessions->stream[pool->started]};
		pthread_mutex_lock(&pool->lock);
		int number = pthread_create(&worker->thread, NULL, worker_run, worker);
		struct vmm_error *failure = NULL;
		if (number) {
			error_errno(&failure, number, "starting a thread");
			note_failure(pool, failure);
		} else {
			pool->working++;
			pool->started++;
		}
		pthread_mutex_unlock(&pool->lock);
		if (number)
			return;
	}
}

/* Bytes that are still to be sent. If the target holds no data this is all that is to be read; else it is estimated by
 * the share of the data read so far that had to be sent. */
static uint64_t bytes_to_send(const struct push *push)
{
	uint64_t read = push->data, rest = push->data_total > read ? push->data_total - read : 0;
	if (push->target_is_empty)
		return rest;
	return read ? (uint64_t)((double)push->wire * (double)rest / (double)read) : 0;
}

static int open_volume(const struct push *push, struct stream *session, struct vmm_error **err)
{
	return open_send(session, COPY_OPEN, push->job->size, push->key, push->job->volume, err);
}

/* Opens one more session if that is worth it. The workers go on meanwhile. */
static void add_session(struct pool *pool)
{
	struct copy_sessions *sessions = pool->sessions;
	if (!sessions->open || sessions->count >= pool->push.sessions || pool->push.stop ||
	    pool->push.job->rate_limit ||
	    !session_scaling_pays(&pool->scaling, pool->push.wire, bytes_to_send(&pool->push),
				  pool->push.target_is_empty, clock_steady_us()))
		return;
	struct stream *session;
	if (sessions->open(sessions->context, &session) < 0) {
		pool->push.sessions = sessions->count;
		return;
	}
	/* If all extents are taken by now, the session is kept for the next push. If it fails at once, this push goes
	 * on without it and opens no other. */
	bool late = pool->push.stop || pool->push.next >= pool->push.map.count;
	if (!late && open_volume(&pool->push, session, NULL) < 0) {
		pool->push.sessions = sessions->count;
		stream_close(session);
		return;
	}
	sessions->stream[sessions->count++] = session;
	if (!late)
		start_workers(pool);
	session_scaling_mark(&pool->scaling, pool->push.wire, clock_steady_us());
}

/* Waits until a worker ends, WATCH_MS at most. The caller holds the lock. */
static void wait_for_worker(struct pool *pool)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WATCH_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
}

/* Until all workers have ended: reports progress and opens further sessions. Returns false if the caller has
 * cancelled. */
static bool watch(struct pool *pool)
{
	const struct copy_job *job = pool->push.job;
	bool wanted = true;
	int64_t told_ms = clock_steady_ms();
	pthread_mutex_lock(&pool->lock);
	while (pool->working) {
		wait_for_worker(pool);
		bool last = !pool->working;
		pthread_mutex_unlock(&pool->lock);
		struct copy_progress progress;
		if (wanted && job->progress && (last || clock_steady_ms() - told_ms >= PROGRESS_MS)) {
			told_ms = clock_steady_ms();
			report(&pool->push, &progress);
			wanted = job->progress(job->context, &progress);
		}
		if (!wanted)
			pool->push.stop = true;
		add_session(pool);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return wanted;
}

static int pool_run(struct pool *pool, struct vmm_error **err)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	session_scaling_mark(&pool->scaling, 0, clock_steady_us());
	start_workers(pool);
	bool wanted = watch(pool);
	while (pool->started)
		pthread_join(pool->workers[--pool->started].thread, NULL);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	if (!pool->failure)
		return 0;
	if (!wanted && pool->failure->exit == VMM_CANCELLED) {
		error_clear(&pool->failure);
		error_set(&pool->failure, VMM_CANCELLED, "cancelled", "the copy of %s was cancelled",
			  job_name(pool->push.job));
	}
	error_take(err, pool->failure);
	return -1;
}

/* Small enough that a slow and a fast session end at about the same time. */
static uint32_t batch_size(uint64_t extents, size_t sessions)
{
	uint64_t share = extents / (sessions * BATCHES_PER_SESSION);
	return share < 1 ? 1 : (uint32_t)min64(share, COPY_BATCH_MOST);
}

static bool has_data(const struct copy_leaves *leaves)
{
	for (size_t leaf = 0; leaf < leaves->count; leaf++)
		if (!tag_is_zero(leaves->tag[leaf]))
			return true;
	return false;
}

static uint64_t data_bytes(const struct leaf_map *map)
{
	uint64_t leaves = 0;
	for (uint64_t extent = 0; extent < map->count; extent++)
		leaves += (uint64_t)__builtin_popcountll(map->bits[extent]);
	return leaves * COPY_LEAF;
}

/* Limits the push to the ranges that may have changed, and to what the volume has grown by since it had
 * `known_size`. */
static void skip_unchanged(struct push *push, uint64_t known_size)
{
	push->changed = bits_of_ranges(push->map.size, push->job->changed, push->job->changed_count);
	if (push->map.size > known_size)
		bits_set(push->changed, known_size / COPY_LEAF, leaf_count(push->map.size));
	for (uint64_t extent = 0; extent < push->map.count; extent++)
		push->map.bits[extent] &= push->changed[extent];
}

/* A new key, or the one of `leaves` if these hold the tags of the target's volume. */
static int choose_key(struct push *push, struct copy_leaves *leaves, struct vmm_error **err)
{
	const struct copy_job *job = push->job;
	push->leaves = leaves;
	push->target_known = leaves && leaves->tag && leaves->size <= job->size;
	if (push->target_known) {
		memcpy(push->key, leaves->key, COPY_KEY);
		return 0;
	}
	push->key[0] = (uint8_t)job->digest;
	if (RAND_bytes(push->key + 1, COPY_SECRET) != 1)
		return error_set(err, VMM_FAILED, "system", "no random bytes for a key");
	if (!leaves)
		return 0;
	copy_leaves_free(leaves);
	return leaves_make(job->size, push->key, leaves, err);
}

static int check_size(const struct copy_job *job, struct vmm_error **err)
{
	struct stat file;
	if (job->size > COPY_SIZE_MOST)
		return error_set(err, VMM_FAILED, "too-large", "%s has %llu bytes; at most %llu can be copied",
				 job_name(job), (unsigned long long)job->size, (unsigned long long)COPY_SIZE_MOST);
	/* A file that is shorter would look as if it ended with a hole. */
	if (!fstat(job->fd, &file) && S_ISREG(file.st_mode) && (uint64_t)file.st_size < job->size)
		return error_set(err, VMM_FAILED, "read-failed", "%s ends at offset %llu, %llu bytes were to be copied",
				 job_name(job), (unsigned long long)file.st_size, (unsigned long long)job->size);
	return 0;
}

/* Finds out what has to be read. */
static int map_source(struct push *push, struct vmm_error **err)
{
	const struct copy_job *job = push->job;
	if (leaf_map_read(job->fd, job->size, &push->map, err) < 0)
		return error_context(err, "%s", job_name(job));
	if (!push->target_known)
		return 0;
	push->target_has_data = has_data(push->leaves);
	if (job->changed)
		skip_unchanged(push, push->leaves->size);
	return leaves_grow(push->leaves, job->size, err);
}

/* Sends OPEN on all sessions. The target maps its volume while we map ours. */
static int open_all(struct pool *pool, struct vmm_error **err)
{
	for (size_t i = 0; i < pool->sessions->count; i++)
		if (open_volume(&pool->push, pool->sessions->stream[i], err) < 0)
			return -1;
	return 0;
}

static int run(struct pool *pool, struct copy_leaves *leaves, struct vmm_error **err)
{
	struct push *push = &pool->push;
	struct copy_sessions *sessions = pool->sessions;
	if (check_size(push->job, err) < 0 || choose_key(push, leaves, err) < 0)
		return -1;
	int done = open_all(pool, err);
	if (done == 0)
		done = map_source(push, err);
	push->data_total = data_bytes(&push->map);
	push->sessions = sessions->open ? session_scaling_limit(sessions->count) : sessions->count;
	push->batch_size = batch_size(push->map.count, push->sessions);
	if (done == 0)
		done = pool_run(pool, err);
	for (size_t i = 0; done < 0 && i < sessions->count; i++)
		stream_finish(sessions->stream[i]);
	return done;
}

int copy_push(const struct copy_job *job, struct copy_sessions *sessions, struct copy_leaves *leaves,
	      struct copy_progress *result, struct vmm_error **err)
{
	struct pool pool = {.push.job = job, .sessions = sessions};
	rate_limit_begin(&pool.push.limit, job->rate_limit);
	int done = run(&pool, leaves, err);
	if (result)
		report(&pool.push, result);
	if (done < 0 && leaves)
		copy_leaves_free(leaves); /* it is not known which of them have arrived */
	leaf_map_free(&pool.push.map);
	free(pool.push.changed);
	rate_limit_end(&pool.push.limit);
	return done;
}
